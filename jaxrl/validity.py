"""Samples that nothing may be learned from, and steps that may not be taken: what is not finite goes no further.

`valid` is False where an environment's step was not finite (see `Rollout.valid`), or None where all are valid. Its axes
lead those of the values beside it. Where everything is valid, no function here changes a bit.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Bool, Float, PyTree

__all__ = ["all_finite", "choose", "constant_unless", "inverse_share", "kept", "pooled"]

Valid = Bool[Array, "..."] | None
# Metrics that are counts of what was lost.
_COUNTED = ("faulty_steps", "skipped_updates")


def kept(valid: Valid, values: Array) -> Array:
    """The values, 0 where not valid."""
    return values if valid is None else jnp.where(_like(valid, values), values, 0.0)


def inverse_share(valid: Valid, axis: int | None = None) -> Float[Array, "..."] | float:
    """n/m where m of n samples are valid: a mean of `kept` values times it is the mean of the valid ones.

    Over all axes, or over one, which stays with length 1.
    """
    if valid is None:
        return 1.0
    count = valid.sum(axis=axis, keepdims=axis is not None)
    return (valid.size // count.size) / jnp.maximum(count, 1).astype(jnp.float32)


def constant_unless(valid: Valid, tree: PyTree) -> PyTree:
    """The same values, without a derivative where not valid: no loss of them pulls on what they were computed from."""
    if valid is None:
        return tree
    return jax.tree.map(lambda leaf: jnp.where(_like(valid, leaf), leaf, jax.lax.stop_gradient(leaf)), tree)


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether no number in a pytree is NaN or infinite."""
    # One reduction of one vector, which optimisers that flatten make all the same.
    return jnp.all(jnp.isfinite(jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])))


def choose(condition: Bool[Array, ""], if_true: PyTree, if_false: PyTree) -> PyTree:
    """One of two pytrees."""
    return jax.tree.map(lambda one, other: jnp.where(condition, one, other), if_true, if_false)


def pooled(metrics: dict[str, Array], mean: Callable[[Array], Array] = jnp.mean) -> dict[str, Array]:
    """Means over all axes, or over the first one with `mean`; what counts losses is summed over the first axis."""
    return {name: leaf.sum(axis=0) if name in _COUNTED else mean(leaf) for name, leaf in metrics.items()}


def _like(valid: Array, values: Array) -> Array:
    return valid.reshape(*valid.shape, *(1,) * (values.ndim - valid.ndim))
