"""The weighted logistic regression of one subset of tasks, by L-BFGS on that subset's own samples."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.multitask.grouping.samples import TaskSamples
from jaxrl.types import Array, Bool, Float, Int

__all__ = ["solve_logistic"]


class _Problem(NamedTuple):
    features: Array
    label: Array
    weight: Array
    offset: Array
    count: Array


def _own(samples: TaskSamples, members: Array, size: int) -> _Problem:
    """The samples of the first `size` members; those of others where there are fewer have weight 0."""
    chosen = jnp.nonzero(members, size=size, fill_value=0)[0]
    there = jnp.arange(size) < members.sum()
    advantage = jnp.where(there[:, None], samples.advantage[chosen], 0.0).reshape(-1)
    count = jnp.sum(jnp.where(there, samples.count[chosen], 0.0))
    return _Problem(
        samples.features[chosen].reshape(advantage.shape[0], -1),
        jnp.sign(advantage),
        jnp.abs(advantage),
        samples.offset[chosen].reshape(-1),
        jnp.maximum(count, 1.0),
    )


def solve_logistic(
    samples: TaskSamples,
    members: Bool[Array, " task"],
    l2_weight: Float[Array, ""],
    size: int,
    iterations: int,
    tolerance: float,
) -> tuple[Float[Array, " feature"], Float[Array, ""], Int[Array, ""]]:
    """x of one subset, ‖∇‖ there over ‖∇‖ at 0, and steps taken; NaN for a subset of more than `size` tasks.

    Until ‖∇‖ is at most tolerance × ‖∇‖ at 0, or after `iterations` steps.
    """
    problem = _own(samples, members, size)

    def loss(x: Array) -> Float[Array, ""]:
        scores = problem.offset + problem.features @ x
        losses = problem.weight * jax.nn.softplus(-problem.label * scores)
        return losses.sum() / problem.count + l2_weight * x @ x / 2

    optimiser, value_and_gradient = optax.lbfgs(), optax.value_and_grad_from_state(loss)
    start = jnp.zeros(samples.features.shape[-1])
    slope = jax.grad(loss)(start)
    reference = jnp.maximum(jnp.linalg.norm(slope), 1e-30)

    def going(carry: tuple[Array, Any, Array, Array]) -> Bool[Array, ""]:
        _, _, norm, count = carry
        return (norm > tolerance) & (count < iterations)

    def step(carry: tuple[Array, Any, Array, Array]) -> tuple[Array, Any, Array, Array]:
        x, state, _, count = carry
        value, slope = value_and_gradient(x, state=state)
        change, state = optimiser.update(slope, state, x, value=value, grad=slope, value_fn=loss)
        # The line search leaves the gradient at its end in the state.
        norm = jnp.linalg.norm(optax.tree.get(state, "grad")) / reference
        return x + change, state, norm, count + 1

    carry = (start, optimiser.init(start), jnp.linalg.norm(slope) / reference, jnp.zeros((), jnp.int32))
    x, _, norm, count = jax.lax.while_loop(going, step, carry)
    return jnp.where(members.sum() <= size, x, jnp.nan), norm, count
