"""pgx adapter: contract, parity with pgx move by move, opponents, and observations that tell information sets apart."""

import itertools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from foreign import num_episodes, walk

import jaxrl
from jaxrl.environments import check, make
from jaxrl.environments import pgx as adapter
from jaxrl.errors import UnknownNameError

pytestmark = pytest.mark.quick_compilation
ALONE = tuple(name for name in adapter.names() if name.startswith("minatar-") or name == "2048")
# Those that compile for minutes.
LARGE = ("chess", "gardner_chess", "go_19x19", "shogi")


def test_names_and_errors_do_not_need_the_package(monkeypatch):
    assert len(adapter.names()) == len(set(adapter.names())) == 20
    with pytest.raises(UnknownNameError, match="pgx/connect_four"):
        make("pgx/connect_for")
    with pytest.raises(UnknownNameError, match="uniform"):
        make("pgx/hex", opponent="uniformly")
    with pytest.raises(UnknownNameError, match="option of pgx/hex"):
        make("pgx/hex", sticky_action_prob=0.0)
    monkeypatch.setitem(sys.modules, "pgx", None)
    with pytest.raises(ImportError, match=r"jaxrl\[pgx\]"):
        make("pgx/hex")


@pytest.fixture
def pgx():
    return pytest.importorskip("pgx")


@pytest.mark.slow
def test_names_are_those_that_pgx_has(pgx):
    assert set(adapter.names()) == set(pgx.available_envs())
    with pytest.raises(ValueError, match="has one player"):
        make("pgx/2048", opponent="first")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in adapter.names() if name not in LARGE])
def test_every_game_keeps_the_contract(pgx, name):
    check(make(f"pgx/{name}"), num_steps=100)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_large_games_are_stepped_at_random(pgx, name):
    environment = make(f"pgx/{name}")
    limit = environment.spec.time_limit
    walked = walk(environment, lambda key: (0, 0), lambda key, state, action: (0, 0), 2 * limit)
    assert num_episodes(walked) >= 1
    truncated = walked.timesteps.truncated
    assert not np.any(walked.timesteps.terminated & truncated)
    assert np.all(walked.timesteps.reward[truncated] == 0.0)
    assert np.all(np.isfinite(walked.timesteps.observation["observation"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["2048", "minatar-breakout", "minatar-freeway"])
def test_steps_of_one_player_are_those_of_pgx(pgx, name):
    environment, original = make(f"pgx/{name}"), pgx.make(name)

    def reset(key):
        state = original.init(jax.random.split(key)[0])
        return state, state.observation

    def step(key, state, action):
        after = original.step(state, action, jax.random.split(key)[0])
        return after, (after.observation, after.rewards, after.terminated, after.legal_action_mask)

    walked = walk(environment, reset, step, 400)
    seen, rewards, terminated, legal = walked.theirs
    mine = walked.timesteps.observation
    if name == "2048":
        np.testing.assert_array_equal(mine["action_mask"], legal)
        mine = mine["observation"]
    np.testing.assert_array_equal(mine, seen)
    np.testing.assert_array_equal(walked.timesteps.reward, rewards)
    np.testing.assert_array_equal(walked.timesteps.terminated, terminated)
    assert not walked.timesteps.truncated.any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four", "leduc_holdem", "backgammon"])
def test_games_of_two_are_those_of_pgx_move_by_move(pgx, name):
    """Every move of both is written down by an opponent and played again in pgx."""
    environment, original = make(f"pgx/{name}", opponent="first"), pgx.make(name)
    step, reset, play = jax.jit(environment.step), jax.jit(environment.reset), jax.jit(original.step)
    seats = set()
    for seed in range(6):
        key = jax.random.key(seed)
        state, observation = reset(key, ())
        seats.add(int(state.inner._step_count) > 0)
        theirs = state.inner
        for t in range(60):
            legal = np.flatnonzero(observation["action_mask"])
            action = jnp.int32(legal[(7 * t + seed) % len(legal)])
            own_key, others_key = jax.random.split(jax.random.fold_in(key, t))
            state, timestep = step(jax.random.fold_in(key, t), state, action, ())
            theirs = play(theirs, action, own_key)
            earned = float(theirs.rewards[0])
            while theirs.current_player != 0 and not theirs.terminated:
                others_key, _, move_key = jax.random.split(others_key, 3)
                theirs = play(theirs, jnp.argmax(theirs.legal_action_mask), move_key)
                earned += float(theirs.rewards[0])
            assert float(timestep.reward[0]) == earned
            assert bool(timestep.terminated) == bool(theirs.terminated) and not timestep.truncated
            np.testing.assert_array_equal(state.inner._step_count, theirs._step_count)
            observation = timestep.observation
            if theirs.terminated:
                break
            size = original.observation_shape[0] if name == "leduc_holdem" else None
            np.testing.assert_array_equal(observation["observation"][:size], theirs.observation)
            np.testing.assert_array_equal(observation["action_mask"], theirs.legal_action_mask)
        # A game of backgammon is longer.
        assert theirs.terminated or name == "backgammon"
    assert seats == {False, True}


def decisions(pgx, name):
    """Of every decision of every game: what its player knows, pgx's observation, and the adapter's."""
    original = pgx.make(name)
    play = jax.jit(original.step)
    observe = jax.jit(original.observe)
    game = adapter._Game(original, name, adapter.OPPONENTS["first"])
    start = original.init(jax.random.key(0))
    bets = jnp.zeros((adapter._BETS[name], start.legal_action_mask.shape[0]), bool)
    ranks, held = (range(3), 2) if name == "kuhn_poker" else ((0, 0, 1, 1, 2, 2), 3)
    # Bets do not depend on cards: their tree is walked once, and each decision seen with every deal.
    paths, open_paths = {}, [((), start)]
    while open_paths:
        path, state = open_paths.pop()
        if state.terminated:
            continue
        paths[path] = state
        open_paths += [
            ((*path, action), play(state, action)) for action in np.flatnonzero(state.legal_action_mask).tolist()
        ]
    for path, state in paths.items():
        made = bets
        for move, action in enumerate(path):
            made = made.at[move, action].set(True)
        for cards in set(itertools.permutations(ranks, held)):
            inner = state.replace(_cards=jnp.asarray(cards, jnp.int32))
            player = int(inner.current_player)
            public = cards[2] if name == "leduc_holdem" and int(inner._round) == 1 else None
            theirs = observe(inner)
            mine = adapter._seen(game, adapter.PgxState(inner, made), theirs)["observation"]
            yield (cards[player], public, path), tuple(theirs.tolist()), tuple(mine.tolist())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "sets", "told_apart_by_pgx"), [("kuhn_poker", 12, 6), ("leduc_holdem", 288, 81)])
