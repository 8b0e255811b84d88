"""Values that members of a vmapped program share."""

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from jaxrl.types import Array, Int

__all__ = ["least_of_members"]


@custom_vmap
def _least(value: Int[Array, "*batch"]) -> Int[Array, "*batch"]:
    return value


@_least.def_vmap
def _least_of_batch(size: int, batched: list[bool], value: Array) -> tuple[Array, bool]:
    return (_least(jnp.min(value, axis=0)) if batched[0] else _least(value)), False


def least_of_members(value: Int[Array, ""]) -> Int[Array, ""]:
    """A count; under `vmap` the least of all members, one number for all, so that what waits for it stays a branch.

    Args:
        value: a count of each member's own, of which nothing is differentiated.
    """
    return _least(jax.lax.stop_gradient(value))
