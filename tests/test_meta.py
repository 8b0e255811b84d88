"""Lives, and the two outer loops around them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import jaxrl
from jaxrl.environments.grid import grid, random_levels
from jaxrl.errors import UnknownNameError
from jaxrl.meta import differentiate, evolve, make_tasks
from jaxrl.meta.gradient import outer_loss
from jaxrl.meta.lifetimes import begin, grow, live, lives, mean_outcome
from jaxrl.sweeps import running

pytestmark = pytest.mark.quick_compilation

QUIET = {"options": jaxrl.RunOptions(progress=False), "say": lambda _: None}
# Small levels full of objects, so that every rollout has rewards.
RICH = grid(random_levels("rich", (3, 3), (3, 3), (8, 8)))
SMALL = {"num_envs": 4, "num_steps": 6, "num_evaluations": 1, "evaluation_episodes": 2, "network": "table"}


def learner(horizon=5, agent="ppo", environment=RICH, **settings):
    per_iteration = SMALL["num_envs"] * SMALL["num_steps"]
    settings = {**SMALL, "total_steps": horizon * per_iteration, **settings}
    return jaxrl.trainer(agent, environment, **settings)


def lpg(**settings):
    return learner(agent="lpg", num_outputs=3, objective_size=4, optimiser="sgd", learning_rate=5.0, **settings)


def clipped(**settings):
    return learner(**{"num_epochs": 2, "num_minibatches": 1, "learning_rate": 0.1, **settings})


@pytest.fixture(scope="module")
def drift_evolution():
    tasks = make_tasks(RICH, (2, 4))
    trainer = clipped(surrogate="learned_drift")
    return evolve(
        trainer, tasks, population_size=4, num_generations=4, num_evaluations=2, evaluation_tasks=3, deviation=0.5
    )


# --- lives ---


def test_one_life_is_one_run():
    trainer = clipped(horizon=5, learning_rate=0.03)
    tasks = make_tasks(trainer.environment, 5, lambda key: trainer.environment.params)
    key = jax.random.key(7)
    life = begin(trainer, tasks, key, trainer.hyperparameters)
    grown, _ = jax.jit(lambda life: grow(trainer, life, trainer.hyperparameters, 5))(life)
    run_key = jax.random.split(jax.random.fold_in(key, 0))[1]
    whole = jax.jit(trainer.run)(run_key, trainer.hyperparameters)
    # Annealing and progress included: horizon 5 is the trainer's own.
    for one, two in zip(jax.tree.leaves(grown.run.agent), jax.tree.leaves(whole.state.agent), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_a_finished_life_is_followed_by_another_in_its_place():
    trainer = clipped()
    tasks = make_tasks(RICH, (2, 5))
    hp = trainer.hyperparameters
    life = begin(trainer, tasks, jax.random.key(1), hp)
    step = jax.jit(lambda life: live(trainer, tasks, life, hp, 1)[:2])
    seen, learnt = [], 0
    for _ in range(20):
        horizon, age, births = int(life.task.horizon), int(life.age), int(life.births)
        before, level = life, life.task.environment
        life, outcome = step(life)
        assert bool(outcome.finished) == (age + 1 == horizon)
        if outcome.finished:
            assert int(life.age) == 0 and int(life.births) == births + 1
            assert not np.array_equal(level.reward, life.task.environment.reward)
            assert not np.any(np.asarray(life.run.agent.params["actor"]))
            seen.append(horizon)
        else:
            assert int(life.age) == age + 1 and int(life.births) == births
            np.testing.assert_array_equal(level.reward, life.task.environment.reward)
            learnt += np.any(np.asarray(life.run.agent.params["actor"]) != np.asarray(before.run.agent.params["actor"]))
    assert len(set(seen)) > 1 and set(seen) <= {2, 3, 4, 5}
    assert learnt > 5


def test_horizons_are_rounded_up_to_whole_unrolls():
    trainer = clipped()
    tasks = make_tasks(RICH, (2, 7))
    born = jax.vmap(lambda key: begin(trainer, tasks, key, trainer.hyperparameters, unroll=3).task.horizon)
    assert set(np.asarray(born(jax.random.split(jax.random.key(0), 64))).tolist()) == {3, 6, 9}


def test_outcomes_average_the_lives_that_ended():
    trainer = clipped(environment="bandit/bernoulli", num_steps=4)
    tasks = make_tasks(trainer.environment, 2)
    lived = jax.jit(lambda key: lives(trainer, tasks, key, trainer.hyperparameters, 5))(jax.random.key(0))
    np.testing.assert_array_equal(lived.outcome.finished, [False, True, False, True, False])
    outcome = mean_outcome(lived.outcome)
    np.testing.assert_allclose(outcome.final, lived.outcome.final[jnp.array([1, 3])].mean(axis=0))
    # Five iterations are two lives of two and a fifth that does not count.
    assert bool(outcome.finished) and 0.0 <= float(outcome.final[0]) <= 1.0
    assert int(outcome.horizon) == 2


def test_before_an_episode_ends_returns_are_what_was_gathered_so_far():
    # Nothing ends: no object terminates, and two rollouts of three steps are shorter than an episode.
    params = RICH.params._replace(termination=jnp.zeros(3), respawn=jnp.ones(3), max_steps=jnp.int32(8))
    trainer = learner(agent="a2c", num_steps=3)
    tasks = make_tasks(RICH, 4, lambda key: params)
    life = begin(trainer, tasks, jax.random.key(0), trainer.hyperparameters)
    step = jax.jit(lambda life: grow(trainer, life, trainer.hyperparameters, 1)[0])
    first = step(life)
    second = step(first)
    np.testing.assert_allclose(second.latest, second.run.episode.returns.mean(axis=0), rtol=1e-6)
    assert float(abs(second.latest - first.latest).max()) > 1e-3
    # The third rollout has the ends of all four.
    third = step(second)
    assert float(second.episodes) == 0.0 and float(third.episodes) == 4.0


def test_horizons_are_log_uniform_integers():
    tasks = make_tasks("bandit/bernoulli", (10, 1000))
    drawn = np.asarray(jax.vmap(lambda key: tasks.sample(key).horizon)(jax.random.split(jax.random.key(0), 4000)))
    assert drawn.min() >= 10 and drawn.max() <= 1000
    np.testing.assert_allclose(np.mean(np.log(drawn)), np.log(np.sqrt(10 * 1000)), atol=0.1)


# --- evolution ---


def test_both_of_a_pair_face_the_same_tasks_and_random_numbers():
    # With next to no noise both are the same candidate: equal fitness, no winner, no step.
    trainer = clipped(surrogate="learned_drift")
    study = evolve(
        trainer, make_tasks(RICH, (2, 4)), population_size=4, num_generations=2, num_evaluations=1,
        evaluation_tasks=2, deviation=1e-20,
    )  # fmt: skip
    state = study.init(jax.random.key(0), study.hyperparameters)
    after, (metrics, _) = jax.jit(study.step)(state, study.hyperparameters, 0)
    np.testing.assert_array_equal(state.search.mean, after.search.mean)
    # Pairs have tasks of their own.
    assert float(metrics["fitness_deviation"]) > 0.0


@pytest.mark.slow  # A learning run.
def test_evolution_finds_a_hyperparameter_that_is_known_to_matter():
    # An entropy bonus far too high keeps the policy of a bandit uniform.
    trainer = clipped(environment="bandit/bernoulli", num_steps=16, anneal_learning_rate=False)
    trainer = trainer.rebuild(entropy_coefficient=3.0)
    study = evolve(
        trainer, make_tasks("bandit/bernoulli", 10), leaf="entropy_coefficient", population_size=16,
        num_generations=40, num_evaluations=2, evaluation_tasks=32, deviation=0.3, learning_rate=0.2,
    )  # fmt: skip
    result = jax.jit(study.run)(jax.random.key(0), study.hyperparameters)
    assert float(study.value(result.state)) < 1.0
    untrained = study.test(jax.random.key(5), jnp.asarray(3.0), study.hyperparameters, 64)
    trained = study.test(jax.random.key(5), study.value(result.state), study.hyperparameters, 64)
    assert float(trained.final.mean()) > float(untrained.final.mean()) + 0.1


@pytest.mark.slow
def test_meta_seeds_and_outer_settings_are_axes_of_a_sweep(drift_evolution):
    swept = jaxrl.sweep(drift_evolution, seeds=2, hyperparameters={"outer.evolution.deviation": [0.1, 0.5]}, **QUIET)
    group = swept.groups[0]
    assert group.result.state.search.mean.shape[0] == 4
    np.testing.assert_allclose(group.result.metrics["search_deviation"][:, 0], [0.1, 0.1, 0.5, 0.5], rtol=1e-5)
    table = swept.table
    assert len(table) == 8 and {"steps", "final_return", "lifetime_return", "worst_quarter"} <= set(table.columns)
    # Held-out tasks are the same for all: the untrained value of one seed scores the same under either setting.
    alone = jax.jit(drift_evolution.run)(jax.random.key(1), drift_evolution.hyperparameters)
    np.testing.assert_allclose(alone.state.search.mean, group.result.state.search.mean[3], rtol=1e-4, atol=1e-5)


@pytest.mark.slow  # tests/test_devices.py has kinds of meta-training on eight devices.
def test_devices_do_not_change_numbers(drift_evolution):
    one = jaxrl.sweep(drift_evolution, seeds=2, max_devices=1, **QUIET).groups[0].result
    two = jaxrl.sweep(drift_evolution, seeds=2, max_devices=2, **QUIET).groups[0].result
    np.testing.assert_allclose(one.state.search.mean, two.state.search.mean, rtol=1e-4, atol=1e-5)


@pytest.mark.slow  # Sweeps of any kind of program stop and go on in quick tests.
@pytest.mark.parametrize("kind", ["evolve", "differentiate"])
def test_stopped_meta_training_resumes_to_the_same_end(kind, drift_evolution, tmp_path, monkeypatch):
    study = drift_evolution
    if kind == "differentiate":
        study = gradient_study(num_meta_steps=4, curriculum="algorithmic_regret", buffer_size=3)
    options = jaxrl.RunOptions(progress=False, checkpoint_seconds=0.0, num_chunks=4)
    straight = jaxrl.sweep(study, seeds=1, options=options, say=lambda _: None).groups[0].result
    calls = []

    def stop(*_):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(running, "_advance_bar", stop)
        with pytest.raises(KeyboardInterrupt):
            jaxrl.sweep(study, seeds=1, options=options, directory=tmp_path, say=lambda _: None)
    resumed = jaxrl.sweep(study, seeds=1, options=options, directory=tmp_path, say=lambda _: None).groups[0].result
    plain = lambda tree: jax.tree.leaves(jax.tree.map(_data, tree))  # noqa: E731
    for one, two in zip(plain(straight), plain(resumed), strict=True):
        np.testing.assert_array_equal(one, two)


def _data(leaf):
    leaf = jnp.asarray(leaf)
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


# --- meta-gradients ---


def gradient_study(horizon=(2, 6), **settings):
    settings = {"num_agents": 3, "unroll": 2, "num_meta_steps": 2, "num_evaluations": 1, **settings}
    return differentiate(lpg(), make_tasks(RICH, horizon), evaluation_tasks=2, critic_network="table", **settings)


def difference_and_derivative(study, seed=0):
    """Finite difference and derivative of one agent's outer loss along a random direction, in float64."""
    parts = study.init.args[0]
    hp = study.hyperparameters
    state = study.init(jax.random.key(seed), hp)
    life, critic = (jax.tree.map(lambda leaf: leaf[0], tree) for tree in (state.lives, state.critics))
    value = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), state.value)
    flat, unravel = ravel_pytree(value)
    direction = jax.random.normal(jax.random.key(seed + 1), flat.shape)
    direction /= jnp.linalg.norm(direction)

    @jax.jit
    def loss(distance):
        return outer_loss(parts, unravel(flat + distance * direction), jax.random.key(9), life, critic, hp)[0]

    step = 1e-5
    return (loss(step) - loss(-step)) / (2 * step), jax.grad(loss)(0.0)


