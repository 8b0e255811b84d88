"""XLand-MiniGrid (xminigrid 0.9.3): rules and goals in grid worlds, and MiniGrid's, stepped without its wrappers."""

from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Box, Discrete
from jaxrl.errors import missing_extra, require_name
from jaxrl.types import Array, Int, PRNGKeyArray, PyTree

__all__ = ["RulesetParams", "make", "names"]

_NAMES = (
    "XLand-MiniGrid-R1-9x9",
    "XLand-MiniGrid-R1-11x11",
    "XLand-MiniGrid-R1-13x13",
    "XLand-MiniGrid-R1-15x15",
    "XLand-MiniGrid-R1-17x17",
    "XLand-MiniGrid-R2-9x9",
    "XLand-MiniGrid-R2-11x11",
    "XLand-MiniGrid-R2-13x13",
    "XLand-MiniGrid-R2-15x15",
    "XLand-MiniGrid-R2-17x17",
    "XLand-MiniGrid-R4-9x9",
    "XLand-MiniGrid-R4-11x11",
    "XLand-MiniGrid-R4-13x13",
    "XLand-MiniGrid-R4-15x15",
    "XLand-MiniGrid-R4-17x17",
    "XLand-MiniGrid-R6-13x13",
    "XLand-MiniGrid-R6-17x17",
    "XLand-MiniGrid-R6-19x19",
    "XLand-MiniGrid-R9-16x16",
    "XLand-MiniGrid-R9-19x19",
    "XLand-MiniGrid-R9-25x25",
    "MiniGrid-DoorKey-5x5",
    "MiniGrid-DoorKey-6x6",
    "MiniGrid-DoorKey-8x8",
    "MiniGrid-DoorKey-16x16",
    "MiniGrid-Empty-5x5",
    "MiniGrid-Empty-6x6",
    "MiniGrid-Empty-8x8",
    "MiniGrid-Empty-16x16",
    "MiniGrid-EmptyRandom-5x5",
    "MiniGrid-EmptyRandom-6x6",
    "MiniGrid-EmptyRandom-8x8",
    "MiniGrid-EmptyRandom-16x16",
    "MiniGrid-MemoryS8",
    "MiniGrid-MemoryS16",
    "MiniGrid-MemoryS32",
    "MiniGrid-MemoryS64",
    "MiniGrid-MemoryS128",
    "MiniGrid-BlockedUnlockPickUp",
    "MiniGrid-FourRooms",
    "MiniGrid-LockedRoom",
    "MiniGrid-Playground",
    "MiniGrid-Unlock",
    "MiniGrid-UnlockPickUp",
)
_RULED = tuple(name for name in _NAMES if name.startswith("XLand-"))
# Kinds of cells and colours that an observation may hold, 0 .. 12.
_HIGHEST = 12.0


class RulesetParams(NamedTuple):
    """What is to be done, and what changes what, in an `XLand-MiniGrid-...`: traced, so that tasks are a batch of them.

    Attributes:
        goal: what ends an episode, as xminigrid encodes it.
        rules: what becomes of things that meet, one row each.
        init_tiles: kind and colour of what lies around at the start.
    """

    goal: Int[Array, " code"]
    rules: Int[Array, "rule code"]
    init_tiles: Int[Array, "tile 2"]


def names() -> tuple[str, ...]:
    """Every id of xminigrid, whether or not xminigrid is installed."""
    return _NAMES


def make(name: str, ruleset: Any = None, **options: Any) -> Environment:
    """Builds a grid world of xminigrid; its params are `RulesetParams` for `XLand-MiniGrid-...`, and nothing else's.

    An episode whose goal is reached is terminated; one that has lasted `max_steps` is truncated, unless both happen on
    the same step. An observation is the kind and colour of the cells ahead: those that are hidden are not marked, and
    what is carried is not shown.

    Args:
        name: one of `names()`.
        ruleset: of an `XLand-MiniGrid-...`, anything with `goal`, `rules` and `init_tiles`, such as
            `xminigrid.load_benchmark(...).get_ruleset(0)`, which downloads. Default a small one of ours: a red ball and
            a blue square become a yellow star where they meet, next to which is the goal; a green pyramid distracts.
        options: static fields of xminigrid's parameters, such as `view_size` or `max_steps`.

    Raises:
        ImportError: if the extra `xminigrid` is not installed.
        UnknownNameError: for an unknown name or option.
        ValueError: for a ruleset where there are no rules.
    """
    require_name("xminigrid environment", name, _NAMES)
    if ruleset is not None and name not in _RULED:
        raise ValueError(f"xminigrid/{name} has no rules to be set: ruleset is for XLand-MiniGrid-...")
    try:
        import xminigrid
    except ImportError as error:
        raise missing_extra("xminigrid", "xminigrid") from error
    known = set(vars(xminigrid.make(name)[1])) - {"ruleset", "grid_type", "render_mode"}
    for option in options:
        require_name(f"option of xminigrid/{name}", option, known)
    task, static = xminigrid.make(name, **options)
    params: Any = ()
    if name in _RULED:
        chosen = _example() if ruleset is None else ruleset
        params = RulesetParams(*(jnp.asarray(getattr(chosen, field)) for field in RulesetParams._fields))
    return _adapt(task, static, params, f"xminigrid/{name}")


def _example() -> Any:
    from xminigrid.core.constants import TILES_REGISTRY, Colors, Tiles
    from xminigrid.core.goals import AgentNearGoal
    from xminigrid.core.rules import TileNearRule
    from xminigrid.types import RuleSet

    ball, square = TILES_REGISTRY[Tiles.BALL, Colors.RED], TILES_REGISTRY[Tiles.SQUARE, Colors.BLUE]
    star, pyramid = TILES_REGISTRY[Tiles.STAR, Colors.YELLOW], TILES_REGISTRY[Tiles.PYRAMID, Colors.GREEN]
    rule = TileNearRule(tile_a=ball, tile_b=square, prod_tile=star)
    return RuleSet(
        goal=AgentNearGoal(tile=star).encode(),
        rules=rule.encode()[None],
        init_tiles=jnp.stack([ball, square, pyramid]),
    )


def _adapt(task: Any, static: Any, params: PyTree, name: str) -> Environment:
    def with_rules(params: PyTree) -> Any:
        return static.replace(ruleset=static.ruleset.replace(**params._asdict())) if params else static

    def reset(key: PRNGKeyArray, params: PyTree) -> tuple[PyTree, Array]:
        start = task.reset(with_rules(params), key)
        return start.state, start.observation

    def step(key: PRNGKeyArray, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep]:
        del key  # xminigrid is deterministic after its reset
        after = task.step(with_rules(params), timestep(state), action)
        # What ends without a goal reached reports a discount of 1, as do steps on the way.
        terminated = after.last() & (after.discount == 0.0)
        reward = jnp.asarray(after.reward, jnp.float32).reshape(1)
        return after.state, Timestep(after.observation, reward, terminated, after.last() & ~terminated, {})

    from xminigrid.types import StepType, TimeStep

    zero = partial(jnp.zeros, ())

    def timestep(state: PyTree) -> Any:
        # Only the state of the step before is read.
        return TimeStep(state=state, step_type=StepType.MID, reward=zero(), discount=zero(), observation=zero())

    spec = EnvironmentSpec(
        name=name,
        observation=Box(0.0, _HIGHEST, tuple(task.observation_shape(static)), "uint8"),
        action=Discrete(int(task.num_actions(static))),
        time_limit=int(static.max_steps),
    )
    return Environment(reset, step, params, spec)
