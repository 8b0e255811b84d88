"""Grid-worlds with objects to collect: the task family of LPG and GROOVE."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import jax

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.grid import dynamics
from jaxrl.environments.grid.dynamics import GridParams, GridState
from jaxrl.environments.grid.levels import LEVELS, LevelDistribution
from jaxrl.environments.spaces import Box, Discrete
from jaxrl.environments.transforms import action_mask as with_mask
from jaxrl.errors import require_name
from jaxrl.types import Array, Int, PRNGKeyArray

__all__ = ["grid"]

_OBSERVE: dict[str, Callable[[GridState, GridParams], Array]] = {
    "index": dynamics.observe_index,
    "planes": dynamics.observe_planes,
}


def grid(
    levels: str | LevelDistribution = "tiny",
    observation: Literal["index", "planes"] | str = "index",
    relocate: bool = False,
    limit: int | None = None,
    action_mask: bool = False,
) -> Environment:
    """Builds a grid-world whose default level is the one that `levels` draws from key 0.

    r = Σ rewards of the objects that are in the agent's cell after its move and existed before it.
    Collecting may end the episode, and collected objects reappear at random (see `dynamics.step`).
    Any level of the distribution is a value of `params`; `sample_params` draws one.

    Source: Oh et al., 2020 (arXiv 2007.08794), appendix on training environments; Jackson et al.,
    2023 (arXiv 2310.02782), whose `rand_*` family is `relocate`. Actions: up, down, left, right, stay.

    Args:
        levels: a name in `LEVELS`, or a distribution of your own.
        observation: `index`, one integer, cell + max_size²·(bits of the objects that exist), `Discrete`;
            `planes`, float32 [max_size, max_size, 2 + num_objects] of 0 and 1: agent, cells that cannot be
            entered, one plane per object.
        relocate: whether objects start and reappear in random free cells instead of their level's.
        limit: bound on every level's `max_steps`; default that of the distribution.
        action_mask: whether observations are a `Dict` of that observation and the part `action_mask`, which allows
            moves to other cells, and staying.

    Raises:
        UnknownNameError: for an unknown distribution or observation.
        ValueError: for a limit below 1, or `relocate` with observations that do not say where objects are.
    """
    if isinstance(levels, str):
        levels = LEVELS[require_name("grid levels", levels, LEVELS)]
    require_name("grid observation", observation, _OBSERVE)
    if relocate and observation != "planes":
        raise ValueError(f"relocate=True needs observation='planes', got observation={observation!r}")
    limit = levels.limit if limit is None else limit
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    planes = Box(0.0, 1.0, (levels.max_size, levels.max_size, 2 + levels.num_objects))
    spec = EnvironmentSpec(
        name=f"grid/{levels.name}",
        observation=planes if observation == "planes" else Discrete(levels.max_size**2 * 2**levels.num_objects),
        action=Discrete(dynamics.NUM_ACTIONS),
        time_limit=limit,
    )
    observe = _OBSERVE[observation]
    environment = Environment(
        reset=partial(_reset, observe, relocate),
        step=partial(_step, observe, relocate, limit),
        params=jax.jit(levels.sample)(jax.random.key(0)),
        spec=spec,
        sample_params=levels.sample,
    )
    return with_mask(environment, dynamics.legal_moves) if action_mask else environment


def _reset(observe: Callable, relocate: bool, key: PRNGKeyArray, params: GridParams) -> tuple[GridState, Array]:
    state = dynamics.reset(relocate, key, params)
    return state, observe(state, params)


def _step(
    observe: Callable,
    relocate: bool,
    limit: int,
    key: PRNGKeyArray,
    state: GridState,
    action: Int[Array, ""],
    params: GridParams,
) -> tuple[GridState, Timestep]:
    state, reward, terminated, truncated = dynamics.step(limit, relocate, key, state, action, params)
    return state, Timestep(observe(state, params), reward, terminated, truncated, {})