@pytest.mark.parametrize(
    ("unroll", "recompute"),
    [
        pytest.param(1, True, marks=pytest.mark.slow),
        (2, True),
        pytest.param(2, False, marks=pytest.mark.slow),
        pytest.param(5, True, marks=pytest.mark.slow),
    ],
)
def test_the_meta_gradient_of_lpg_is_the_finite_difference(unroll, recompute):
    with jax.enable_x64(True):
        study = gradient_study(
            unroll=unroll,
            recompute=recompute,
            entropy_coefficient=0.03,
            regularisers={"policy_target_square": 0.01, "output_entropy": 0.1},
        )
        difference, derivative = difference_and_derivative(study)
    assert abs(derivative) > 1e-6
    np.testing.assert_allclose(derivative, difference, rtol=1e-4)


@pytest.mark.parametrize(
    "leaf",
    [
        pytest.param("discount", marks=pytest.mark.slow),
        pytest.param("gae_lambda", marks=pytest.mark.slow),
        pytest.param("entropy_coefficient", marks=pytest.mark.slow),
        pytest.param("objective", marks=pytest.mark.slow),
    ],
)
def test_the_meta_gradient_of_ppo_is_the_finite_difference(leaf):
    # Through advantages, targets and old log probabilities of later updates as well.
    with jax.enable_x64(True):
        trainer = clipped(
            surrogate="learned_drift", anneal_learning_rate=False, optimiser="sgd", learning_rate=2.0, num_epochs=3
        )
        study = differentiate(
            trainer, make_tasks(RICH, 6), leaf=leaf, num_agents=1, unroll=3, num_meta_steps=2,
            num_evaluations=1, evaluation_tasks=2, critic_network="table",
        )  # fmt: skip
        difference, derivative = difference_and_derivative(study)
    assert abs(derivative) > 1e-9
    np.testing.assert_allclose(derivative, difference, rtol=1e-3)


