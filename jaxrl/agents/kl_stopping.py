"""An iteration's descent that stops once the policy has moved far enough."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Float, PyTree

__all__ = ["mean_of_seen", "until_too_far"]

# By how much a divergence may exceed its target, as in Spinning Up and Stable-Baselines3.
_TOLERANCE = 1.5
# Metrics of every minibatch: whether it was looked at, and whether its step was taken.
_SEEN, _TAKEN = "_seen", "_taken"


def until_too_far(
    step: Callable[[PyTree, PyTree], tuple[PyTree, dict[str, Array]]],
    start: PyTree,
    inputs: PyTree,
    target: Float[Array, ""],
) -> tuple[PyTree, dict[str, Array]]:
    """A scan of descent steps that takes none from the first minibatch on whose divergence exceeds 1.5 `target`.

    A minibatch's divergence, `metrics["kl"]`, is the mean KL(old ‖ new) under the parameters before its step: exact
    where the loss has the old distribution, else E_old[r - 1 - log r] (Schulman, 2020, "Approximating KL divergence").
    What is left out is not computed, unless runs are vmapped; each of these stops by itself.

    Args:
        step: `(carry, inputs of one minibatch) -> (carry, metrics)`.
        start: the carry at first.
        inputs: of all minibatches, on a leading axis.
        target: the divergence, above 0; infinity never stops.

    Returns:
        The carry at the end, and metrics of all minibatches, for `mean_of_seen`.
    """
    first = jax.tree.map(lambda leaf: leaf[0], inputs)
    shapes = jax.eval_shape(lambda carry, inputs: step(carry, inputs)[1], start, first)

    def go(inputs: PyTree, carry: PyTree) -> tuple:
        following, metrics = step(carry, inputs)
        near = ~(metrics["kl"] > _TOLERANCE * target)
        carry = jax.tree.map(partial(jnp.where, near), following, carry)
        return (carry, near), metrics

    def rest(inputs: PyTree, carry: PyTree) -> tuple:
        return (carry, jnp.array(False)), jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def body(carry: tuple, inputs: PyTree) -> tuple:
        held, going = carry
        following, metrics = jax.lax.cond(going, go, rest, inputs, held)
        return following, {**metrics, _SEEN: going, _TAKEN: following[1]}

    (carry, _), metrics = jax.lax.scan(body, (start, jnp.array(True)), inputs)
    return carry, metrics


def mean_of_seen(metrics: dict[str, Array], num_minibatches: int) -> tuple[dict[str, Array], Float[Array, ""]]:
    """Means over the minibatches that were looked at, and the mean divergence of the last epoch's worth of them.

    `epochs` counts the steps that were taken, in passes over the experience: 2.5 where the descent stopped in the
    middle of the third.
    """
    seen, taken = metrics[_SEEN], metrics[_TAKEN]
    rest = {name: values for name, values in metrics.items() if name not in (_SEEN, _TAKEN)}
    count = seen.sum()
    index = jnp.arange(seen.shape[0])
    last = seen & (index >= count - num_minibatches)

    def mean(where: Array, values: Array) -> Array:
        return jnp.sum(jnp.where(where, values, 0.0)) / where.sum()

    means = {name: mean(seen, values) for name, values in rest.items()}
    return {**means, "epochs": taken.sum() / num_minibatches}, mean(last, metrics["kl"])