def test_observations_of_poker_are_information_states(pgx, name, sets, told_apart_by_pgx):
    known, theirs, mine = zip(*decisions(pgx, name), strict=True)
    assert len(set(known)) == sets
    assert len(set(mine)) == len(set(zip(known, mine))) == sets
    assert len(set(theirs)) == told_apart_by_pgx


@pytest.mark.slow
def test_bets_are_written_down_as_they_are_made(pgx):
    environment = make("pgx/kuhn_poker", opponent="first")
    step = jax.jit(environment.step)
    for seed in range(8):
        state, _ = environment.reset(jax.random.key(seed), ())
        second = int(state.inner._step_count)
        np.testing.assert_array_equal(state.bets.sum(), second)
        state, timestep = step(jax.random.key(0), state, jnp.int32(1), ())
        # The opponent bets, 0, first or after the agent has passed.
        expected = [[True, False], [False, True]] if second else [[False, True], [True, False]]
        np.testing.assert_array_equal(state.bets[:2], expected)
        np.testing.assert_array_equal(timestep.observation["observation"][7:], state.bets.reshape(-1))
        assert bool(timestep.terminated) == bool(second)


@pytest.mark.slow
def test_a_trained_policy_beats_chance_and_is_an_opponent(pgx):
    trainer = jaxrl.trainer("ppo", "pgx/tic_tac_toe", total_steps=60_000)
    result = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters)
    returns = result.evaluation.returns[-1, 0]
    assert returns > 0.7
    assert result.metrics["faulty_steps"].sum() == 0
    policy = jaxrl.Policy(*trainer.actor(result.state, trainer.hyperparameters))
    against = make("pgx/tic_tac_toe", opponent=policy)
    assert policy.evaluate(against, num_episodes=64).returns[0] < returns