@pytest.mark.slow  # A study for each; finite differences and a life that diverged are quick.
@pytest.mark.parametrize(
    ("agent", "optimiser"),
    [
        ("a2c", "adam"),
        ("a2c", "rmsprop"),
        ("a2c", "sgd"),
        ("ppo", "adam"),
    ],
)
def test_meta_gradients_are_numbers_where_nothing_has_been_learned(agent, optimiser):
    # No rewards and a uniform policy: every gradient of the agent is exactly zero.
    barren = RICH._replace(sample_params=lambda key: RICH.params._replace(reward=jnp.zeros(3)))
    trainer = learner(agent=agent, environment=barren, optimiser=optimiser)
    study = differentiate(
        trainer, make_tasks(barren, 4), leaf="discount", num_agents=2, unroll=2, num_meta_steps=1, num_evaluations=1,
        evaluation_tasks=2, critic_network="table",
    )  # fmt: skip
    state = study.init(jax.random.key(0), study.hyperparameters)
    after, (metrics, _) = jax.jit(study.step)(state, study.hyperparameters, 0)
    assert float(metrics["meta_gradient_norm"]) == 0.0 and float(metrics["non_finite"]) == 0.0
    assert float(after.value) == pytest.approx(0.99)


@pytest.fixture(scope="module")
def stepping():
    """States before and after each of three meta-steps, as a function of the outer rate's decay."""
    study = gradient_study(horizon=40, num_meta_steps=3, learning_rate=1e-2)
    step = jax.jit(study.step)

    def states(decay):
        hp = study.hyperparameters
        hp = hp._replace(outer=hp.outer._replace(learning_rate_decay=jnp.float32(decay)))
        along = [study.init(jax.random.key(0), hp)]
        for index in range(3):
            along.append(step(along[-1], hp, index)[0])
        return along

    return states


