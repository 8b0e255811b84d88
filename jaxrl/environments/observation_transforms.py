"""Transforms of observations: another form, one vector, a mask of legal actions."""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, Timestep
from jaxrl.environments.masks import OBSERVATION, beside_mask, beside_mask_space, mask_space, seen, seen_space
from jaxrl.environments.parts import parts_of
from jaxrl.environments.spaces import Box, Dict, Discrete, MultiDiscrete, Space
from jaxrl.types import Array, Bool, PRNGKeyArray, PyTree

__all__ = ["WITHOUT_OPTIONAL", "action_mask", "flatten_observation", "map_observation"]

WITHOUT_OPTIONAL = {"post_decision": None, "exogenous": None, "outcomes": None}
"""A transform that changes a step drops the optional members that describe the step it wraps."""


def map_observation(environment: Environment, function, space: Space) -> Environment:
    """Applies `function` to every observation; `space` describes the result, of which a mask must still be a part."""

    def reset(key: PRNGKeyArray, params: PyTree) -> tuple[PyTree, PyTree]:
        state, observation = environment.reset(key, params)
        return state, function(observation)

    def step(key: PRNGKeyArray, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep]:
        state, timestep = environment.step(key, state, action, params)
        return state, timestep._replace(observation=function(timestep.observation))

    spec = replace(environment.spec, observation=space)
    return environment._replace(reset=reset, step=step, spec=spec, **WITHOUT_OPTIONAL)


def flatten_observation(environment: Environment) -> Environment:
    """Observations (arrays or pytrees of arrays) as one float32 vector, integers as they are.

    A mask of legal actions stays beside it: then observations are a `Dict` of `observation`, the vector, and the mask.
    """
    spec = environment.spec

    def flatten(observation: PyTree) -> PyTree:
        rest = jax.tree.leaves(seen(spec, observation))
        vector = jnp.concatenate([jnp.ravel(leaf).astype(jnp.float32) for leaf in rest])
        return beside_mask(spec, vector, observation)

    _, observation = jax.eval_shape(environment.reset, jax.random.key(0), environment.params)
    rest = jax.eval_shape(lambda observation: seen(spec, observation), observation)
    sizes = [leaf.size for leaf in jax.tree.leaves(rest)]
    spaces = list(parts_of(seen_space(spec)).values())
    spaces = spaces if len(spaces) == len(sizes) else [None] * len(sizes)
    bounds = [_flat_bounds(space, size) for space, size in zip(spaces, sizes, strict=True)]
    low, high = (np.concatenate(bound) for bound in zip(*bounds, strict=True))
    return map_observation(environment, flatten, beside_mask_space(spec, Box.from_arrays(low, high, (sum(sizes),))))


def _flat_bounds(space: Space | None, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of every entry of a part; none where it is no `Box`."""
    low, high = (space.low, space.high) if isinstance(space, Box) else (-np.inf, np.inf)
    shape = space.shape if isinstance(low, tuple) or isinstance(high, tuple) else (size,)
    return np.broadcast_to(low, shape).ravel(), np.broadcast_to(high, shape).ravel()


def action_mask(
    environment: Environment,
    legal: Callable[[PyTree, PyTree], Bool[Array, "..."]],
    name: str = "action_mask",
) -> Environment:
    """Adds a mask of legal actions to observations: `action_mask(env, lambda state, params: state.legal)`.

    Observations become a `Dict` of `observation`, what they were, and the mask, or have one part more where they are a
    `Dict` already. See `EnvironmentSpec.action_mask`.

    Args:
        environment: with `Discrete` or `MultiDiscrete` actions.
        legal: `(state, params) -> flags` of any shape, in row-major order one per action, or one per value of each
            choice in turn.
        name: of the part.

    Raises:
        ValueError: for other actions, a mask that is there already, or a part of that name.
    """
    spec = environment.spec
    parts = dict(spec.observation.parts) if isinstance(spec.observation, Dict) else {OBSERVATION: spec.observation}
    if not isinstance(spec.action, Discrete | MultiDiscrete):
        raise ValueError(f"an action mask needs Discrete or MultiDiscrete actions, {spec.name} has {spec.action}")
    if spec.action_mask or name in parts:
        raise ValueError(f"{spec.name} has a mask or a part {name!r} already: its observations are {spec.observation}")

    def add(state: PyTree, observation: PyTree, params: PyTree) -> dict[str, PyTree]:
        own = observation if isinstance(spec.observation, Dict) else {OBSERVATION: observation}
        return {**own, name: jnp.ravel(legal(state, params))}

    def reset(key: PRNGKeyArray, params: PyTree) -> tuple[PyTree, PyTree]:
        state, observation = environment.reset(key, params)
        return state, add(state, observation, params)

    def step(key: PRNGKeyArray, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep]:
        state, timestep = environment.step(key, state, action, params)
        return state, timestep._replace(observation=add(state, timestep.observation, params))

    masked = replace(spec, observation=Dict({**parts, name: mask_space(spec.action)}), action_mask=name)
    return environment._replace(reset=reset, step=step, spec=masked, **WITHOUT_OPTIONAL)
