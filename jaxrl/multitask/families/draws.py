"""Tasks drawn at random, the same ones for the same seed."""

from collections.abc import Callable

import jax

from jaxrl.environments.base import Environment
from jaxrl.multitask.family import TaskFamily, make_family
from jaxrl.types import PRNGKeyArray, PyTree

__all__ = ["draw_family"]


def draw_family(
    environment: Environment,
    sample: Callable[[PRNGKeyArray], PyTree],
    num_tasks: int,
    num_held_out: int,
    seed: int,
    names: Callable[[PyTree], str] | None = None,
) -> TaskFamily:
    """A family of drawn tasks.

    Args:
        environment: of a single task.
        sample: `key -> params`.
        num_tasks: tasks to train on, at least 1.
        num_held_out: further ones for evaluation.
        seed: of the draws.
        names: `params -> name`; default their numbers.

    Raises:
        ValueError: for counts out of range.
    """
    if num_tasks < 1 or num_held_out < 0:
        raise ValueError(
            f"num_tasks must be at least 1 and num_held_out at least 0, got {num_tasks} and {num_held_out}"
        )
    count = num_tasks + num_held_out
    params = jax.jit(jax.vmap(sample))(jax.random.split(jax.random.key(seed), count))
    each = [jax.tree.map(lambda leaf: leaf[i], params) for i in range(count)]  # noqa: B023
    return make_family(environment, params, [names(one) for one in each] if names else (), num_held_out)
