"""gymnax environments (gymnax >= 1.0.1), stepped through `step_env`, their params as the traced leaf."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.deferred import deferred
from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Box, Dict, Discrete, Space, Tuple
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["from_gymnax", "make", "names", "traced"]

# gymnax imports what it draws with, which takes longer than JAX and which no environment needs.
try:
    with deferred("matplotlib", "matplotlib.animation", "matplotlib.colors", "matplotlib.pyplot", "seaborn"):
        import gymnax
except ImportError:
    import gymnax
from gymnax.environments import spaces as gymnax_spaces

# Needs a download of its data at construction.
_OFFLINE_UNAVAILABLE = ("MNISTBandit-bsuite",)
# gymnax 1.0.1 declares bounds that these environments' own observations leave.
_WRONG_BOUNDS = ("GaussianBandit-misc", "MemoryChain-bsuite", "MetaMaze-misc")
_ALONE = (
    "total_mass and polemass_length do not follow it in gymnax; "
    "sweep total_mass, gravity or force_mag, or draw lengths and masses together with multitask/cart-pole"
)
# Parameters of gymnax 1.0.1 that do not do what they are called, and what to sweep instead.
_UNSWEPT = {
    "Acrobot-v1": (("link_length_2", "it changes nothing in gymnax; sweep link_com_pos_2 or link_length_1"),),
    "CartPole-v1": (
        ("masscart", "it changes nothing in gymnax; sweep total_mass"),
        ("masspole", _ALONE),
        ("length", _ALONE),
        ("polemass_length", _ALONE),
    ),
}


@lru_cache
def names() -> tuple[str, ...]:
    """Every id that gymnax registers and that runs without a download."""
    return tuple(name for name in gymnax.registered_envs if name not in _OFFLINE_UNAVAILABLE)


def make(name: str, **options: Any) -> Environment:
    """Builds a registered gymnax environment; `options` go to its constructor."""
    environment, params = gymnax.make(name, **options)
    adapted = from_gymnax(environment, params, name=f"gymnax/{name}")
    spec = replace(adapted.spec, unswept=_UNSWEPT.get(name, ()))
    if name in _WRONG_BOUNDS:
        spec = replace(spec, observation=replace(spec.observation, low=-np.inf, high=np.inf))
    return adapted._replace(spec=spec)


def from_gymnax(environment: Any, params: PyTree = None, name: str | None = None) -> Environment:
    """Adapts any environment written against gymnax 1.x.

    Termination and truncation stay apart: `step_env` reports termination, `is_truncated` the
    time limit, and a step that does both counts as terminated. Observations of several parts are a `dict` or a `tuple`;
    one of the parts may be named as the mask of legal actions afterwards:
    `env._replace(spec=dataclasses.replace(env.spec, action_mask="legal"))`.

    Args:
        environment: a `gymnax.environments.environment.Environment`.
        params: its parameters; default `environment.default_params`. Every numeric leaf is traced.
        name: shown in reports; default `gymnax/<class name>`.
    """
    params = environment.default_params if params is None else params
    observation_space = _space(environment.observation_space(params))

    def observe(observation: PyTree) -> PyTree:
        return _as_declared(observation_space, observation)

    def reset(key: PRNGKeyArray, params: PyTree) -> tuple[PyTree, PyTree]:
        observation, state = environment.reset_env(key, params)
        return jax.tree.map(jnp.asarray, state), observe(observation)

    def step(key: PRNGKeyArray, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep]:
        observation, next_state, reward, terminated, _ = environment.step_env(key, state, action, params)
        next_state = jax.tree.map(lambda new, old: jnp.asarray(new, jnp.asarray(old).dtype), next_state, state)
        terminated = jnp.asarray(terminated, bool)
        truncated = jnp.asarray(environment.is_truncated(next_state, params), bool) & ~terminated
        reward = jnp.asarray(reward, jnp.float32).reshape(1)
        return next_state, Timestep(observe(observation), reward, terminated, truncated, {})

    limit = getattr(params, "max_steps_in_episode", None)
    spec = EnvironmentSpec(
        name=name or f"gymnax/{type(environment).__name__}",
        observation=observation_space,
        action=_space(environment.action_space(params)),
        time_limit=None if limit is None else int(limit),
    )
    return Environment(reset, step, traced(params), spec)


def traced(params: PyTree) -> PyTree:
    """Parameters as arrays, so that none of them is baked into a program."""

    def as_array(leaf: Any) -> Any:
        if not isinstance(leaf, bool | int | float | np.ndarray | np.generic | jax.Array):
            return leaf
        array = jnp.asarray(leaf)
        return array.astype(jnp.float32) if jnp.issubdtype(array.dtype, jnp.floating) else array

    return jax.tree.map(as_array, params)


def _as_declared(space: Space, observation: PyTree) -> PyTree:
    """An observation in its spaces' types; parts of a `Dict` may be entries or attributes, as in gymnax."""
    if isinstance(space, Dict):
        of = observation.__getitem__ if isinstance(observation, Mapping) else partial(getattr, observation)
        return {name: _as_declared(part, of(name)) for name, part in space.parts}
    if isinstance(space, Tuple):
        return tuple(_as_declared(part, entry) for part, entry in zip(space.parts, observation, strict=True))
    return jnp.asarray(observation, space.dtype)


def _space(space: Any) -> Space:
    if isinstance(space, gymnax_spaces.Discrete):
        return Discrete(int(space.n))
    if isinstance(space, gymnax_spaces.Box):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dtype = np.dtype(space.dtype)
            dtype = "float32" if np.issubdtype(dtype, np.floating) else "bool" if dtype.kind == "b" else "int32"
            low, high = np.asarray(space.low, np.float64), np.asarray(space.high, np.float64)
            return Box.from_arrays(low, high, tuple(space.shape), dtype)
    if isinstance(space, gymnax_spaces.Dict):
        return Dict({name: _space(part) for name, part in space.spaces.items()})
    if isinstance(space, gymnax_spaces.Tuple):
        return Tuple(map(_space, space.spaces))
    raise ValueError(
        f"gymnax space {type(space).__name__} is not supported; allowed: Discrete, Box, Dict, Tuple. "
        "Flatten it in the environment's observe method."
    )
