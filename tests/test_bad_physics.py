"""A step that is not finite: its episode ends, nothing is learned from it, and nobody else notices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.agents.minibatches import Batch, pack
from jaxrl.aggregation import standardise
from jaxrl.bilevel.episodes import collector
from jaxrl.environments import vectorise
from jaxrl.errors import NonFiniteError
from jaxrl.meta import differentiate, make_tasks
from jaxrl.multitask import make_family, maml
from jaxrl.numerics import normalisation, returns
from jaxrl.numerics.distributions import for_space
from jaxrl.objectives.surrogate import make_surrogate
from jaxrl.sweeps.checkpoint import Checkpoints
from jaxrl.sweeps.program import program
from jaxrl.sweeps.running import RunOptions, execute
from tests import environments as probes

pytestmark = pytest.mark.quick_compilation

SMALL = {"num_envs": 6, "num_steps": 20, "num_evaluations": 1, "evaluation_episodes": 4, "hidden_sizes": (8,)}
NEVER = jnp.asarray(probes.NEVER)


def build(agent="ppo", environment=None, iterations=3, **settings):
    settings = {**SMALL, **settings}
    total = iterations * settings["num_envs"] * settings["num_steps"]
    return jaxrl.trainer(agent, environment or probes.breaking(), **{"total_steps": total, **settings})


def finite(tree):
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating))


def assert_identical(first, second):
    for one, two in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, two = jax.random.key_data(one), jax.random.key_data(two)
        np.testing.assert_array_equal(one, two)


# --- environments ---


def roll(environment, mode="fresh", num_steps=6, params=NEVER):
    """First observations, draws and timesteps of six copies, under the same random numbers whatever `params` are."""
    batched = vectorise(environment, 6, mode)

    @jax.jit
    def run(params):
        state, first = batched.reset(jax.random.key(1), params)
        draws = batched.draw(jax.random.key(2), num_steps, params)
        body = lambda state, draws: batched.step(draws, state, jnp.ones(6, jnp.int32), params)  # noqa: E731
        return first, draws, jax.lax.scan(body, state, draws)[1]

    return run(params)


@pytest.mark.parametrize(
    ("part", "value", "mode"),
    [
        ("observation", np.nan, "fresh"),
        ("observation", np.inf, "pool"),
        ("reward", np.nan, "none"),
        ("reward", -np.inf, "fresh"),
        ("state", np.nan, "fresh"),
    ],
)
def test_a_fault_ends_its_own_episode_and_touches_no_other_copy(part, value, mode):
    environment = probes.breaking(part, value)
    first, draws, timesteps = roll(environment, mode, params=environment.params)
    whole = roll(environment, mode)[2]
    broken = np.asarray(first)[:, 1] > 0.5
    assert 0 < broken.sum() < 6 and not whole.info["faulty"].any()
    np.testing.assert_array_equal(timesteps.info["faulty"][2], broken)
    np.testing.assert_array_equal(timesteps.truncated[2], broken)
    assert not timesteps.terminated.any()
    assert finite((timesteps.observation, timesteps.reward, timesteps.info["final_observation"]))
    np.testing.assert_array_equal(timesteps.reward[2, broken], 0.0)
    if mode != "none":
        starts = np.asarray(draws.resets[1])[2][np.arange(6) % draws.resets[1].shape[1]]
        np.testing.assert_array_equal(timesteps.observation[2, broken], starts[broken])
    # Every bit of the others, and of what was before.
    assert_identical(*(jax.tree.map(lambda leaf: leaf[:, ~broken], steps) for steps in (timesteps, whole)))
    assert_identical(*(jax.tree.map(lambda leaf: leaf[:2], steps) for steps in (timesteps, whole)))


def test_infinities_and_nans_that_a_state_is_reset_with_are_its_own():
    inner = probes.breaking()

    def reset(key, params):
        state, observation = inner.reset(key, params)
        # The best reward so far, and the time of a success that has not come yet.
        return (state, jnp.asarray(-jnp.inf), jnp.asarray(jnp.nan)), observation

    def step(key, state, action, params):
        following, timestep = inner.step(key, state[0], action, params)
        return (following, jnp.maximum(state[1], timestep.reward[0]), state[2]), timestep

    assert not roll(inner._replace(reset=reset, step=step))[2].info["faulty"].any()


def test_a_start_that_is_not_finite_is_shown_as_zeros():
    inner = probes.breaking()

    def reset(key, params):
        state, observation = inner.reset(key, params)
        return state, observation / 0.0

    first, _, timesteps = roll(inner._replace(reset=reset), num_steps=8)
    np.testing.assert_array_equal(first, 0.0)
    np.testing.assert_array_equal(timesteps.observation[6], 0.0)


# --- rollouts and evaluations ---


@pytest.fixture(scope="module")
def collected():
    trainer = build(num_steps=24)
    state = trainer.init(jax.random.key(0), trainer.hyperparameters)
    return jax.jit(trainer.collect)(jax.random.key(1), state, trainer.hyperparameters)


def test_a_rollout_holds_what_was_seen_last_and_says_what_is_not_valid(collected):
    state, rollout, _ = collected
    invalid = ~np.asarray(rollout.valid)
    assert 0 < invalid.sum() < 24 and finite(rollout) and finite(state)
    assert rollout.truncated[invalid].all() and not rollout.reward[invalid].any()
    np.testing.assert_array_equal(rollout.final_observation[invalid], rollout.observation[invalid])
    # Episodes that break do so at their third step.
    begun = np.asarray(rollout.start)[:-2] & (np.asarray(rollout.observation)[:-2, :, 1] > 0.5)
    np.testing.assert_array_equal(invalid[2:], begun)


def test_what_a_fault_cuts_off_is_no_finished_episode(collected):
    _, rollout, summary = collected
    assert float(summary.count[0]) == (rollout.truncated & rollout.valid).sum() > 0
    assert float(summary.length) == 7.0 and finite(summary)


def test_an_evaluation_counts_what_a_broken_episode_gathered():
    inner = probes.breaking("reward")

    def step(key, state, action, params):
        state, timestep = inner.step(key, state, action, params)
        return state, timestep._replace(info={"success": timestep.reward[0]})

    trainer = build(environment=inner._replace(step=step), evaluation_episodes=16)
    state = trainer.init(jax.random.key(0), trainer.hyperparameters)
    found = jax.jit(trainer.evaluate)(jax.random.key(1), state.agent, trainer.hyperparameters)
    assert finite(found) and 3.0 < float(found.length) < 7.0


def test_episodes_of_a_policy_end_at_a_fault():
    environment = probes.breaking("observation")
    collect = collector(environment, for_space(environment.spec.action), 6, 7)
    episodes = jax.jit(lambda key: collect(key, lambda observation: jnp.zeros((6, 2)), environment.params))(
        jax.random.key(1)
    )
    broken = np.asarray(episodes.observation)[0, :, 1] > 0.5
    np.testing.assert_array_equal(episodes.alive.sum(axis=0), np.where(broken, 2, 7))
    assert 0 < broken.sum() < 6 and finite(episodes)


# --- estimates ---


def test_estimates_of_what_came_before_end_where_the_fault_began():
    generator = np.random.default_rng(0)
    draw = lambda: jnp.asarray(generator.normal(size=(6, 2, 3)), jnp.float32)  # noqa: E731
    rewards, values, following, log_ratios = draw(), draw(), draw(), draw()[..., 0]
    valid = jnp.ones((6, 2), bool).at[3, 0].set(False)
    never, cut = jnp.zeros((6, 2), bool), ~valid
    # Elsewhere values follow each other, as observations do.
    following = following.at[2].set(values[3])
    short = jnp.zeros((3, 2), bool).at[2, 0].set(True)
    inputs = (rewards, values, following, never)
    for estimate, extra in (
        (returns.generalised_advantage, []),
        (returns.vtrace, [log_ratios]),
        (returns.retrace, [log_ratios]),
    ):
        whole = estimate(*inputs, cut, *extra, 0.9, 0.8, valid=valid)
        before = estimate(*(x[:3] for x in inputs), short, *(x[:3] for x in extra), 0.9, 0.8)
        for one, two in zip(jax.tree.leaves(whole), jax.tree.leaves(before), strict=True):
            np.testing.assert_allclose(one[:3, 0], two[:, 0], rtol=1e-6, atol=1e-6)
    advantage = returns.generalised_advantage(rewards, values, following, never, cut, 0.9, 0.8, valid=valid)
    np.testing.assert_array_equal(advantage[3, 0], 0.0)
    assert np.abs(advantage[3, 1]).min() > 0.0


def test_an_episode_with_a_fault_is_compared_with_no_other():
    rewards = jnp.asarray(np.random.default_rng(1).normal(size=(4, 6, 2)), jnp.float32)
    done = jnp.zeros((4, 6), bool).at[-1].set(True).at[1, 4].set(True)
    valid = jnp.ones((4, 6), bool).at[1, 4].set(False)
    found = returns.group_relative_advantage(rewards, done, 3, valid=valid)
    np.testing.assert_array_equal(found[:, 4], 0.0)
    pair = returns.group_relative_advantage(rewards[:, jnp.asarray([3, 5])], done[:, jnp.asarray([3, 5])], 2)
    np.testing.assert_allclose(found[:, [3, 5]], pair, rtol=1e-5)
    np.testing.assert_array_equal(found[:, :3], returns.group_relative_advantage(rewards, done, 3)[:, :3])


def test_means_and_deviations_are_those_of_valid_samples():
    generator = np.random.default_rng(2)
    values, valid = generator.normal(size=(5, 4, 3)).astype(np.float32), generator.random((5, 4)) < 0.7
    expected = (values - values[valid].mean(axis=0)) / values[valid].std(axis=0)
    found = standardise(jnp.asarray(values), (0, 1), valid=jnp.asarray(valid))
    np.testing.assert_allclose(found, np.where(valid[..., None], expected, 0.0), atol=1e-5)
    tasks = jax.nn.one_hot(generator.integers(3, size=(5, 4)), 3)
    found = standardise(jnp.asarray(values), (0, 1), where=tasks, valid=jnp.asarray(valid))
    of_first = np.asarray(tasks)[..., 0].astype(bool) & valid
    column = values[..., 0]
    np.testing.assert_allclose(
        found[of_first, 0], (column[of_first] - column[of_first].mean()) / column[of_first].std(), atol=1e-5
    )

    statistics = normalisation.init_statistics((3,))
    for part in (slice(0, 2), slice(2, 5)):
        statistics = normalisation.update_statistics(
            statistics, jnp.asarray(values[part]), valid=jnp.asarray(valid[part])
        )
    assert float(statistics.count) == valid.sum()
    np.testing.assert_allclose(statistics.mean, values[valid].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(normalisation.standard_deviation(statistics), values[valid].std(axis=0), rtol=1e-5)
    none = normalisation.update_statistics(
        normalisation.init_statistics((3,)), jnp.asarray(values), valid=jnp.zeros((5, 4), bool)
    )
    assert finite(none) and float(none.count) == 0.0


# --- learning ---

AGENTS = {
    "ppo": ("ppo", {"normalise_observations": True, "normalise_rewards": True}),
    "sequences": ("ppo", {"network": "gru", "num_minibatches": 2}),
    "objectives": ("ppo", {"objectives": 2, "aggregator": "decoupled_normalisation"}),
    "natural gradient": ("npg", {"continuous": True, "num_minibatches": 1}),
    "groups": ("grpo", {"group_size": 3}),
    "auxiliary heads": ("stacx", {"num_minibatches": 1}),
    "trajectories": ("lpg", {"num_outputs": 3, "objective_size": 4}),
    "disco": ("disco", {"num_predictions": 4, "trajectory_size": 4, "lifetime_size": 4}),
}


SLOW = ("sequences", "auxiliary heads", "disco")


@pytest.mark.parametrize(
    ("agent", "settings"),
    [pytest.param(*AGENTS[name], marks=pytest.mark.slow if name in SLOW else (), id=name) for name in AGENTS],
)
def test_nothing_is_learned_from_a_step_that_is_not_finite(agent, settings):
    settings = dict(settings)
    probe = {name: settings.pop(name) for name in ("continuous", "objectives") if name in settings}
    trainer = build(agent, probes.breaking("observation", **probe), **settings)

    @jax.jit
    def learn(key):
        hp, progress = trainer.hyperparameters, jaxrl.agents.Progress(jnp.zeros(()), jnp.ones(()))
        state, rollout, summary = trainer.collect(key, trainer.init(key, hp), hp)
        sentinel = rollout.valid.reshape(*rollout.valid.shape, *(1,) * (rollout.raw_action.ndim - 2))
        other = rollout._replace(
            raw_action=jnp.where(sentinel, rollout.raw_action, 1 - rollout.raw_action),
            reward=jnp.where(rollout.valid[..., None], rollout.reward, 50.0),
        )
        update = lambda rollout: trainer.agent.update(key, state.agent, rollout, summary, hp, progress)  # noqa: E731
        both = jax.tree.map(lambda *leaves: jnp.stack(leaves), rollout, other)
        return state.agent, rollout.valid, *jax.lax.map(update, both)

    before, valid, after, metrics = learn(jax.random.key(3))
    assert 0 < (~valid).sum() < 30 and finite(after)
    assert not metrics["skipped_updates"].any() and not metrics["non_finite"].any()
    one, other = (jax.tree.map(lambda leaf, i=i: leaf[i], after) for i in range(2))
    assert_identical(one, other)
    moved = [bool(np.any(a != b)) for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(one), strict=True)]
    assert any(moved)


def test_floats_of_any_width_are_gathered_whole():
    value = jnp.asarray([[0.25, -1.5], [3.0, 0.125]])
    batch = Batch(
        value.astype(jnp.bfloat16), jnp.arange(2, dtype=jnp.uint8), value[:, 0], value[:, :0], value, value, value,
        value, jnp.array([True, False]), valid=jnp.array([False, True]),
    )  # fmt: skip
    rows, unpack = pack(batch)
    found = unpack(rows[jnp.asarray([1, 0])])
    assert_identical(found, jax.tree.map(lambda leaf: leaf[::-1], batch))
    assert found.observation.dtype == jnp.bfloat16


# --- loops around learning ---


@pytest.mark.slow  # A life that diverged, in test_meta, is the quick test.
def test_meta_gradients_pass_faults_by():
    trainer = build(iterations=4, num_steps=8, num_minibatches=1, num_epochs=1)
    tasks = make_tasks(trainer.environment, 4, lambda key: jnp.asarray(0.5))
    study = differentiate(
        trainer, tasks, leaf="gae_lambda", initial=lambda key: jnp.asarray(0.9), num_agents=2, unroll=2,
        num_meta_steps=2, num_evaluations=1, evaluation_tasks=2, critic_hidden_sizes=(4,),
    )  # fmt: skip
    result = jax.jit(study.run)(jax.random.key(0), study.hyperparameters)
    assert result.metrics["faulty_steps"].min() > 4 and not result.metrics["skipped_updates"].any()
    assert finite((result.state.value, result.state.critics, result.state.lives.run))
    assert result.metrics["meta_gradient_norm"].min() > 0.0


@pytest.mark.slow  # Compiles both loops; each agent by itself is the quick test.
def test_adaptation_to_tasks_passes_faults_by():
    tasks = make_family(probes.breaking(), jnp.asarray([0.5, 0.8]))
    built = maml(
        tasks, num_iterations=2, num_evaluations=1, num_envs=6, hidden_sizes=(4,), adaptation_steps=1,
        evaluation_adaptations=1,
    )  # fmt: skip
    result = jax.jit(built.run)(jax.random.key(0), built.hyperparameters)
    assert result.metrics["faulty_steps"].min() > 4 and not result.metrics["skipped_updates"].any()
    assert finite(result.state.params) and finite(result.evaluation)


def test_a_member_with_faults_changes_no_bit_of_the_others():
    trainer = build("a2c", num_minibatches=1)
    run = jax.jit(jax.vmap(lambda key, params: trainer.run(key, trainer.hyperparameters._replace(environment=params))))
    keys = jax.random.split(jax.random.key(0), 3)
    whole = run(keys, jnp.full(3, probes.NEVER))
    found = run(keys, jnp.asarray([probes.NEVER, 0.5, probes.NEVER]))
    assert finite(found.state) and found.metrics["faulty_steps"].sum(axis=1).tolist() > [0.0, 5.0, 0.0]
    assert not whole.metrics["faulty_steps"].any()
    assert_identical(*(jax.tree.map(lambda leaf: leaf[::2], part) for part in (found, whole)))


def test_an_update_that_is_not_finite_is_skipped_and_counted():
    plain = make_surrogate("clip")

    def apply(inputs, parameters, state):
        # The second of four iterations.
        lost = jnp.abs(inputs.progress - 0.25) < 1e-3
        return plain.apply(inputs, parameters, state) * jnp.where(lost, jnp.nan, 1.0)

    trainer = build(surrogate=plain._replace(apply=apply), iterations=4, num_minibatches=2, num_epochs=3)
    state, step = trainer.init(jax.random.key(0), trainer.hyperparameters), jax.jit(trainer.learn)
    for index, skipped in enumerate((0.0, 6.0, 0.0)):
        following, metrics = step(state, trainer.hyperparameters, index, 4)
        assert float(metrics["skipped_updates"]) == skipped and float(metrics["non_finite"]) == skipped / 6
        kept = [
            np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (state.agent.params, following.agent.params)))
        ]
        assert all(kept) if skipped else not any(kept)
        assert int(following.agent.optimiser[1].count) == int(state.agent.optimiser[1].count) + (0 if skipped else 6)
        state = following
    assert finite(state.agent)


# --- runs ---


def drive(trainer, tmp_path, **options):
    axes = jax.tree.map(lambda _: None, trainer.hyperparameters)
    options = RunOptions(
        num_chunks=trainer.num_iterations,
        progress=False,
        checkpoint_directory=tmp_path,
        checkpoint_seconds=0.0,
        **options,
    )
    compiled = program(trainer, options.num_chunks)
    return execute(trainer, compiled, jax.random.key(7), trainer.hyperparameters, axes, options)


def test_a_run_with_a_few_faults_goes_on_and_one_with_many_stops(tmp_path):
    # Every fourth step is lost.
    trainer = build(environment=probes.breaking(step_of_fault=4), iterations=12, num_envs=8, num_steps=32)
    often = trainer._replace(hyperparameters=trainer.hyperparameters._replace(environment=jnp.asarray(-1.0)))
    with pytest.raises(
        NonFiniteError, match=r"25% of the environment's steps are not finite in iterations 0 to 4, .*; .* step 4"
    ):
        drive(often, tmp_path)
    assert Checkpoints(tmp_path).latest() == 4
    result = drive(often, tmp_path / "allowed", max_lost=0.3)
    assert finite(result.state) and result.metrics["faulty_steps"].min() > 50


def test_a_run_whose_updates_are_lost_stops(tmp_path):
    with pytest.raises(NonFiniteError, match=r"the loss is not finite in iterations 0 to 1.* step 1"):
        drive(build(learning_rate=1e30, max_gradient_norm=1e30, optimiser="sgd"), tmp_path)
