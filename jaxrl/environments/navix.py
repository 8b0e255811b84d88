"""navix's grid worlds (navix 0.7.4), MiniGrid in JAX, stepped without navix's own reset."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Box, Discrete
from jaxrl.errors import missing_extra, require_name
from jaxrl.types import Array, Int, PRNGKeyArray, PyTree

__all__ = ["OBSERVATIONS", "NavixState", "make", "names"]

_NAMES = (
    "Navix-Empty-5x5-v0",
    "Navix-Empty-6x6-v0",
    "Navix-Empty-8x8-v0",
    "Navix-Empty-16x16-v0",
    "Navix-Empty-Random-5x5-v0",
    "Navix-Empty-Random-6x6-v0",
    "Navix-Empty-Random-8x8-v0",
    "Navix-Empty-Random-16x16-v0",
    "Navix-DoorKey-5x5-v0",
    "Navix-DoorKey-6x6-v0",
    "Navix-DoorKey-8x8-v0",
    "Navix-DoorKey-16x16-v0",
    "Navix-DoorKey-Random-5x5-v0",
    "Navix-DoorKey-Random-6x6-v0",
    "Navix-DoorKey-Random-8x8-v0",
    "Navix-DoorKey-Random-16x16-v0",
    "Navix-Dynamic-Obstacles-5x5-v0",
    "Navix-Dynamic-Obstacles-5x5-Random-v0",
    "Navix-Dynamic-Obstacles-6x6-v0",
    "Navix-Dynamic-Obstacles-6x6-Random-v0",
    "Navix-Dynamic-Obstacles-8x8-v0",
    "Navix-Dynamic-Obstacles-16x16-v0",
    "Navix-GoToDoor-5x5-v0",
    "Navix-GoToDoor-6x6-v0",
    "Navix-GoToDoor-8x8-v0",
    "Navix-KeyCorridorS3R1-v0",
    "Navix-KeyCorridorS3R2-v0",
    "Navix-KeyCorridorS3R3-v0",
    "Navix-KeyCorridorS4R3-v0",
    "Navix-KeyCorridorS5R3-v0",
    "Navix-KeyCorridorS6R3-v0",
    "Navix-LavaGapS5-v0",
    "Navix-LavaGapS6-v0",
    "Navix-LavaGapS7-v0",
    "Navix-SimpleCrossingS9N1-v0",
    "Navix-SimpleCrossingS9N2-v0",
    "Navix-SimpleCrossingS9N3-v0",
    "Navix-SimpleCrossingS11N5-v0",
    "Navix-DistShift1-v0",
    "Navix-DistShift2-v0",
    "Navix-FourRooms-v0",
)
OBSERVATIONS = (
    "symbolic",
    "symbolic_first_person",
    "categorical",
    "categorical_first_person",
    "rgb",
    "rgb_first_person",
)
"""What may be seen, of the whole grid or of what lies ahead: kind, colour and state of every cell, kinds, or pixels."""


class NavixState(NamedTuple):
    """What an episode carries from step to step.

    Attributes:
        steps: since the reset.
        inner: navix's own state; its pictures of cells are left out where nothing is drawn.
    """

    steps: Int[Array, ""]
    inner: PyTree


def names() -> tuple[str, ...]:
    """Every id of navix, whether or not navix is installed."""
    return _NAMES


def make(name: str, observation: str = "symbolic", limit: int = 100, **options: Any) -> Environment:
    """Builds a grid world of navix; it has no params.

    What navix calls a termination is terminated, and what it calls a truncation, at `limit`, truncated; a step that
    does both is terminated. No observation of navix names the door to go to in `GoToDoor`, or shows what is carried.

    Args:
        name: one of `names()`.
        observation: one of `OBSERVATIONS`.
        limit: steps after which an episode is truncated. navix has 100 for every size, where MiniGrid has more for
            larger ones.
        options: static options of navix's constructor, such as `penality_coeff` or `reward_fn`.

    Raises:
        ImportError: if the extra `navix` is not installed.
        UnknownNameError: for an unknown name or kind of observation.
        ValueError: for a limit below 1.
    """
    require_name("navix environment", name, _NAMES)
    require_name("kind of observation", observation, OBSERVATIONS)
    if limit < 1:
        raise ValueError(f"time limit must be at least 1, got {limit}")
    try:
        import navix
    except ImportError as error:
        raise missing_extra("navix", "navix") from error
    task = navix.make(name, max_steps=limit, observation_fn=getattr(navix.observations, observation), **options)
    return _adapt(task, f"navix/{name}", navix.Timestep, drawn=observation.startswith("rgb"))


def _adapt(task: Any, name: str, timestep_type: type, drawn: bool) -> Environment:
    def kept(state: Any) -> Any:
        # A picture of every cell, which only pixels need.
        return state if drawn else state.replace(cache=None)

    def reset(key: PRNGKeyArray, params: tuple) -> tuple[NavixState, Array]:
        start = task.reset(key)
        return NavixState(start.t, kept(start.state)), start.observation

    def step(key: PRNGKeyArray, state: NavixState, action: Array, params: tuple) -> tuple[NavixState, Timestep]:
        del key  # what is random after a reset draws from navix's own state
        zero = jnp.zeros((), jnp.int32)
        # Observation, action and reward of the step before are written, never read. `step` would reset.
        before = timestep_type(
            t=state.steps, observation=zero, action=zero, reward=jnp.zeros(()), step_type=zero, state=state.inner
        )
        after = task._step(before, action)
        reward = jnp.asarray(after.reward, jnp.float32).reshape(1)
        timestep = Timestep(after.observation, reward, after.is_termination(), after.is_truncation(), {})
        return NavixState(after.t, kept(after.state)), timestep

    seen = jax.eval_shape(task.reset, jax.random.key(0)).observation
    low, high = (0.0, 255.0) if seen.dtype == jnp.uint8 else (-np.inf, np.inf)
    spec = EnvironmentSpec(
        name=name,
        observation=Box(low, high, seen.shape, seen.dtype.name),
        action=Discrete(int(task.action_space.maximum) + 1),
        time_limit=int(task.max_steps),
    )
    return Environment(reset, step, (), spec)