def test_everything_that_should_move_moves(stepping):
    before, *_, after = stepping(1.0)
    for name, leaf in after.value.items():
        assert np.any(np.asarray(leaf) != np.asarray(before.value[name])), name
    assert np.any(np.asarray(after.critics.params["critic"]) != 0.0)
    assert np.any(np.asarray(after.lives.run.agent.params["actor"]) != 0.0)


def test_the_outer_rate_decays_by_a_factor_per_meta_step(stepping):
    full, half = ([ravel_pytree(state.value)[0] for state in stepping(decay)] for decay in (1.0, 0.5))
    np.testing.assert_array_equal(half[1], full[1])
    # The second step is taken from the same place with the same gradient, and is half as long.
    np.testing.assert_allclose(half[2] - half[1], 0.5 * (full[2] - full[1]), rtol=1e-3, atol=1e-7)


def test_a_life_that_diverged_restarts_and_its_meta_gradient_is_left_out():
    trainer = learner(agent="a2c", learning_rate=0.1)
    study = differentiate(
        trainer, make_tasks(RICH, 4), "learning_rate", num_agents=3, unroll=1, num_meta_steps=4,
        num_evaluations=1, evaluation_tasks=1, critic_network="table", learning_rate=0.1,
    )  # fmt: skip
    hp, step = study.hyperparameters, jax.jit(study.step)
    state = study.init(jax.random.key(0), hp)
    poison = lambda leaf: leaf.at[1].set(jnp.nan) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf  # noqa: E731
    agent = jax.tree.map(poison, state.lives.run.agent)
    broken = state._replace(lives=state.lives._replace(run=state.lives.run._replace(agent=agent)))
    after, (metrics, _) = step(broken, hp, 0)
    whole, (usual, _) = step(state, hp, 0)
    assert metrics["skipped_updates"] >= 1.0 and (metrics["diverged_lives"], metrics["non_finite"]) == (1.0, 0.0)
    assert (usual["diverged_lives"], usual["skipped_updates"]) == (0.0, 0.0) and np.isfinite(metrics["outer_loss"])
    assert after.value == state.value != whole.value
    assert after.lives.age.tolist()[1] == 0 and after.lives.births.tolist()[1] == state.lives.births.tolist()[1] + 1
    # The other lives and critics go on as without it.
    one, other = (jax.tree.map(lambda leaf: _data(leaf)[::2], (s.lives, s.critics)) for s in (after, whole))
    for leaf, expected in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(leaf, expected)
    later, (metrics, _) = step(after, hp, 1)
    assert metrics["diverged_lives"] == metrics["skipped_updates"] == 0.0 and np.isfinite(later.value) != after.value
    # Where no life is left there is nothing to learn from.
    every = jax.tree.map(lambda leaf: leaf * jnp.nan if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, agent)
    lost = state._replace(lives=state.lives._replace(run=state.lives.run._replace(agent=every)))
    assert step(lost, hp, 0)[1][0]["non_finite"] == 1.0


