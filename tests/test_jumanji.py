"""jumanji adapter: contract, parity with jumanji step by step, masks, and limits that truncate."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from foreign import assert_same, num_episodes, walk

import jaxrl
from jaxrl.environments import check, make
from jaxrl.environments import jumanji as adapter
from jaxrl.environments.masks import legal_actions, mask_space
from jaxrl.environments.spaces import Discrete, MultiDiscrete
from jaxrl.errors import UnknownNameError

NUMBERED = ("Minesweeper-v0", "Sudoku-very-easy-v0", "Tetris-v0")
TEAMS = ("Cleaner-v0", "Connector-v3")
SHORT = {"time_limit": 30}

pytestmark = pytest.mark.quick_compilation


def test_names_and_errors_do_not_need_the_package(monkeypatch):
    assert len(adapter.names()) == len(set(adapter.names())) == 25
    with pytest.raises(UnknownNameError, match="jumanji/Snake-v1"):
        make("jumanji/Snak-v1")
    with pytest.raises(ValueError, match="pays its agents together"):
        make("jumanji/Cleaner-v0", objectives="agents")
    monkeypatch.setitem(sys.modules, "jumanji", None)
    with pytest.raises(ImportError, match=r"jaxrl\[jumanji\]"):
        make("jumanji/Snake-v1")


@pytest.fixture
def jumanji():
    return pytest.importorskip("jumanji")


@pytest.mark.slow
@pytest.mark.parametrize("name", adapter.names())
def test_every_environment_keeps_the_contract(jumanji, name):
    check(make(f"jumanji/{name}"))


def both(jumanji, name, num_steps=200, **options):
    environment, original = make(f"jumanji/{name}", **options), jumanji.make(name, **options)

    def step(key, state, action):
        del key
        if environment.spec.action.shape != original.action_spec.shape:
            action = jnp.stack(jnp.unravel_index(action, original.action_spec.num_values))
        return original.step(state, action.astype(original.action_spec.dtype))

    return environment, walk(environment, original.reset, step, num_steps)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in ("Game2048-v1", "Knapsack-v1", "TSP-v1", "CVRP-v1", "GraphColoring-v1", "JobShop-v0")),
        *(
            (name, {})
            for name in ("Minesweeper-v0", "Sudoku-very-easy-v0", "MultiCVRP-v0", "BinPack-v2", "FlatPack-v0")
        ),
        *((name, SHORT) for name in ("Maze-v0", "Snake-v1", "PacMan-v1", "SlidingTilePuzzle-v0", "Tetris-v0")),
        *((name, SHORT) for name in ("Cleaner-v0", "Connector-v3", "LevelBasedForaging-v0", "RobotWarehouse-v0")),
        *((name, SHORT) for name in ("RubiksCube-v0", "MMST-v0")),
    ],
)
def test_steps_are_those_of_jumanji(jumanji, name, options):
    environment, walked = both(jumanji, name, 600, **options)
    timesteps, theirs = walked.timesteps, walked.theirs
    assert num_episodes(walked) >= 2
    np.testing.assert_allclose(
        timesteps.reward[:, 0], np.asarray(theirs.reward).reshape(600, -1).sum(axis=1), rtol=1e-5, atol=1e-6
    )
    ended = timesteps.terminated | timesteps.truncated
    np.testing.assert_array_equal(ended, theirs.last())
    if environment.spec.action_mask:
        shown = theirs.observation.action_mask
        mine = timesteps.observation["action_mask"]
        choices = len(environment.spec.action.sizes) if isinstance(environment.spec.action, MultiDiscrete) else 1
        rows, mine_rows = shown.reshape(600, choices, -1), mine.reshape(600, choices, -1)
        stuck = ~rows.any(axis=-1)
        np.testing.assert_array_equal(mine_rows[~stuck], rows[~stuck])
        assert mine_rows[stuck].all()
        timesteps.observation["action_mask"] = shown
    assert_same(timesteps.observation, theirs.observation)
    assert_same(timesteps.info, theirs.extras)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "discount"),
    [("Maze-v0", 0.0), ("RubiksCube-v0", 0.0), ("SlidingTilePuzzle-v0", 0.0), ("LevelBasedForaging-v0", 1.0)],
)
def test_a_time_limit_truncates_whatever_the_discount_says(jumanji, name, discount):
    environment, walked = both(jumanji, name, 12, time_limit=4)
    assert environment.spec.time_limit == 4
    np.testing.assert_array_equal(np.flatnonzero(walked.timesteps.truncated), [3, 7, 11])
    assert not walked.timesteps.terminated.any()
    assert np.all(walked.theirs.discount[walked.timesteps.truncated] == discount)


@pytest.mark.slow
def test_a_task_that_ends_on_the_step_of_the_limit_is_terminated(jumanji):
    environment = make("jumanji/Snake-v1", time_limit=1)

    def ends(key):
        state, first = environment.reset(key, ())
        steps = jax.vmap(lambda action: environment.step(key, state, action, ())[1])(jnp.arange(4))
        return first["action_mask"], steps.terminated, steps.truncated

    legal, terminated, truncated = jax.jit(jax.vmap(ends))(jax.random.split(jax.random.key(0), 32))
    np.testing.assert_array_equal(terminated, ~legal)
    np.testing.assert_array_equal(truncated, legal)
    # Some snakes start at a wall.
    assert legal.any() and not legal.all()


@pytest.mark.slow
def test_the_searchers_of_a_team_are_paid_and_ended_as_in_jumanji(jumanji):
    environment = make("jumanji/SearchAndRescue-v0", time_limit=25, objectives="agents")
    original = jumanji.make("SearchAndRescue-v0", time_limit=25)
    walked = walk(
        environment, original.reset, lambda key, state, action: original.step(state, action.reshape(2, 2)), 60
    )
    assert environment.spec.num_objectives == 2
    np.testing.assert_allclose(walked.timesteps.reward, walked.theirs.reward, rtol=1e-5)
    np.testing.assert_array_equal(np.flatnonzero(walked.timesteps.truncated), [24, 49])
    assert_same(walked.timesteps.observation, walked.theirs.observation)


@pytest.mark.slow
def test_actions_are_numbered_where_a_mask_is_over_their_combinations(jumanji):
    for name in NUMBERED:
        spec = make(f"jumanji/{name}").spec
        assert isinstance(spec.action, Discrete) and spec.action.n == np.prod(spec.observation["action_mask"].shape)
    for name in TEAMS:
        spec = make(f"jumanji/{name}").spec
        assert isinstance(spec.action, MultiDiscrete)
        assert mask_space(spec.action).shape == (np.prod(spec.observation["action_mask"].shape),)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Maze-v0", "Minesweeper-v0", "Cleaner-v0"])
def test_ppo_never_acts_illegally(jumanji, name):
    environment = make(f"jumanji/{name}")
    sizes = getattr(environment.spec.action, "sizes", (0,))
    offsets = np.cumsum((0, *sizes[:-1]))

    def reset(key, params):
        state, observation = environment.reset(key, params)
        return (state, legal_actions(environment.spec, observation)), observation

    def step(key, state, action, params):
        state, legal = state
        state, timestep = environment.step(key, state, action, params)
        allowed = jnp.all(legal[jnp.atleast_1d(action) + offsets])
        timestep = timestep._replace(reward=jnp.where(allowed, timestep.reward, jnp.nan))
        return (state, legal_actions(environment.spec, timestep.observation)), timestep

    trainer = jaxrl.trainer("ppo", environment._replace(reset=reset, step=step), total_steps=4096)
    result = jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters)
    assert result.metrics["faulty_steps"].sum() == 0
