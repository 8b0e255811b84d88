"""Craftax (craftax 1.6.1), Crafter and a dungeon of nine floors in JAX, its constants as the traced leaf."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.gymnax import traced
from jaxrl.environments.spaces import Box, Discrete
from jaxrl.errors import missing_extra, require_name
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["make", "names"]

_NAMES = (
    "Craftax-Symbolic-v1",
    "Craftax-Pixels-v1",
    "Craftax-Classic-Symbolic-v1",
    "Craftax-Classic-Pixels-v1",
)
# Craftax pays a tenth of what health is gained or lost; the rest is for achievements.
_HEALTH = 0.1
_NEVER = 2**31 - 1


def names() -> tuple[str, ...]:
    """Every id of craftax, whether or not craftax is installed."""
    return _NAMES


def make(name: str, objectives: str = "sum", limit: int | None = None, **options: Any) -> Environment:
    """Builds a world of Craftax; its params are craftax's own `EnvParams`, its state craftax's own.

    The reward is rₜ = Σ cᵢ over achievements i that are new in step t, plus 0.1 of the health gained or lost; cᵢ is 1
    in Classic, and 1, 3, 5 or 8 by difficulty in the full game.

    An episode is terminated by death, in Classic also by standing in lava, in the full game also by the defeat of the
    last boss. After `max_timesteps` steps it is truncated, unless it is terminated on the same step; craftax reports
    one flag and a discount of 0 for all of these.

    craftax prepares its textures when it is first used, also where none are drawn, and keeps them beside its modules:
    a minute or two for Classic, and up to ten for the full game on a slow core.

    Args:
        name: one of `names()`. `Symbolic` observations are a vector: the cells around, one-hot, then what is carried
            and how one fares; `Pixels` are an image of floats in [0, 1], `[height, width, 3]`.
        objectives: `sum` for craftax's reward, or `components` for two objectives that add up to it, `achievements`
            and `health`.
        limit: steps after which an episode is truncated, the default of `params.max_timesteps`; default craftax's,
            10,000 in Classic and 100,000 in the full game.
        options: static options, fields of craftax's `StaticEnvParams`, such as `map_size` or `max_zombies`.

    Raises:
        ImportError: if the extra `craftax` is not installed.
        UnknownNameError: for an unknown name, choice of objectives or option.
        ValueError: for a limit below 1.
    """
    require_name("craftax environment", name, _NAMES)
    require_name("choice of objectives", objectives, ("sum", "components"))
    if limit is not None and limit < 1:
        raise ValueError(f"time limit must be at least 1, got {limit}")
    try:
        from craftax.craftax_env import make_craftax_env_from_name
    except ImportError as error:
        raise missing_extra("craftax", "craftax") from error
    task = make_craftax_env_from_name(name, auto_reset=False)
    static = task.default_static_params()
    for option in options:
        require_name(f"option of craftax/{name}", option, vars(static))
    if options:
        task = type(task)(static.replace(**options))
    params = task.default_params
    if limit is not None:
        params = params.replace(max_timesteps=limit)
    return _adapt(task, params, f"craftax/{name}", objectives == "components")


def _adapt(task: Any, params: Any, name: str, components: bool) -> Environment:
    def reset(key: PRNGKeyArray, params: PyTree) -> tuple[PyTree, Array]:
        observation, state = task.reset_env(key, params)
        return jax.tree.map(jnp.asarray, state), observation

    def step(key: PRNGKeyArray, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep]:
        observation, after, reward, done, _ = task.step_env(key, state, action, params)
        after = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), after, state)
        terminated = jnp.asarray(task.is_terminal(after, params.replace(max_timesteps=_NEVER)), bool)
        health = _HEALTH * (after.player_health - state.player_health)
        parts = (reward - health, health) if components else (reward,)
        rewards = jnp.stack([jnp.asarray(part, jnp.float32) for part in parts])
        return after, Timestep(observation, rewards, terminated, jnp.asarray(done, bool) & ~terminated, {})

    seen = jax.eval_shape(task.reset_env, jax.random.key(0), params)[0]
    spec = EnvironmentSpec(
        name=name,
        observation=Box(0.0, 1.0, seen.shape, np.dtype(seen.dtype).name),
        action=Discrete(int(task.num_actions)),
        num_objectives=2 if components else 1,
        objective_names=("achievements", "health") if components else (),
        time_limit=int(params.max_timesteps),
        costly_reset=True,
    )
    return Environment(reset, step, traced(params), spec)
