"""Steps that are not finite: found as they happen, and kept from spreading beyond their copy."""

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Timestep
from jaxrl.types import Array, Bool, PyTree

__all__ = ["contained", "finite_start", "is_faulty"]


def is_faulty(before: PyTree, after: PyTree, timestep: Timestep) -> Bool[Array, ""]:
    """Whether one copy's step is not finite.

    It is, if the observation or the reward holds NaN or an infinity, or the state a NaN that it did not hold before:
    infinities in states, and NaN that a state is reset with, are the environment's own.

    Args:
        before: the state that the step was taken from.
        after: the state that it led to.
        timestep: what it returned.
    """
    seen = [jnp.any(~jnp.isfinite(leaf)) for leaf in _floats((timestep.observation, timestep.reward))]
    pairs = zip(_floats(before), _floats(after), strict=True)
    return jnp.any(jnp.stack([*seen, *(jnp.any(jnp.isnan(new) & ~jnp.isnan(old)) for old, new in pairs)]))


def contained(timestep: Timestep, faulty: Bool[Array, " env"]) -> Timestep:
    """The timestep of a batch with its faults made harmless: the episode is cut there, without reward or observation.

    `info["faulty"]` says where. Zeros are not what was seen: no sample that holds them has a weight.
    """

    def zero(leaf: Array) -> Array:
        return jnp.where(faulty.reshape(-1, *(1,) * (leaf.ndim - 1)), jnp.zeros((), leaf.dtype), leaf)

    return Timestep(
        observation=jax.tree.map(zero, timestep.observation),
        reward=zero(timestep.reward),
        terminated=timestep.terminated & ~faulty,
        truncated=timestep.truncated | faulty,
        info={**timestep.info, "faulty": faulty},
    )


def finite_start(observation: PyTree) -> PyTree:
    """The first observation of an episode, 0 where it is not finite; a broken state shows in the step that follows."""

    def finite(leaf: Array) -> Array:
        leaf = jnp.asarray(leaf)
        return jnp.where(jnp.isfinite(leaf), leaf, 0.0) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(finite, observation)


def _floats(tree: PyTree) -> list[Array]:
    leaves = jax.tree.leaves(tree)
    return [leaf for leaf in leaves if jnp.issubdtype(getattr(leaf, "dtype", type(leaf)), jnp.inexact)]
