"""Whether an exported policy acts as jaxrl's does: on a thousand observations, in a batch and one by one."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.exporting.interface import LAWS, Interface, named_leaves
from jaxrl.training.policy import Policy
from jaxrl.types import PyTree

__all__ = ["NUM_OBSERVATIONS", "draw_observations", "verify"]

NUM_OBSERVATIONS = 1000
# Steps through which a policy that remembers is followed, and preferences that one is asked for which takes them.
_STEPS, _PREFERENCES = 8, 4
# Largest difference of numbers, relative to their size where that is above 1, and largest share of choices that may
# differ: where two are all but equally good, rounding decides.
_TOLERANCE, _SHARE = 1e-4, 5e-3
# Bounds beyond this are none: numbers between them would tell nothing apart.
_HUGE = 1e6

Call = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


class _Part(NamedTuple):
    """Samples of a batch that a policy acts on under one preference, with one key."""

    rows: slice
    policy: Policy
    key: jax.Array


def draw_observations(space: Any, count: int, seed: int = 0) -> PyTree:
    """Observations of a space, `[count, ...]`: uniform within bounds, standard normal where there are none."""
    draw_key, normal_key = jax.random.split(jax.random.key(seed))
    drawn = jax.vmap(space.sample)(jax.random.split(draw_key, count))

    def bounded(leaf: jax.Array) -> np.ndarray:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return np.asarray(leaf)
        usual = jax.random.normal(normal_key, leaf.shape, leaf.dtype)
        return np.asarray(jnp.where(jnp.abs(leaf) < _HUGE, leaf, usual))

    return jax.tree.map(bounded, drawn)


def verify(made: Interface, policy: Policy, call: Call) -> dict[str, Any]:
    """How far an exported policy and the policy itself are apart, by output.

    Args:
        made: the policy's function.
        policy: the policy.
        call: runs what was exported, `inputs by name -> outputs by name`.

    Returns:
        `largest_difference` of numbers and `share_of_other_choices` of integers, over `observations`.

    Raises:
        ValueError: if they are apart by more than rounding, or the policy's own numbers are not finite.
    """
    differences: dict[str, list[float]] = {name: [] for name in made.outputs}
    for inputs, wanted in _cases(made, policy):
        given = call(inputs)
        for name, leaf in wanted.items():
            differences[name].append(_difference(name, np.asarray(given[name]), leaf))
        if "key" in inputs:
            continue  # One key draws other numbers for a batch of another size.
        given = call({name: leaf[:1] for name, leaf in inputs.items()})
        for name, leaf in wanted.items():
            _difference(name, np.asarray(given[name]), leaf[:1])
    found = {name: max(values) for name, values in differences.items()}
    numbers = {name for name, leaf in made.outputs.items() if jnp.issubdtype(leaf.dtype, jnp.floating)}
    return {
        "observations": NUM_OBSERVATIONS,
        "largest_difference": {name: value for name, value in found.items() if name in numbers},
        "share_of_other_choices": {name: value for name, value in found.items() if name not in numbers},
    }


def _cases(made: Interface, policy: Policy) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Inputs and what the policy itself gives, step by step where it remembers."""
    steps = _STEPS if made.memory else 1
    size = NUM_OBSERVATIONS // steps
    observations = draw_observations(policy.agent.spec.observation, NUM_OBSERVATIONS)
    memory = policy.initial_memory((size,))
    for step in range(steps):
        seen = jax.tree.map(lambda leaf: leaf[step * size : (step + 1) * size], observations)  # noqa: B023
        parts = _parts(made, policy, size, step)
        inputs = {**named_leaves("observation", seen), **named_leaves("memory", memory), **_other_inputs(made, parts)}
        action, memory = _act(parts, seen, memory)
        wanted = {"action": action, **{f"next_{name}": leaf for name, leaf in named_leaves("memory", memory).items()}}
        yield _on_host(inputs), _on_host(wanted)


def _on_host(arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(leaf) for name, leaf in arrays.items()}


def _parts(made: Interface, policy: Policy, size: int, step: int) -> list[_Part]:
    """A batch under several preferences, or as a whole."""
    keys = jax.random.split(jax.random.fold_in(jax.random.key(7), step), 2 * _PREFERENCES)
    if "weights" not in made.inputs:
        return [_Part(slice(0, size), policy, keys[0])]
    count = 1 if "key" in made.inputs else _PREFERENCES
    edges = np.linspace(0, size, count + 1).astype(int)
    alpha = jnp.ones(made.inputs["weights"].shape[0])
    return [
        _Part(slice(edges[i], edges[i + 1]), policy.with_weights(jax.random.dirichlet(keys[i], alpha)), keys[-1 - i])
        for i in range(count)
    ]


def _other_inputs(made: Interface, parts: list[_Part]) -> dict[str, Any]:
    """What a policy takes besides observation and memory."""
    found: dict[str, Any] = {}
    counts = [part.rows.stop - part.rows.start for part in parts]
    if "key" in made.inputs:
        found["key"] = jax.random.key_data(parts[0].key)
    if made.law:
        shape = made.inputs["noise"].shape
        drawn = [LAWS[made.law](part.key, (count, *shape)) for part, count in zip(parts, counts, strict=True)]
        found["noise"] = np.concatenate(drawn)
    if "weights" in made.inputs:
        found["weights"] = np.repeat([part.policy.hyperparameters.weights for part in parts], counts, axis=0)
    return found


def _act(parts: list[_Part], observation: PyTree, memory: PyTree) -> tuple[np.ndarray, PyTree]:
    """Actions and next memory of a batch."""
    found = []
    for part in parts:
        seen, remembered = jax.tree.map(lambda leaf: leaf[part.rows], (observation, memory))  # noqa: B023
        found.append(part.policy.act(part.key, seen, remembered))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *found)


def _difference(name: str, given: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference of numbers, or the share of integers that differ."""
    if given.shape != wanted.shape or given.dtype != wanted.dtype:
        what = [f"{array.dtype}{list(array.shape)}" for array in (given, wanted)]
        raise ValueError(f"the exported policy's {name} is {what[0]}, jaxrl's {what[1]}: nothing was written")
    if not np.issubdtype(wanted.dtype, np.floating):
        share = float(np.mean(given != wanted))
        # One choice of a single sample tells nothing of a share.
        if share > _SHARE and given.shape[0] > 1:
            raise ValueError(
                f"{share:.1%} of the exported policy's {name}s are others than jaxrl's: nothing was written"
            )
        return share
    if not np.all(np.isfinite(wanted)):
        raise ValueError(f"the policy's own {name} is not finite: there is nothing to export")
    apart = np.abs(given.astype(np.float64) - wanted)
    if not np.all(apart <= _TOLERANCE * np.maximum(1.0, np.abs(wanted))):
        worst = float(np.nanmax(apart)) if np.any(np.isfinite(apart)) else np.nan
        raise ValueError(f"the exported policy's {name} is {worst:.2g} away from jaxrl's: nothing was written")
    return float(apart.max(initial=0.0))
