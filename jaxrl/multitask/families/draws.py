"""Tasks drawn at random, the same ones for the same seed."""

from collections.abc import Callable, Mapping
from functools import partial

import jax

from jaxrl.environments.base import Environment
from jaxrl.environments.family import TaskFamily, make_family
from jaxrl.types import Array, Key, PRNGKeyArray, PyTree

__all__ = ["Bounds", "draw_family", "uniform", "uniform_family"]

Bounds = Mapping[str, tuple[float, float]]


def draw_family(
    environment: Environment,
    sample: Callable[[PRNGKeyArray], PyTree],
    num_tasks: int,
    num_held_out: int,
    seed: int,
) -> TaskFamily:
    """A family of drawn tasks.

    Args:
        environment: of a single task.
        sample: `key -> params`.
        num_tasks: tasks to train on, at least 1.
        num_held_out: further ones for evaluation.
        seed: of the draws.

    Raises:
        ValueError: for counts out of range.
    """
    params = jax.jit(jax.vmap(sample))(_keys(num_tasks, num_held_out, seed))
    return make_family(environment, params, num_held_out=num_held_out)


def uniform_family(
    environment: Environment,
    bounds: Bounds,
    apply: Callable[[dict[str, Array]], PyTree],
    num_tasks: int,
    num_held_out: int,
    seed: int,
    least: float = 0.0,
) -> TaskFamily:
    """A family whose tasks differ in some quantities, each uniform and independent.

    Args:
        environment: of a single task.
        bounds: of each quantity by name.
        apply: `drawn quantities -> params`.
        num_tasks: tasks to train on, at least 1.
        num_held_out: further ones for evaluation.
        seed: of the draws.
        least: no lower bound may lie below it.

    Raises:
        ValueError: for bounds out of order or below `least`, or counts out of range.
    """
    for name, (low, high) in bounds.items():
        if not least <= low <= high:
            raise ValueError(f"bounds of {name} must satisfy {least:g} <= low <= high, got ({low}, {high})")
    keys = _keys(num_tasks, num_held_out, seed)
    drawn = jax.jit(jax.vmap(partial(uniform, bounds)))(keys)
    varied = {name: drawn[name].tolist() for name, (low, high) in bounds.items() if low < high}
    names = ["_".join(f"{name}_{values[i]:.3g}" for name, values in varied.items()) for i in range(len(keys))]
    return make_family(environment, jax.vmap(apply)(drawn), names if varied else (), num_held_out)


def _keys(num_tasks: int, num_held_out: int, seed: int) -> Key[Array, " task"]:
    if num_tasks < 1 or num_held_out < 0:
        raise ValueError(
            f"num_tasks must be at least 1 and num_held_out at least 0, got {num_tasks} and {num_held_out}"
        )
    return jax.random.split(jax.random.key(seed), num_tasks + num_held_out)


def uniform(bounds: Bounds, key: PRNGKeyArray) -> dict[str, Array]:
    """One draw of every quantity between its bounds."""
    keys = jax.random.split(key, len(bounds))
    return {
        name: jax.random.uniform(key, (), minval=low, maxval=high)
        for key, (name, (low, high)) in zip(keys, bounds.items(), strict=True)
    }
