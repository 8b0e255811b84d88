"""pgx's games (pgx 2.6.0) for one player: MinAtar and 2048, and games of several against opponents that are given."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.masks import OBSERVATION
from jaxrl.environments.spaces import Box, Dict, Discrete
from jaxrl.environments.transforms import time_limit
from jaxrl.errors import missing_extra, require_name
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = ["OPPONENTS", "Opponent", "PgxState", "make", "names"]

# bridge_bidding is left out: it needs tables of a solver that are downloaded.
_NAMES = (
    "2048",
    "animal_shogi",
    "backgammon",
    "chess",
    "connect_four",
    "gardner_chess",
    "go_19x19",
    "go_9x9",
    "hex",
    "kuhn_poker",
    "leduc_holdem",
    "minatar-asterix",
    "minatar-breakout",
    "minatar-freeway",
    "minatar-seaquest",
    "minatar-space_invaders",
    "othello",
    "shogi",
    "sparrow_mahjong",
    "tic_tac_toe",
)
_MASK = "action_mask"
# Moves of both players after which pgx ends a game, and whether it is scored there as if it had ended by itself.
_PLIES = {
    "animal_shogi": (256, False),
    "chess": (512, False),
    "gardner_chess": (256, False),
    "go_19x19": (722, True),
    "go_9x9": (162, True),
    "shogi": (512, False),
}
# Moves of the longest game whose observations leave out how the players bet.
_BETS = {"kuhn_poker": 3, "leduc_holdem": 8}
_US = 0

Opponent = Callable[[PRNGKeyArray, PyTree], Array]
"""`(key, observation) -> action`, of what its player sees, with a mask: a `Policy`, or a function of one's own."""


class PgxState(NamedTuple):
    """What an episode carries from step to step.

    Attributes:
        inner: pgx's own state.
        bets: of the two pokers, every move so far of both players, one-hot, in order; else without rows.
    """

    inner: PyTree
    bets: Bool[Array, "move action"]


def _uniform(key: PRNGKeyArray, observation: PyTree) -> Array:
    """Any legal action, all equally likely."""
    return jax.random.categorical(key, jnp.where(observation[_MASK], 0.0, -jnp.inf))


def _first(key: PRNGKeyArray, observation: PyTree) -> Array:
    """The legal action of the lowest number."""
    del key
    return jnp.argmax(observation[_MASK])


OPPONENTS: dict[str, Opponent] = {"uniform": _uniform, "first": _first}
"""Opponents by name."""


def names() -> tuple[str, ...]:
    """Every game of pgx that is built without a download, whether or not pgx is installed."""
    return _NAMES


def make(name: str, opponent: str | Opponent = "uniform", limit: int | None = None, **options: Any) -> Environment:
    """Builds a game of pgx; it has no params.

    MinAtar and 2048 have one player. In the other games the agent is one of two players, or of three in
    `sparrow_mahjong`; which of them moves first is drawn by pgx at every reset. A step is the agent's move and those
    of its opponents until it is the agent's turn again or the game has ended, and a reward is the sum of the agent's
    over them. A game that opponents end before the agent has moved is dealt again.

    Observations are pgx's for the agent's own side, beside a mask of legal actions, which in MinAtar is left out, for
    there all are legal. In pgx an illegal action ends the game and loses it: policies that keep to the mask never see
    that. A game that has ended is terminated. chess, gardner_chess, shogi and animal_shogi are called off after 512 or
    256 moves of both players, which pgx reports as an end, too: here a game without a winner is truncated at that
    move. Go is scored at its limit of 2 · size² moves, and terminated.

    pgx's observations of `kuhn_poker` and `leduc_holdem` are no information states: they hold cards and chips, not
    who bet what: a pass by the other player looks like no move at all. They tell 6 of Kuhn's 12 information sets apart
    and 81 of Leduc's 288. Here all bets so far follow them, one-hot, as `[3 · 2]` and `[8 · 3]` flags in the order of
    moves, which tells all of them apart.

    Args:
        name: one of `names()`.
        opponent: of games of several: `uniform` over legal actions, `first` for the legal action of the lowest number,
            or `(key, observation) -> action`, such as a `jaxrl.Policy` that was trained on the same game.
        limit: steps after which an episode is truncated; default none but the game's own. Games of MinAtar, which a
            good player never ends, need one.
        options: of the constructor of a MinAtar, `sticky_action_prob` and `use_minimal_action_set`.

    Raises:
        ImportError: if the extra `pgx` is not installed.
        UnknownNameError: for an unknown name, opponent or option.
        ValueError: for an opponent where there is none, or a limit below 1.
    """
    require_name("pgx game", name, _NAMES)
    chosen = OPPONENTS[require_name("opponent", opponent, OPPONENTS)] if isinstance(opponent, str) else opponent
    if not callable(chosen):
        raise ValueError(f"an opponent is one of {', '.join(OPPONENTS)} or a function, got {opponent!r}")
    for option in options:
        allowed = ("sticky_action_prob", "use_minimal_action_set") if name.startswith("minatar-") else ()
        require_name(f"option of pgx/{name}", option, ("limit", "opponent", *allowed))
    try:
        import pgx
    except ImportError as error:
        raise missing_extra("pgx", "pgx") from error
    task = pgx.make(name)
    if options:
        task = type(task)(**options)
    if task.num_players == 1 and opponent != "uniform":
        raise ValueError(f"pgx/{name} has one player: opponent is for games of several")
    adapted = _adapt(_Game(task, name, chosen))
    return adapted if limit is None else time_limit(adapted, limit)


