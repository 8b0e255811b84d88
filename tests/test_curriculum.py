"""The buffer of levels, and curricula around both outer loops."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments import make
from jaxrl.environments.grid import grid, random_levels
from jaxrl.errors import UnknownNameError
from jaxrl.meta import differentiate, evolve, make_tasks
from jaxrl.meta.curriculum_settings import CurriculumHyperparameters
from jaxrl.meta.level_buffer import allot, draw, empty, probabilities, record
from jaxrl.meta.tasks import Task

pytestmark = pytest.mark.quick_compilation

RICH = grid(random_levels("rich", (3, 3), (3, 3), (8, 8)))
SMALL = {"num_envs": 4, "num_steps": 6, "num_evaluations": 1, "evaluation_episodes": 2, "network": "table"}
HP = CurriculumHyperparameters(replay_probability=1.0, replay_temperature=0.5, replay_staleness=0.2)


def task(number, identity=-1):
    return Task(jnp.asarray(number, jnp.float32), jnp.asarray(5), jnp.asarray(identity, jnp.int32))


def many(numbers, identities):
    return Task(jnp.asarray(numbers, jnp.float32), jnp.full(len(numbers), 5), jnp.asarray(identities, jnp.int32))


def filled(scores):
    buffer = empty(task(0.0), len(scores))
    return record(
        buffer, many(range(len(scores)), [-1] * len(scores)), jnp.asarray(scores), jnp.ones(len(scores), bool)
    )


# --- the buffer ---


@pytest.mark.parametrize("prioritisation", ["rank", "proportional"])
def test_probabilities_are_the_papers(prioritisation):
    scores, ages = np.array([0.3, 2.0, 0.5, 1.0]), np.array([1, 4, 2, 0])
    buffer = filled(scores)
    placed = np.asarray(buffer.score)
    buffer = buffer._replace(clock=jnp.int32(10), scored_at=jnp.asarray(10 - ages, jnp.int32))
    rank = 1 + np.argsort(np.argsort(-placed))
    preference = (1.0 / rank if prioritisation == "rank" else placed) ** (1 / 0.5)
    expected = 0.8 * preference / preference.sum() + 0.2 * ages / ages.sum()
    np.testing.assert_allclose(probabilities(buffer, HP, prioritisation), expected, rtol=1e-5)


def test_an_empty_buffer_draws_fresh_tasks_and_a_full_one_its_levels():
    sample = lambda key: task(jax.random.uniform(key))  # noqa: E731
    keys = jax.random.split(jax.random.key(0), 4000)
    drawing = lambda buffer: jax.vmap(lambda key: draw(key, buffer, sample, HP))(keys)  # noqa: E731
    fresh = drawing(empty(task(0.0), 4))
    assert (np.asarray(fresh.identity) == -1).all() and np.unique(np.asarray(fresh.environment)).size > 3900
    buffer = filled([0.3, 2.0, 0.5, 1.0])
    drawn = np.asarray(drawing(buffer).identity)
    shares = [(drawn == identity).mean() for identity in np.asarray(buffer.task.identity)]
    np.testing.assert_allclose(shares, probabilities(buffer, HP), atol=0.03)


def test_record_is_what_a_slow_loop_does():
    """Against dictionaries: renewed scores, the best of all, levels that lost their place while they were learnt."""
    random, capacity = np.random.default_rng(0), 5
    step, buffer = jax.jit(record), empty(task(0.0), capacity)
    slow, names, made = {}, {}, 0  # identity -> score, identity -> number
    for clock in range(40):
        known = [*names]
        identities = [int(random.choice(known)) if known and random.random() < 0.5 else -1 for _ in range(4)]
        numbers = [names[i] if i >= 0 else clock * 10 + j for j, i in enumerate(identities)]
        scores, ended = random.normal(size=4).astype(np.float32), random.random(4) < 0.7
        scores[random.random(4) < 0.1] = np.nan
        buffer = step(buffer, many(numbers, identities), jnp.asarray(scores), jnp.asarray(ended))
        ended &= np.isfinite(scores)
        newcomers, seen = [], set()
        for identity in sorted({i for i, over in zip(identities, ended) if over and i in slow}):
            slow[identity] = np.mean([s for i, s, over in zip(identities, scores, ended) if over and i == identity])
            seen.add(identity)
        for identity, number, score, over in zip(identities, numbers, scores, ended):
            if over and identity not in seen:
                newcomers.append((number, score))
                seen |= {identity} - {-1}
        for number, score in newcomers:
            slow[made], names[made] = score, number
            made += 1
        slow = dict(sorted(slow.items(), key=lambda item: -item[1])[:capacity])
        names = {i: names[i] for i in {*slow, *(i for i in names if random.random() < 0.5)}}
        held = np.asarray(buffer.task.identity)
        found = dict(zip(held[held >= 0].tolist(), np.asarray(buffer.score)[held >= 0].tolist()))
        assert found == pytest.approx(slow)
        for identity, number in zip(held, np.asarray(buffer.task.environment)):
            assert identity < 0 or names[int(identity)] == number


def test_nothing_is_drawn_again_before_it_is_scored():
    buffer = empty(task(0.0), 4)
    buffer = record(buffer, many([7.0, 8.0], [-1, -1]), jnp.array([1.0, 2.0]), jnp.array([False, True]))
    keys = jax.random.split(jax.random.key(0), 500)
    drawn = jax.vmap(lambda key: draw(key, buffer, lambda key: task(0.0), HP))(keys)
    again = np.asarray(drawn.identity) >= 0
    # A quarter is filled, so a quarter is replayed.
    assert 0.15 < again.mean() < 0.35
    assert set(np.asarray(drawn.environment)[again].tolist()) == {8.0}


def test_agents_beside_each_other_learn_levels_of_their_own():
    buffer, fresh = filled([0.3, 2.0, 0.5, 1.0, 0.7]), many([90.0, 91.0, 92.0, 93.0], [-1] * 4)
    number = dict(zip(np.asarray(buffer.task.identity).tolist(), np.asarray(buffer.task.environment).tolist()))
    busy, begins = jnp.array([-1, -1, 2, -1]), jnp.array([True, True, False, True])
    drawing = jax.vmap(lambda key: allot(key, buffer, fresh, busy, begins, HP))
    drawn = drawing(jax.random.split(jax.random.key(0), 4000))
    identity, environment = np.asarray(drawn.identity), np.asarray(drawn.environment)
    assert (identity[:, 2] == -1).all() and (environment[:, 2] == 92.0).all()
    chosen = identity[:, [0, 1, 3]]
    assert all(len(set(row)) == 3 and not {-1, 2} & set(row) for row in chosen.tolist())
    assert all(number[i] == e for i, e in zip(chosen.ravel().tolist(), environment[:, [0, 1, 3]].ravel().tolist()))
    free = np.where(np.asarray(buffer.task.identity) == 2, 0.0, probabilities(buffer, HP))
    shares = [(chosen[:, 0] == i).mean() for i in np.asarray(buffer.task.identity)]
    np.testing.assert_allclose(shares, free / free.sum(), atol=0.03)


@pytest.mark.parametrize("prioritisation", ["rank", pytest.param("proportional", marks=pytest.mark.slow)])
def test_only_free_levels_are_drawn_at_any_temperature(prioritisation):
    partly = record(
        empty(task(0.0), 6), many([1.0, 2.0, 3.0], [-1] * 3), jnp.array([0.5, -2.0, 0.1]), jnp.ones(3, bool)
    )
    identity = np.asarray(partly.task.identity)
    best = int(identity[np.argmax(np.where(identity >= 0, partly.score, -np.inf))])
    fresh, begins = many([90.0, 91.0, 92.0], [-1] * 3), jnp.array([True, True, False])
    for temperature in (0.0, 0.01):
        hp = HP._replace(replay_temperature=temperature, replay_staleness=0.0)
        keys = jax.random.split(jax.random.key(0), 200)
        for busy, ways in ((-1, {best, *identity.tolist()} - {-1}), (best, set(identity.tolist()) - {-1, best})):
            learning = jnp.array([-1, -1, busy])
            drawn = jax.vmap(lambda key: allot(key, partly, fresh, learning, begins, hp, prioritisation))(keys)  # noqa: B023
            chosen = np.asarray(drawn.identity)[:, :2]
            again = chosen[chosen >= 0]
            assert again.size and set(again.tolist()) <= ways
            assert np.asarray(drawn.horizon).min() == 5
        assert busy == best


def test_lives_without_a_free_level_learn_a_fresh_one():
    buffer, fresh = filled([0.3, 2.0]), many([90.0, 91.0, 92.0], [-1] * 3)
    everyone, busy = jnp.ones(3, bool), jnp.array([-1, 0, -1])
    drawn = allot(jax.random.key(0), buffer, fresh, busy, everyone, HP)
    assert sorted(np.asarray(drawn.identity).tolist()) == [-1, -1, 1]
    never = allot(jax.random.key(0), buffer, fresh, busy, everyone, HP._replace(replay_probability=0.0))
    assert np.asarray(never.environment).tolist() == [90.0, 91.0, 92.0]


# --- around the outer loops ---


def learner(environment=RICH, **settings):
    steps = 4 * SMALL["num_envs"] * SMALL["num_steps"]
    return jaxrl.trainer("a2c", environment, **{**SMALL, "total_steps": steps, "learning_rate": 0.1, **settings})


OUTER = {
    "gradient": partial(differentiate, num_agents=4, unroll=2, num_meta_steps=6, critic_network="table"),
    "evolution": partial(evolve, population_size=4, num_generations=4, deviation=1e-20),
}


@pytest.mark.slow  # Twelve restarts of a study; levels of agents beside each other are the quick test.
def test_agents_in_progress_never_share_a_level():
    study = OUTER["gradient"](
        learner(), make_tasks(RICH, (2, 6)), leaf="discount", num_evaluations=1, evaluation_tasks=2,
        curriculum="learnability", buffer_size=6, replay_probability=1.0, replay_temperature=0.1,
    )  # fmt: skip
    state, hp, parts = study.init(jax.random.key(0), study.hyperparameters), study.hyperparameters, study.init.args[0]
    restart = jax.jit(lambda key, replay, lives: parts.replay.restart(key, replay, lives, hp.training, hp))
    lives, replay, most = state.lives, state.replay, 0
    for index in range(12):
        # Lives of two to six updates that pass without learning.
        lives = lives._replace(age=lives.age + 2)
        lives, replay, _ = restart(jax.random.key(index), replay, lives)
        identity = np.asarray(lives.task.identity)
        again = identity[identity >= 0]
        assert len(set(again.tolist())) == again.size
        most = max(most, again.size)
    assert most > 1


@pytest.mark.slow
@pytest.mark.parametrize("outer", ["evolution", "gradient"])
def test_an_antagonist_like_the_learner_leaves_no_regret(outer):
    # The same agent with the same keys on the same tasks, replayed ones included.
    study = OUTER[outer](
        learner(), make_tasks(RICH, 4), leaf="discount", num_evaluations=1, evaluation_tasks=2, learning_rate=0.0,
        curriculum="algorithmic_regret", buffer_size=4, replay_probability=1.0,
    )  # fmt: skip
    result = jax.jit(study.run)(jax.random.key(0), study.hyperparameters)
    score, replayed = (np.asarray(result.metrics[name]) for name in ("level_score", "replayed"))
    assert np.nanmax(np.abs(score)) == 0.0 and np.isfinite(score).any()
    assert np.nanmax(replayed) > 0.0 and replayed[np.isfinite(replayed)][0] == 0.0


@pytest.mark.slow  # A learning run; scores are tested against the equations.
def test_regret_ranks_what_can_be_learnt_above_the_trivial_and_the_impossible():
    # Arms that all pay nothing, all pay, or of which one pays; the learner never learns.
    bandit = make("bandit/bernoulli")
    arms = bandit.params.means.size
    kinds = jnp.stack([jnp.zeros(arms), jnp.ones(arms), jnp.eye(arms)[1]])
    tasks = make_tasks(bandit, 8, lambda key: bandit.params._replace(means=kinds[jax.random.randint(key, (), 0, 3)]))
    study = evolve(
        learner(bandit, learning_rate=0.0, num_steps=16), tasks, leaf="discount", population_size=8, num_generations=6,
        deviation=1e-20, num_evaluations=1, evaluation_tasks=2, curriculum="algorithmic_regret", replay_probability=0.3,
    )  # fmt: skip
    levels = jax.jit(study.run)(jax.random.key(0), study.hyperparameters).state.levels
    held, score = np.asarray(levels.task.identity) >= 0, np.asarray(levels.score)
    paying = np.asarray(levels.task.environment.means).sum(axis=1)
    for kind, least, most in ((0, 0.0, 0.0), (arms, 0.0, 0.0), (1, 0.3, 1.0)):
        found = score[held & (paying == kind)]
        assert found.size > 1 and found.mean() >= least and found.mean() <= most, kind


@pytest.mark.slow  # A learning run of a study; records and draws are the quick tests.
@pytest.mark.parametrize(
    "curriculum",
    [
        "positive_value_loss",
        "l1_value_loss",
        "learnability",
    ],
)
def test_scores_of_rollouts_tell_levels_without_rewards_from_others(curriculum):
    def sample(key):
        level = RICH.sample_params(key)
        barren = jax.random.bernoulli(jax.random.fold_in(key, 1))
        return level._replace(reward=jnp.where(barren, 0.0, level.reward))

    study = differentiate(
        learner(), make_tasks(RICH, 2, sample), leaf="discount", num_agents=8, unroll=1, num_meta_steps=12,
        critic_network="table", num_evaluations=1, evaluation_tasks=2, curriculum=curriculum, buffer_size=64,
        replay_probability=0.0,
    )  # fmt: skip
    state = jax.jit(study.run)(jax.random.key(0), study.hyperparameters).state
    levels = state.replay.levels
    held = np.asarray(levels.task.identity) >= 0
    barren = ~np.any(np.asarray(levels.task.environment.reward), axis=1)
    score = np.asarray(levels.score)
    assert held.sum() > 30 and (barren & held).sum() > 5
    assert (score[held & barren] == 0.0).all() and score[held & ~barren].mean() > 0.01


def test_bad_curricula_are_named():
    tasks = make_tasks(RICH, 4)
    with pytest.raises(UnknownNameError, match="algorithmic_regret"):
        evolve(learner(), tasks, leaf="discount", curriculum="algorithmic-regret")
    with pytest.raises(ValueError, match="needs the critics of outer='gradient'"):
        evolve(learner(), tasks, leaf="discount", curriculum="learnability")
    with pytest.raises(UnknownNameError, match="rank"):
        evolve(learner(), tasks, leaf="discount", curriculum="algorithmic_regret", prioritisation="ranked")
    with pytest.raises(ValueError, match="buffer_size must be at least 1, got 0"):
        differentiate(learner(), tasks, leaf="discount", curriculum="learnability", buffer_size=0)
    with pytest.raises(UnknownNameError, match="a2c"):
        evolve(learner(), tasks, leaf="discount", curriculum="algorithmic_regret", antagonist="a2")
    with pytest.raises(UnknownNameError, match="replay_probability"):
        evolve(learner(), tasks, leaf="discount", replay_probabilities=0.3)
    with pytest.raises(ValueError, match="deviation would be ignored"):
        evolve(learner(), tasks, leaf="discount", strategy=lambda like, size: None, deviation=0.1)
