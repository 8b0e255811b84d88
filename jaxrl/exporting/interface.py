"""A policy as a pure function of named arrays, which is all that a format has to express."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import partial_eval

from jaxrl.agents.base import Actor, Progress
from jaxrl.training.policy import Policy
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["LAWS", "Interface", "cannot_express", "interface_of", "named_leaves"]

LAWS: dict[str, Callable[[PRNGKeyArray, tuple[int, ...]], Array]] = {
    "uniform on [0, 1)": jax.random.uniform,
    "standard normal": jax.random.normal,
    "standard Gumbel": jax.random.gumbel,
}
"""What noise may be drawn from, by what a description calls it."""
_PROBE = 5
_OF_ITS_OWN = "this policy draws random numbers in a way of its own, which takes a key: use --format jax-export"


class Interface(NamedTuple):
    """What a policy takes and gives.

    Attributes:
        call: `(**inputs) -> outputs by name`. All arrays but `key` have one leading axis, `batch`.
        inputs: shapes and types by name, without the leading axis: the observation, `memory` of a policy that
            remembers, `weights` where preferences are left open, and `key` or `noise` where actions are drawn.
        outputs: likewise: `action`, and `next_memory` for each `memory`.
        memory: memory at the start of an episode, by the name of its input.
        law: what noise is drawn from, of `LAWS`; empty without noise.
        weights: the preference that is built in, or None where there is none or it is an input.
    """

    call: Callable[..., dict[str, Array]]
    inputs: dict[str, jax.ShapeDtypeStruct]
    outputs: dict[str, jax.ShapeDtypeStruct]
    memory: dict[str, np.ndarray]
    law: str = ""
    weights: np.ndarray | None = None

    def batched(self, size: Any) -> dict[str, jax.ShapeDtypeStruct]:
        """The inputs for a batch of that size, which may be symbolic."""
        return {
            name: leaf if name == "key" else jax.ShapeDtypeStruct((size, *leaf.shape), leaf.dtype)
            for name, leaf in self.inputs.items()
        }


def interface_of(policy: Policy, takes_noise: bool = False, weights_input: bool = False) -> Interface:
    """The function that a policy is.

    Args:
        policy: frozen; where it explores, actions are drawn.
        takes_noise: whether what is random is an input that somebody else draws, instead of a key.
        weights_input: whether preference weights are an input, of a policy that is conditioned on them.

    Raises:
        ValueError: for weights of a policy that is not conditioned on them, or noise of a law that has no name here.
    """
    if weights_input and not policy.conditioned:
        raise ValueError(
            "only policies that are conditioned on weights take them as an input (train with condition_on_weights=True)"
        )
    observation = jax.eval_shape(policy.agent.spec.observation.sample, jax.random.key(0))
    memory = policy.initial_memory()
    inputs = {**named_leaves("observation", observation), **named_leaves("memory", memory)}
    own = getattr(policy.hyperparameters, "weights", None)
    if weights_input:
        inputs["weights"] = own
    inputs = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in inputs.items()}
    fixed = None if weights_input or own is None else np.asarray(own)
    made = Interface(
        _call(policy, observation, memory),
        inputs,
        {},
        jax.tree.map(np.asarray, named_leaves("memory", memory)),
        "",
        fixed,
    )
    made = _with_noise(made, policy) if policy.explore and takes_noise else _with_key(made)
    if takes_noise and "key" in made.inputs:
        raise ValueError(_OF_ITS_OWN)
    outputs = jax.eval_shape(made.call, **made.batched(_PROBE))
    return made._replace(
        outputs={name: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for name, leaf in outputs.items()}
    )


def cannot_express(how: str, error: Exception) -> ValueError:
    """The error for a policy that a converter refuses, with the first line of its reason."""
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:200].rstrip(".")
    return ValueError(f"this policy cannot be written {how} ({type(error).__name__}: {reason})")


def named_leaves(name: str, tree: PyTree) -> dict[str, Any]:
    """A leaf by that name; of a tree `name.path` for each."""
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        ".".join(filter(None, (name, jax.tree_util.keystr(path, simple=True, separator=".")))): leaf
        for path, leaf in flat
    }


def _call(policy: Policy, observation: PyTree, memory: PyTree) -> Callable[..., dict[str, Array]]:
    """`(**inputs) -> outputs`; acts without a key where there is none."""
    agent, state, explore = policy.agent, policy.state, policy.explore

    def collected(name: str, tree: PyTree, arrays: Mapping[str, Array]) -> PyTree:
        return jax.tree.unflatten(jax.tree.structure(tree), [arrays[leaf] for leaf in named_leaves(name, tree)])

    def call(**arrays: Array) -> dict[str, Array]:
        seen, remembered = collected("observation", observation, arrays), collected("memory", memory, arrays)
        size = next(leaf.shape[0] for name, leaf in arrays.items() if name not in ("key", "noise"))
        hyperparameters, weights = _preferring(policy, arrays.get("weights"), size)
        if "noise" in arrays:
            start, end = jnp.zeros((size,), bool), Progress(jnp.float32(1.0), jnp.float32(1.0))
            raw, following, *_ = agent.explore(
                state, seen, remembered, start, weights, arrays["noise"], hyperparameters, end
            )
            action = agent.action(raw)
        else:
            key = jax.random.wrap_key_data(arrays["key"]) if "key" in arrays else jax.random.key(0)
            action, following = agent.act(key, state, seen, remembered, hyperparameters, explore=explore)
        return {"action": action, **{f"next_{name}": leaf for name, leaf in named_leaves("memory", following).items()}}

    return call


def _preferring(policy: Policy, given: Array | None, size: Any) -> tuple[Any, Array | None]:
    """Hyperparameters with preference weights for every sample where the policy acts by them, and these weights."""
    own = getattr(policy.hyperparameters, "weights", None)
    if own is None:
        return policy.hyperparameters, None
    each = jnp.broadcast_to(own, (size, *own.shape)) if given is None else given
    sees = policy.conditioned or getattr(getattr(policy.agent, "config", None), "conditioning", "none") != "none"
    return policy.hyperparameters._replace(weights=each) if sees else policy.hyperparameters, each


def _with_key(made: Interface) -> Interface:
    """With a key among the inputs, if the policy uses one."""
    data = jax.random.key_data(jax.random.key(0))
    inputs = {**made.inputs, "key": jax.ShapeDtypeStruct(data.shape, data.dtype)}
    keyed = made._replace(inputs=inputs)
    traced = jax.make_jaxpr(lambda arrays: made.call(**arrays))(keyed.batched(_PROBE))
    _, used = partial_eval.dce_jaxpr(traced.jaxpr, [True] * len(traced.out_avals))
    # In the order of their names, as trees have them.
    return keyed if used[sorted(inputs).index("key")] else made


def _with_noise(made: Interface, policy: Policy) -> Interface:
    """With noise among the inputs, drawn from a law that a user can draw from, too."""
    key = jax.random.key(1)
    drawn = None if isinstance(policy.agent, Actor) else policy.agent.noise(key, (_PROBE,))
    law = next((name for name, draw in LAWS.items() if _same(drawn, draw, key)), None)
    if law is None:
        raise ValueError(_OF_ITS_OWN)
    noise = jax.ShapeDtypeStruct(drawn.shape[1:], drawn.dtype)
    return made._replace(inputs={**made.inputs, "noise": noise}, law=law)


def _same(drawn: Any, draw: Callable[..., Array], key: PRNGKeyArray) -> bool:
    """Whether noise is what a law gives for the same key."""
    if not hasattr(drawn, "dtype") or not jnp.issubdtype(drawn.dtype, jnp.floating):
        return False
    return bool(jnp.array_equal(drawn, draw(key, drawn.shape)))