@pytest.mark.slow
def test_an_agent_that_restarts_gets_a_fresh_critic():
    study = gradient_study(num_agents=4, unroll=2, num_meta_steps=2)
    state = study.init(jax.random.key(0), study.hyperparameters)
    after, _ = jax.jit(study.step)(state, study.hyperparameters, 0)
    restarted = np.asarray(after.lives.age) == 0
    assert restarted.any() and not restarted.all()
    moved = np.abs(np.asarray(after.critics.params["critic"])).sum(axis=(1, 2)) > 0
    assert not moved[restarted].any() and moved[~restarted].all()


# --- errors ---


def test_bad_settings_are_named():
    tasks = make_tasks(RICH, 4)
    with pytest.raises(UnknownNameError, match="population_size"):
        evolve(clipped(surrogate="learned_drift"), tasks, population=4)
    with pytest.raises(UnknownNameError, match="gae_lambda"):
        evolve(clipped(), tasks, leaf="lambda")
    with pytest.raises(ValueError, match="has no parameters to learn"):
        evolve(clipped(surrogate="policy_gradient"), tasks)
    with pytest.raises(UnknownNameError, match="final"):
        evolve(clipped(surrogate="learned_drift"), tasks, fitness="finals")
    with pytest.raises(ValueError, match="hypervolume needs two objectives"):
        evolve(clipped(surrogate="learned_drift"), tasks, fitness="hypervolume")
    with pytest.raises(ValueError, match="learns grid/rich, the tasks are of grid/small"):
        evolve(clipped(surrogate="learned_drift"), make_tasks("grid/small", 4))
    with pytest.raises(ValueError, match=r"\(5, 2\)"):
        make_tasks(RICH, (5, 2))
    with pytest.raises(ValueError, match="tasks are"):
        differentiate(lpg(), tasks, leaf="environment")