class _Game(NamedTuple):
    """A game, its name and who plays the others; static."""

    task: Any
    name: str
    opponent: Opponent

    @property
    def masked(self) -> bool:
        """Whether some actions may be illegal."""
        return not self.name.startswith("minatar-")


def _adapt(game: _Game) -> Environment:
    task = game.task

    def reset(key: PRNGKeyArray, params: tuple) -> tuple[PgxState, PyTree]:
        state = _deal(game, key)
        return state, _observe(game, state)

    def step(key: PRNGKeyArray, state: PgxState, action: Array, params: tuple) -> tuple[PgxState, Timestep]:
        own_key, others_key = jax.random.split(key)
        state = _move(game, own_key, state, action)
        state, reward = _others(game, others_key, state, state.inner.rewards[_US])
        called_off = _called_off(game, state.inner)
        terminated = state.inner.terminated & ~called_off
        return state, Timestep(_observe(game, state), reward[None], terminated, called_off, {})

    seen = jax.eval_shape(partial(reset, params=()), jax.random.key(0))[1]
    part = seen[OBSERVATION] if game.masked else seen
    flags = part.dtype == jnp.bool_
    space = Box(0.0 if flags else -np.inf, 1.0 if flags else np.inf, part.shape, part.dtype.name)
    mask = Box(0.0, 1.0, (int(task.num_actions),), "bool")
    plies = _PLIES.get(game.name, (None, False))[0]
    spec = EnvironmentSpec(
        name=f"pgx/{game.name}",
        observation=Dict({OBSERVATION: space, _MASK: mask}) if game.masked else space,
        action=Discrete(int(task.num_actions)),
        time_limit=None if plies is None else plies // 2,
        action_mask=_MASK if game.masked else None,
    )
    return Environment(reset, step, (), spec)


def _deal(game: _Game, key: PRNGKeyArray) -> PgxState:
    """A state in which the agent is to move."""

    def deal(key: PRNGKeyArray) -> PgxState:
        deal_key, others_key = jax.random.split(key)
        inner = game.task.init(deal_key)
        bets = jnp.zeros((_BETS.get(game.name, 0), inner.legal_action_mask.shape[0]), bool)
        return _others(game, others_key, PgxState(inner, bets), jnp.zeros(()))[0]

    def again(carry: tuple[PRNGKeyArray, PgxState]) -> tuple[PRNGKeyArray, PgxState]:
        key, now = jax.random.split(carry[0])
        return key, deal(now)

    if game.task.num_players == 1:
        return deal(key)
    key, now = jax.random.split(key)
    return jax.lax.while_loop(lambda carry: carry[1].inner.terminated, again, (key, deal(now)))[1]


def _move(game: _Game, key: PRNGKeyArray, state: PgxState, action: Array) -> PgxState:
    """A move of whoever's turn it is."""
    bets = state.bets
    if game.name in _BETS:
        bets = bets.at[state.inner._step_count, action].set(True, mode="drop")
    after = game.task.step(state.inner, action, key)
    # Some of pgx's numbers are of weak types.
    return PgxState(jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), after, state.inner), bets)


def _others(
    game: _Game, key: PRNGKeyArray, state: PgxState, reward: Float[Array, ""]
) -> tuple[PgxState, Float[Array, ""]]:
    """Moves of the opponents until it is the agent's turn or the game has ended, and `reward` with its own of them."""
    if game.task.num_players == 1:
        return state, reward

    def theirs(carry: tuple) -> Bool[Array, ""]:
        inner = carry[1].inner
        return (inner.current_player != _US) & ~inner.terminated

    def move(carry: tuple) -> tuple:
        key, state, reward = carry
        key, act_key, step_key = jax.random.split(key, 3)
        action = game.opponent(act_key, _seen(game, state, state.inner.observation))
        state = _move(game, step_key, state, jnp.asarray(action, jnp.int32))
        return key, state, reward + state.inner.rewards[_US]

    return jax.lax.while_loop(theirs, move, (key, state, reward))[1:]


def _observe(game: _Game, state: PgxState) -> PyTree:
    """What the agent sees, whoever moves next."""
    return _seen(game, state, game.task._observe(state.inner, jnp.int32(_US)))


def _seen(game: _Game, state: PgxState, observation: Array) -> PyTree:
    """An observation of pgx's with what it lacks."""
    if game.name in _BETS:
        observation = jnp.concatenate([observation, state.bets.reshape(-1)])
    return {OBSERVATION: observation, _MASK: state.inner.legal_action_mask} if game.masked else observation


def _called_off(game: _Game, inner: Any) -> Bool[Array, ""]:
    """Whether a game has come to its limit of moves without a winner."""
    plies, scored = _PLIES.get(game.name, (None, True))
    if scored:
        return jnp.zeros((), bool)
    return inner.terminated & (inner._step_count >= plies) & jnp.all(inner.rewards == 0.0)
