"""Legal actions: the part of an observation that says what may be done, and the rest, which an agent sees."""

import math
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.spaces import Box, Dict, Discrete, Space
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = [
    "OBSERVATION",
    "beside_mask",
    "beside_mask_space",
    "legal_actions",
    "mask_space",
    "masked_logits",
    "sample_legal",
    "seen",
    "seen_space",
]

OBSERVATION = "observation"
"""The part of a `Dict` that is what an agent sees, beside a mask."""


def mask_space(action: Space) -> Box:
    """What a mask of such actions is: flags, one for each action, or one for each value of each choice in turn."""
    return Box(0.0, 1.0, (sum(_sizes(action)),), "bool")


def _sizes(action: Space) -> tuple[int, ...]:
    """How many values each choice has."""
    return (action.n,) if isinstance(action, Discrete) else action.sizes


def legal_actions(spec: EnvironmentSpec, observation: PyTree) -> Bool[Array | np.ndarray, "*batch action"] | None:
    """True where an action is legal, in the order of `mask_space`; None where the environment has no mask.

    Args:
        spec: the environment's.
        observation: with any leading axes.
    """
    if spec.action_mask is None:
        return None
    mask, shape = observation[spec.action_mask], spec.observation[spec.action_mask].shape
    # Written out, because of no observations at all -1 would stand for any number.
    return mask.reshape(*mask.shape[: mask.ndim - len(shape)], math.prod(shape))


def seen_space(spec: EnvironmentSpec) -> Space:
    """The space of what a network sees: all but the mask; where only one part is left, that part by itself.

    A mask beside which there is nothing is seen itself.
    """
    if spec.action_mask is None:
        return spec.observation
    rest = spec.observation.without(spec.action_mask)
    if not rest.parts:
        return spec.observation[spec.action_mask]
    return rest.parts[0][1] if len(rest.parts) == 1 else rest


def seen(spec: EnvironmentSpec, observation: PyTree) -> PyTree:
    """An observation as `seen_space` describes it."""
    if spec.action_mask is None:
        return observation
    rest = {name: part for name, part in observation.items() if name != spec.action_mask}
    if len(rest) > 1:
        return rest
    return next(iter(rest.values()), observation[spec.action_mask])


def beside_mask_space(spec: EnvironmentSpec, space: Space) -> Space:
    """The space of observations made into something else of which a mask, where there is one, stays what it was.

    Raises:
        ValueError: for a mask that has the name of what is seen.
    """
    if spec.action_mask is None:
        return space
    if spec.action_mask == OBSERVATION:
        raise ValueError(f"{spec.name} names its mask {OBSERVATION!r}, which is the part beside a mask")
    return Dict({OBSERVATION: space, spec.action_mask: spec.observation[spec.action_mask]})


def beside_mask(spec: EnvironmentSpec, made: PyTree, observation: PyTree) -> PyTree:
    """An observation as `beside_mask_space` describes it: what was `made` of it, and its mask."""
    if spec.action_mask is None:
        return made
    return {OBSERVATION: made, spec.action_mask: observation[spec.action_mask]}


def masked_logits(
    action: Space, logits: Float[Array, "*batch action"], legal: Bool[Array, "*#batch action"]
) -> Float[Array, "*batch action"]:
    """Logits of a policy that keeps to what is legal: -∞ for all else, so that its probability is exactly 0.

    Where nothing is legal, of a choice of `MultiDiscrete` by itself, all logits are 0: everything is equally likely,
    and nothing is learned of the policy.
    """
    edges, parts = np.cumsum((0, *_sizes(action))), []
    for low, high in pairwise(edges.tolist()):
        allowed = legal[..., low:high]
        kept = jnp.where(allowed, logits[..., low:high], -jnp.inf)
        parts.append(jnp.where(jnp.any(allowed, axis=-1, keepdims=True), kept, 0.0))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)


def sample_legal(key: PRNGKeyArray, spec: EnvironmentSpec, observation: PyTree) -> Array:
    """One of the legal actions, all equally likely; without a mask, any."""
    legal = legal_actions(spec, observation)
    if legal is None:
        return spec.action.sample(key)
    logits = masked_logits(spec.action, jnp.zeros(legal.shape), legal)
    if isinstance(spec.action, Discrete):
        return jax.random.categorical(key, logits).astype(spec.action.dtype)
    parts = jnp.split(logits, np.cumsum(spec.action.sizes)[:-1].tolist(), axis=-1)
    drawn = [jax.random.categorical(key, part) for key, part in zip(jax.random.split(key, len(parts)), parts)]
    return jnp.stack(drawn, axis=-1).astype(spec.action.dtype)
