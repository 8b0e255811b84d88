"""Agents with continuous actions that learn from a buffer: their parts against closed forms, and what holds of all."""

from dataclasses import fields, replace
from itertools import pairwise

import environments as probes
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.agents.base import Progress
from jaxrl.agents.entries import agent_entry
from jaxrl.agents.off_policy import actor_critic, ensembles
from jaxrl.agents.off_policy.continuous import ActorCriticConfig, Parts, choices
from jaxrl.agents.off_policy.experience import Experience
from jaxrl.agents.off_policy.policies import POLICIES, uniform_action
from jaxrl.agents.off_policy.policy_learning import learn_policy
from jaxrl.environments import Box, Discrete, Environment, EnvironmentSpec, Timestep
from jaxrl.hyperparameters import leaves
from jaxrl.networks.batch_norm import MOMENTUM, STATISTICS, BatchNorm
from jaxrl.networks.critics import Network, action_critics
from jaxrl.networks.trunk import Layers

pytestmark = pytest.mark.quick_compilation

NAMES = ("ddpg", "td3", "sac", "redq", "droq", "tqc", "crossq", "simba", "off_policy_mdpo", "pmoe")
SLOW = pytest.mark.slow
PENDULUM = "gymnax/Pendulum-v1"
SMALL = {
    "num_envs": 2,
    "num_steps": 4,
    "num_updates": 2,
    "batch_size": 8,
    "buffer_size": 64,
    "learning_starts": 16,
    "total_steps": 64,
    "hidden_sizes": (8,),
    "num_evaluations": 1,
    "evaluation_episodes": 2,
    "evaluation_steps": 4,
}


def small(name="sac", environment=PENDULUM, **settings):
    own = {"critic_sizes": ()} if name in ("crossq", "simba") else {}
    own |= {"num_critics": 3} if name in ("redq", "tqc") else {}
    own |= {"num_atoms": 5} if name == "tqc" else {}
    return jaxrl.trainer(name, environment, **{**SMALL, **own, **settings})


def learn(trainer, seed=0):
    return jax.jit(trainer.run)(jax.random.key(seed), trainer.hyperparameters)


def steps(trainer, seed=0):
    """The agent's state after every iteration."""
    state, step = trainer.init(jax.random.key(seed), trainer.hyperparameters), jax.jit(trainer.step)
    for index in range(trainer.num_iterations):
        state, (metrics, _) = step(state, trainer.hyperparameters, jnp.asarray(index))
        yield state.agent, metrics


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def drawn(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


# --- policies ---


def test_the_log_probability_is_that_of_the_change_of_variables():
    policy = POLICIES["squashed_gaussian"](Box(-1.0, 1.0, (3,)), False, 1)
    parameters, noise = 0.5 * drawn(0, 6), drawn(1, 3)
    action, log_probability = policy.sample(parameters, noise)
    # log π(a) = log N(x) - log |det ∂a/∂x|, the Jacobian by automatic differentiation.
    jacobian = jax.jacobian(lambda x: policy.sample(parameters, x)[0])(noise)
    density = jax.scipy.stats.norm.logpdf(noise).sum()
    np.testing.assert_allclose(log_probability, density - jnp.linalg.slogdet(jacobian)[1], rtol=1e-5)
    assert np.all(np.abs(action) < 1.0)


def test_the_density_integrates_to_one():
    policy = POLICIES["squashed_gaussian"](Box(-1.0, 1.0, (1,)), False, 1)
    parameters, noise = jnp.asarray([0.3, 0.1]), jnp.linspace(-8.0, 8.0, 20_001)[:, None]
    action, log_probability = policy.sample(jnp.broadcast_to(parameters, (20_001, 2)), noise)
    np.testing.assert_allclose(np.trapezoid(np.exp(log_probability), action[:, 0]), 1.0, atol=1e-3)


def test_the_density_of_a_mixture_is_exact_and_its_gate_is_no_matter_of_samples():
    policy = POLICIES["squashed_gaussian"](Box(-1.0, 1.0, (1,)), False, 3)
    parameters = drawn(0, policy.num_parameters)
    # Of the widest expert, all of whose samples together cover what any of them reaches.
    noise = jnp.broadcast_to(jnp.linspace(-9.0, 9.0, 40_001)[:, None], (3, 40_001, 1))
    actions, log_probabilities = policy.experts.sample(jnp.broadcast_to(parameters, (40_001, 9)), noise)
    widest = int(np.argmax(parameters[3:].reshape(3, 2)[:, 1]))
    action, density = np.asarray(actions[widest, :, 0]), np.exp(np.asarray(log_probabilities[widest]))
    np.testing.assert_allclose(np.trapezoid(density, action), 1.0, atol=1e-3)
    # What is drawn falls where the density says, and says the same density.
    drawings, log_density = policy.sample(jnp.broadcast_to(parameters, (100_000, 9)), drawn(1, 100_000, 2))
    np.testing.assert_allclose(np.exp(log_density), np.interp(drawings[:, 0], action, density), rtol=0.02, atol=0.02)
    edges = np.linspace(-1.0, 1.0, 9)
    below = np.concatenate([[0.0], np.cumsum(np.diff(action) * 0.5 * (density[1:] + density[:-1]))])
    shares = np.histogram(np.asarray(drawings[:, 0]), edges)[0] / 100_000
    np.testing.assert_allclose(shares, np.diff(np.interp(edges, action, below)), atol=0.01)
    slope = jax.grad(lambda p: policy.experts.sample(p, jnp.ones((3, 1)))[1].sum())(parameters)
    assert np.all(slope[:3] == 0.0) and np.any(slope[3:] != 0.0)


def test_the_divergence_of_squashed_gaussians_is_that_of_their_samples():
    policy = POLICIES["squashed_gaussian"](Box(-1.0, 1.0, (2,)), False, 1)
    one, other = 0.5 * drawn(0, 4), 0.5 * drawn(1, 4)
    noise = drawn(2, 100_000, 2)
    action, log_one = policy.sample(jnp.broadcast_to(one, (100_000, 4)), noise)
    # The noise under which the other policy has the same action.
    std = lambda p: np.exp(-5.0 + 3.5 * (np.tanh(np.asarray(p[2:])) + 1.0))  # noqa: E731
    raw = np.asarray(one[:2]) + std(one) * np.asarray(noise)
    same_action, log_other = policy.sample(
        jnp.broadcast_to(other, (100_000, 4)), jnp.asarray((raw - np.asarray(other[:2])) / std(other), jnp.float32)
    )
    np.testing.assert_allclose(same_action, action, atol=1e-3)
    estimate = np.asarray(log_one, float) - np.asarray(log_other, float)
    np.testing.assert_allclose(policy.kl(one, other), estimate.mean(), atol=5 * estimate.std() / 300)
    assert float(policy.kl(one, one)) == 0.0


def test_far_actions_have_finite_logarithms_and_slopes():
    policy = POLICIES["squashed_gaussian"](Box(-1.0, 1.0, (2,)), False, 1)
    parameters = jnp.asarray([40.0, -40.0, 50.0, -50.0])
    value, slope = jax.value_and_grad(lambda p: policy.sample(p, jnp.ones(2))[1])(parameters)
    assert np.isfinite(value) and np.isfinite(slope).all()


def test_targets_of_a_deterministic_policy_are_smoothed_by_clipped_noise():
    policy = POLICIES["deterministic"](Box(-1.0, 1.0, (2,)), True, 1)
    parameters, noise = drawn(0, 50, 2), 3.0 * drawn(1, 50, 2)
    action, _ = policy.following(parameters, noise, {"target_noise": 0.2, "target_noise_clip": 0.5})
    expected = np.clip(np.tanh(parameters) + np.clip(0.2 * np.asarray(noise), -0.5, 0.5), -1.0, 1.0)
    np.testing.assert_allclose(action, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(policy.sample(parameters, noise)[0], np.tanh(parameters), rtol=1e-5)
    plain = POLICIES["deterministic"](Box(-1.0, 1.0, (2,)), False, 1)
    np.testing.assert_allclose(plain.following(parameters, noise, {})[0], np.tanh(parameters), rtol=1e-5)


def test_warming_up_is_uniform_within_the_bounds():
    actions = np.asarray(uniform_action(drawn(0, 100_000)))
    counts, _ = np.histogram(actions, 20, (-1.0, 1.0))
    assert counts.sum() == 100_000 and np.abs(counts / 5000 - 1.0).max() < 0.08


def test_raw_actions_are_mapped_onto_the_bounds():
    trainer = small(environment=probes.nearest(low=-3.0, high=1.0))
    np.testing.assert_allclose(trainer.agent.action(jnp.asarray([[-1.0], [0.0], [1.0]])), [[-3.0], [-1.0], [1.0]])


# --- ensembles ---


def test_the_smaller_critic_is_the_one_whose_aggregate_is_smaller_and_is_taken_whole():
    outputs, weights = np.asarray(drawn(0, 2, 30, 2, 1)), np.asarray(jax.random.uniform(jax.random.key(1), (30, 2)))
    found = ensembles.smallest(jnp.asarray(outputs), jnp.asarray(outputs[..., 0]), jnp.asarray(weights))
    mixed = 0
    for i in range(30):
        scores = [float(np.dot(weights[i], outputs[k, i, :, 0])) for k in range(2)]
        expected = outputs[int(np.argmin(scores)), i]
        np.testing.assert_allclose(found[i], expected, rtol=1e-6)
        mixed += not np.array_equal(expected, outputs[:, i].min(axis=0))
    # Minima of single objectives would have been other vectors.
    assert mixed > 5


def test_truncation_pools_sorts_by_the_aggregate_and_drops_the_largest():
    outputs, weights = np.asarray(drawn(0, 3, 20, 2, 5)), np.asarray(jax.random.uniform(jax.random.key(1), (20, 2)))
    means = jnp.asarray(outputs.mean(axis=-1))
    found = ensembles.truncated(jnp.asarray(outputs), means, jnp.asarray(weights), 2)
    assert found.shape == (20, 2, 9)
    for i in range(20):
        pooled = [outputs[k, i, :, atom] for k in range(3) for atom in range(5)]
        kept = sorted(pooled, key=lambda vector: float(np.dot(weights[i], vector)))[: 3 * (5 - 2)]
        np.testing.assert_allclose(found[i], np.stack(kept, axis=-1), rtol=1e-6)


def test_truncation_of_one_objective_is_that_of_sorted_quantiles():
    outputs = np.asarray(drawn(0, 5, 7, 1, 25))
    found = ensembles.truncated(jnp.asarray(outputs), jnp.zeros((5, 7, 1)), jnp.ones((7, 1)), 2)
    pooled = np.sort(outputs[:, :, 0].transpose(1, 0, 2).reshape(7, 125))[:, :115]
    np.testing.assert_array_equal(found[:, 0], pooled)


def test_a_random_subset_has_no_critic_twice_and_reaches_all():
    critics = {"kernel": jnp.arange(6.0)[:, None]}
    keys = jax.random.split(jax.random.key(0), 200)
    chosen = jax.vmap(lambda key: ensembles.chosen_critics(key, critics, 2)["kernel"][:, 0])(keys)
    assert np.all(chosen[:, 0] != chosen[:, 1])
    assert set(np.unique(chosen)) == set(range(6))


def test_what_part_of_an_ensemble_says_is_a_part_of_what_all_say():
    critics = action_critics(Box(-1.0, 1.0, (3,)), 2, 2, num_critics=4, num_atoms=3, layers=Layers((8,)))
    variables = critics.init(jax.random.key(0))
    inputs = (drawn(1, 5, 3), drawn(2, 5, 2), jnp.ones((5, 2)))
    outputs = critics.apply(variables, None, *inputs)
    assert outputs.shape == (4, 5, 2, 3)
    some = jax.tree.map(lambda leaf: leaf[jnp.asarray([3, 1])], variables)
    np.testing.assert_allclose(critics.apply(some, None, *inputs), outputs[jnp.asarray([3, 1])], rtol=1e-5, atol=1e-6)
    assert len(np.unique(np.asarray(outputs))) == outputs.size


# --- batch normalisation ---


def test_statistics_of_batches_move_and_evaluation_is_of_each_sample_by_itself():
    layers = Layers((8,), batch_norm="batch")
    critics = action_critics(Box(-1.0, 1.0, (3,)), 1, 1, num_critics=2, layers=layers)
    variables = critics.init(jax.random.key(0))
    inputs = (2.0 + drawn(1, 6, 3), drawn(2, 6, 1), jnp.ones((6, 1)))
    _, moved = critics.learn(variables, None, *inputs)
    mean = moved["statistics"]["Trunk_0"]["BatchNorm_0"]["mean"]
    seen = np.concatenate([inputs[0], inputs[1]], axis=-1)
    np.testing.assert_allclose(mean, np.broadcast_to((1.0 - MOMENTUM) * seen.mean(axis=0), (2, 4)), rtol=1e-5)
    assert same(moved["params"], variables["params"])
    together = critics.apply(moved, None, *inputs)
    alone = critics.apply(moved, None, *(part[:1] for part in inputs))
    np.testing.assert_allclose(alone, together[:, :1], rtol=1e-5)


def test_renormalisation_is_batch_normalisation_at_first_and_then_follows_the_running_statistics():
    features = 1.0 + 1.5 * drawn(1, 64, 3)

    def outputs(renormalise, count, learning=True, mean=0.0):
        statistics = {"mean": jnp.full(3, mean), "variance": jnp.ones(3), "count": jnp.asarray(count)}
        norm = BatchNorm(renormalise)
        variables = {"params": {"scale": jnp.full(3, 2.0), "bias": jnp.ones(3)}, STATISTICS: statistics}
        return norm.apply(variables, features, mutable=[STATISTICS])[0] if learning else norm.apply(variables, features)

    np.testing.assert_array_equal(outputs(True, 0.0), outputs(False, 0.0))
    np.testing.assert_allclose(outputs(False, 0.0).mean(axis=0), 1.0, atol=1e-5)
    np.testing.assert_allclose(outputs(False, 0.0).std(axis=0), 2.0, rtol=1e-2)
    np.testing.assert_allclose(outputs(True, 1e5), outputs(True, 1e5, learning=False), rtol=1e-4, atol=1e-5)
    # Within limits: a mean that is 21 deviations away is 5 away.
    np.testing.assert_allclose(outputs(True, 1e5, mean=-20.0).mean(axis=0), 2.0 * 5.0 + 1.0, rtol=1e-4)


def test_crossq_learns_without_a_target_network_and_moves_its_statistics():
    trainer = small("crossq")
    before = trainer.init(jax.random.key(0), trainer.hyperparameters).agent
    after = learn(trainer).state.agent
    assert after.target == {} and "target_rate" not in leaves(trainer.hyperparameters)
    updates = 2 * 7
    norm = after.params["critics"]["statistics"]["Trunk_0"]["BatchNorm_0"]
    np.testing.assert_array_equal(norm["count"], updates)
    # The policy's own move when it does: every third step.
    np.testing.assert_array_equal(after.params["actor"]["statistics"]["Trunk_0"]["BatchNorm_0"]["count"], updates // 3)
    assert not same(before.params["actor"]["statistics"], after.params["actor"]["statistics"])
    act = lambda observation: trainer.agent.act(  # noqa: E731
        jax.random.key(0), after, observation, (), trainer.hyperparameters
    )[0]
    many = drawn(0, 4, 3)
    np.testing.assert_allclose(act(many)[2], act(many[2]), rtol=1e-5)


# --- learning ---


def test_policy_and_targets_of_td3_move_every_second_step():
    trainer = small("td3", num_updates=1, learning_starts=8)
    assert trainer.agent.config.policy_delay == trainer.agent.config.target_period == 2
    states = [trainer.init(jax.random.key(0), trainer.hyperparameters).agent]
    states += [agent for agent, _ in steps(trainer)]
    for count, (before, after) in enumerate(pairwise(states), start=1):
        assert int(after.updates) == count
        assert not same(before.params["critics"], after.params["critics"])
        even = count % 2 == 0
        assert same(before.params["actor"], after.params["actor"]) is not even
        assert same(before.optimiser["actor"], after.optimiser["actor"]) is not even
        for name in ("actor", "critics"):
            assert same(before.target[name], after.target[name]) is not even
    # θ⁻ ← (1 - ρ) θ⁻ + ρ θ.
    old, new = (jax.tree.leaves(states[count].target)[0] for count in (1, 2))
    online = jax.tree.leaves({name: states[2].params[name] for name in states[2].target})[0]
    np.testing.assert_allclose(new, 0.995 * np.asarray(old) + 0.005 * np.asarray(online), rtol=1e-5)


def test_mdpo_stays_close_to_a_policy_that_changes_every_so_many_steps():
    trainer = small("off_policy_mdpo", num_updates=1, learning_starts=8, mirror_steps=3, learning_rate=1e-2)
    step, actors = jax.jit(trainer.step), []
    state = trainer.init(jax.random.key(0), trainer.hyperparameters)
    for index in range(trainer.num_iterations):
        actors.append(state.agent.params["actor"])
        state, _ = step(state, trainer.hyperparameters, jnp.asarray(index))
        assert same(state.agent.params["previous"], actors[index - index % 3]), index

    def moved(step_size):
        hp = jaxrl.hyperparameters.replace(trainer.hyperparameters, {"step_size": step_size})
        state = jax.jit(trainer.run)(jax.random.key(0), hp).state.agent
        return state, max(
            np.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (state.params["actor"], actors[0])))
        )

    free, far = moved(1e9)
    alike = learn(small("sac", num_updates=1, learning_starts=8, learning_rate=1e-2, tune_temperature=False))
    for one, other in zip(jax.tree.leaves(free.params["actor"]), jax.tree.leaves(alike.state.agent.params["actor"])):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert moved(1e-6)[1] < 0.8 * far


def two_optima(action):
    """A reward of 1 at -0.6 and at 0.6."""
    return jnp.exp(-0.5 * ((jnp.abs(action) - 0.6) / 0.15) ** 2)


@pytest.mark.parametrize("num_experts", [1, 3])
def test_experts_keep_two_equal_optima_of_which_one_gaussian_keeps_one(num_experts):
    spec = EnvironmentSpec("probe/two-optima", Box(0.0, 1.0, (1,)), Box(-1.0, 1.0, (1,)), time_limit=1)
    fixed = {"tune_temperature": False, "num_critics": 1}
    config = ActorCriticConfig(num_experts=num_experts, hidden_sizes=(16,), **fixed)
    found = choices(spec, config)
    known = Network(None, lambda critics, key, observation, action, weights: two_optima(action)[None, ..., None], None)
    parts = Parts(spec, config, found, actor_critic._networks(spec, config, found)[0], known)
    agent = actor_critic.actor_critic(spec, config, {})
    hp = jaxrl.hyperparameters.replace(agent.hyperparameters, {"learning_rate": 1e-2, "temperature": 0.02})
    blank, ones = jnp.zeros((32, 1)), jnp.ones((32, 1))
    experience = Experience(blank, blank, blank, blank, blank, ones, jnp.ones(32))

    def step(state, key):
        return learn_policy(parts, key, state, experience, hp, Progress(0.0, 1.0)), None

    def shares(key):
        """Of actions near either optimum, after learning."""
        keys = jax.random.split(key, 3)
        state = jax.lax.scan(step, agent.init(keys[0], hp), jax.random.split(keys[1], 600))[0]
        actions, _ = agent.act(keys[2], state, jnp.zeros((500, 1)), (), hp, explore=True)
        near = two_optima(actions) > 0.2
        return jnp.mean(near & (actions < 0.0)), jnp.mean(near & (actions > 0.0))

    left, right = jax.jit(jax.vmap(shares))(jax.random.split(jax.random.key(0), 4))
    if num_experts == 1:
        # What does not fall onto one of them lies across both, and misses them as often as not.
        assert np.all((np.minimum(left, right) == 0.0) | (left + right < 0.7)), (left, right)
        assert np.any(np.maximum(left, right) > 0.99)
    else:
        assert np.all((np.minimum(left, right) > 0.25) & (left + right > 0.9)), (left, right)


@pytest.mark.slow
def test_experts_find_both_optima_of_a_bandit_whose_values_are_learned():
    blank = jnp.zeros((1,))
    bandit = Environment(
        lambda key, params: (blank, blank),
        lambda key, state, action, params: (
            state,
            Timestep(blank, two_optima(action), jnp.array(True), jnp.array(False), {}),
        ),
        (),
        EnvironmentSpec("probe/two-optima", Box(0.0, 1.0, (1,)), Box(-1.0, 1.0, (1,)), time_limit=1),
    )
    settings = {"num_envs": 8, "num_updates": 16, "batch_size": 32, "buffer_size": 3200, "learning_starts": 400}
    settings |= {"total_steps": 3200, "hidden_sizes": (32,), "learning_rate": 1e-2, "tune_temperature": False}

    def right(**changes):
        """Share of the actions on the right, of four runs; nearly all are at an optimum."""
        trainer = small("sac", bandit, **settings, **changes, temperature=0.05)
        keys = jax.random.split(jax.random.key(0), 4)
        agents = jax.jit(jax.vmap(trainer.run, in_axes=(0, None)))(keys, trainer.hyperparameters).state.agent
        act = lambda agent, key: trainer.agent.act(  # noqa: E731
            key, agent, jnp.zeros((500, 1)), (), trainer.hyperparameters, explore=True
        )[0]
        actions = np.asarray(jax.vmap(act)(agents, keys))
        assert np.mean(np.asarray(two_optima(actions)) > 0.2) > 0.95
        return np.mean(actions > 0.0, axis=(1, 2))

    both, one = right(num_experts=2), right()
    assert np.all((both > 0.25) & (both < 0.75)) and np.all((one < 0.02) | (one > 0.98)), (both, one)


def test_the_period_of_target_networks_follows_the_delay_of_td3_unless_it_is_given():
    assert small("td3", policy_delay=3).agent.config.target_period == 3
    assert small("td3", policy_delay=3, target_period=1).agent.config.target_period == 1
    assert small("sac", policy_delay=3).agent.config.target_period == 1


def test_the_delayed_policy_stays_a_branch_under_vmap():
    def branches(**settings):
        trainer = small("td3", **settings)
        keys = jax.random.split(jax.random.key(0), 2)
        states = jax.vmap(trainer.init, in_axes=(0, None))(keys, trainer.hyperparameters)
        step = jax.vmap(trainer.step, in_axes=(0, None, None))
        return str(jax.make_jaxpr(step)(states, trainer.hyperparameters, jnp.asarray(0))).count("cond[")

    assert branches() == branches(policy_delay=1) + 1


def test_there_are_as_many_updates_for_each_step_in_longer_iterations():
    longer = {"num_envs": 16, "num_steps": 8, "total_steps": 1024}
    assert jaxrl.trainer("sac", PENDULUM, **longer).agent.config.num_updates == 128
    assert jaxrl.trainer("redq", PENDULUM, **longer).agent.config.num_updates == 2560
    assert jaxrl.trainer("sac", PENDULUM, **longer, num_updates=5).agent.config.num_updates == 5


def test_the_temperature_moves_entropy_to_its_target():
    common = {"total_steps": 2400, "buffer_size": 2400, "learning_rate": 1e-2, "num_updates": 8, "batch_size": 32}
    for target in (-0.5, 0.3):
        metrics = learn(small("sac", probes.nearest(), target_entropy=target, **common)).metrics
        np.testing.assert_allclose(np.asarray(metrics["entropy"])[-20:].mean(), target, atol=0.15)


def test_entropy_counts_in_every_objective():
    # With a fixed temperature, no reward and γ = 1/2, values are those of entropy alone, the same in both objectives.
    environment = probes.torn()
    quiet = environment._replace(
        step=lambda key, state, action, params: (lambda s, t: (s, t._replace(reward=jnp.zeros(2))))(
            *environment.step(key, state, action, params)
        )
    )
    trainer = small(
        "sac",
        quiet,
        tune_temperature=False,
        temperature=1.0,
        discount=0.5,
        total_steps=4000,
        learning_rate=1e-2,
        num_updates=8,
        batch_size=32,
        target_rate=0.05,
        hidden_sizes=(16,),
    )
    result = learn(trainer)
    value = trainer.agent.value(result.state.agent, jnp.full((1, 2), 0.5), (), trainer.hyperparameters)
    # The largest entropy is log 2 a step; the first step's own is not in Q.
    np.testing.assert_allclose(value[0], np.log(2.0), atol=0.15)


@pytest.mark.parametrize("name", ["td3", "sac"])
def test_the_best_action_and_its_value_are_found(name):
    trainer = small(
        name,
        probes.nearest(goal=0.8),
        total_steps=1600,
        buffer_size=1600,
        learning_starts=200,
        learning_rate=1e-2,
        num_updates=8,
        batch_size=32,
        hidden_sizes=(32,),
    )
    result = learn(trainer)
    action, _ = trainer.agent.act(jax.random.key(0), result.state.agent, jnp.zeros((1, 1)), (), trainer.hyperparameters)
    np.testing.assert_allclose(action, 0.8, atol=0.15)
    value = trainer.agent.value(result.state.agent, jnp.zeros((1, 1)), (), trainer.hyperparameters)
    np.testing.assert_allclose(value, 0.0, atol=0.05)


def test_a_time_limit_is_no_end():
    trainer = small(
        "td3",
        probes.breaking(continuous=True)._replace(
            step=lambda key, state, action, params: (lambda s, t: (s, t._replace(reward=jnp.ones(1))))(
                *probes.breaking(continuous=True).step(key, state, action, params)
            ),
            params=jnp.asarray(2.0),
        ),
        discount=0.8,
        total_steps=2000,
        learning_rate=1e-2,
        num_updates=8,
        batch_size=32,
        target_rate=0.1,
    )
    result = learn(trainer)
    value = trainer.agent.value(result.state.agent, jnp.zeros((1, 2)), (), trainer.hyperparameters)
    np.testing.assert_allclose(value, 5.0, rtol=0.1)


# --- objectives ---


def test_weights_pull_the_policy_to_either_end():
    trainer = small("sac", probes.torn(), total_steps=2400, num_updates=8, learning_rate=1e-2, batch_size=32)
    run = jax.jit(lambda weights: trainer.run(jax.random.key(0), trainer.hyperparameters._replace(weights=weights)))
    for weights, end in (((1.0, 0.0), 1.0), ((0.0, 1.0), -1.0)):
        weights = jnp.asarray(weights)
        agent = run(weights).state.agent
        hp = trainer.hyperparameters._replace(weights=weights)
        action, _ = trainer.agent.act(jax.random.key(0), agent, jnp.full((1, 2), 0.5), (), hp)
        np.testing.assert_allclose(action, end, atol=0.2)


@pytest.mark.parametrize("name", ["sac", pytest.param("td3", marks=SLOW), pytest.param("tqc", marks=SLOW)])
def test_one_objective_is_the_scalar_agent_bit_for_bit(name, monkeypatch):
    vector = learn(small(name)).state.agent.params
    # Scalar agents know no weights.
    scalar = {
        "minimum": lambda outputs, means, weights: outputs.min(axis=0),
        "mean": lambda outputs, means, weights: outputs.mean(axis=0),
        "first": lambda outputs, means, weights: outputs[0],
    }

    def truncated(outputs, means, weights):
        pooled = jnp.moveaxis(outputs, 0, -2).reshape(*outputs.shape[1:-1], -1)
        return jnp.sort(pooled)[..., :9]

    for key, reduce in scalar.items():
        monkeypatch.setitem(ensembles.IMPROVEMENTS, key, reduce)
    for key, reduce in {"minimum": scalar["minimum"], "truncation": truncated}.items():
        kind = ensembles.REDUCTIONS[key](2)
        monkeypatch.setitem(ensembles.REDUCTIONS, key, lambda _, kind=kind, reduce=reduce: kind._replace(reduce=reduce))
    assert same(vector, learn(small(name)).state.agent.params)


def test_of_two_equal_objectives_the_one_that_counts_decides_as_if_alone():
    outputs, one = jnp.asarray(drawn(0, 3, 9, 1, 5)), jnp.ones((9, 1))
    twice, both = jnp.repeat(outputs, 2, axis=-2), jnp.asarray([1.0, 0.0]) * jnp.ones((9, 2))
    for build in ensembles.REDUCTIONS.values():
        alone = build(1).reduce(outputs, outputs.mean(axis=-1), one)
        beside = build(1).reduce(twice, twice.mean(axis=-1), both)
        np.testing.assert_array_equal(jnp.repeat(alone, 2, axis=-2), beside)


def test_a_conditioned_policy_serves_every_weight():
    trainer = small(
        "sac",
        probes.torn(),
        condition_on_weights=True,
        total_steps=3200,
        num_envs=8,
        num_updates=16,
        learning_rate=1e-2,
        batch_size=32,
        hidden_sizes=(16,),
    )
    agent = learn(trainer).state.agent
    for weights, end in (((0.95, 0.05), 1.0), ((0.05, 0.95), -1.0)):
        hp = trainer.hyperparameters._replace(weights=jnp.asarray(weights))
        action, _ = trainer.agent.act(jax.random.key(0), agent, jnp.full((1, 2), 0.5), (), hp)
        np.testing.assert_allclose(action, end, atol=0.3)


def test_a_conditioned_study_has_a_front():
    settings = {**SMALL, "num_envs": 4, "num_steps": 2}
    study = jaxrl.study(
        "conditioned",
        probes.torn(),
        member_agent="sac",
        num_evaluation_weights=3,
        num_policies=5,
        reference_point=(-10.0, -10.0),
        **settings,
    )
    state = study.run(jax.random.key(0), study.hyperparameters).state
    points, valid, _ = study.evaluate(jax.random.key(1), state, study.hyperparameters, 2)
    assert points.shape == (5, 2) and valid.all()


# --- contracts ---


@pytest.mark.parametrize("name", NAMES)
def test_every_agent_keeps_the_contract(name):
    for environment in (PENDULUM, probes.torn()):
        jaxrl.agents.check(name, environment)


@pytest.mark.parametrize(
    "name",
    ["sac", "crossq", *(pytest.param(name, marks=SLOW) for name in ("td3", "tqc", "ddpg", "redq", "droq", "simba"))],
)
def test_a_member_of_a_sweep_equals_the_single_run(name):
    trainer = small(name)
    keys = jax.random.split(jax.random.key(3), 3)
    many = jax.jit(jax.vmap(trainer.run, in_axes=(0, None)))(keys, trainer.hyperparameters)
    one = jax.jit(trainer.run)(keys[1], trainer.hyperparameters)
    assert int(one.state.agent.updates) == 14
    for batched, single in zip(jax.tree.leaves(many.state.agent.params), jax.tree.leaves(one.state.agent.params)):
        np.testing.assert_allclose(batched[1], single, rtol=2e-3, atol=1e-4)
    assert float(np.sum(one.metrics["skipped_updates"])) == 0.0


@pytest.mark.parametrize("name", ["td3", "sac", "tqc", "crossq"])
def test_every_traced_leaf_changes_the_run(name):
    trainer = small(name, max_gradient_norm=0.5, total_steps=96)
    run = jax.jit(lambda hp: trainer.run(jax.random.key(0), hp).state.agent.params)
    before = run(trainer.hyperparameters)
    names = leaves(trainer.hyperparameters)
    for path in names:
        if not path.startswith("environment") and path != "weights":
            changed = jaxrl.hyperparameters.replace(trainer.hyperparameters, {path: names[path] * 0.5 + 0.03})
            assert not same(before, run(changed)), path


def test_a_policy_holds_no_critics():
    trainer = small("redq")
    state = trainer.init(jax.random.key(0), trainer.hyperparameters).agent
    acting = trainer.agent.actor(state)
    assert set(acting.params) == {"actor"} and acting.buffer == () and acting.target == ()


def test_images_are_seen_as_such():
    spec = EnvironmentSpec("probe/image", Box(0.0, 255.0, (5, 4, 2), "uint8"), Box(-1.0, 1.0, (1,)), time_limit=3)
    blank = jnp.zeros((5, 4, 2), jnp.uint8)
    environment = Environment(
        lambda key, params: (jnp.zeros((), jnp.int32), blank),
        lambda key, state, action, params: (
            state + 1,
            Timestep(blank, action, jnp.array(False), state >= 2, {}),
        ),
        (),
        spec,
    )
    trainer = small("sac", environment)
    params = learn(trainer).state.agent.params
    assert "Convolution" in params["actor"]["params"]["Torso_0"]
    assert params["critics"]["params"]["Torso_0"]["Convolution"]["kernel"].shape == (2, 18, 16)


def test_samples_that_are_not_finite_are_not_learned_from():
    trainer = small("sac", probes.breaking("reward", continuous=True))
    result = learn(trainer)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.state.agent.params))
    assert float(np.sum(result.metrics["skipped_updates"])) == 0.0


# --- errors ---


@pytest.mark.parametrize("name", NAMES)
def test_discrete_and_unbounded_actions_are_refused_in_a_sentence(name):
    with pytest.raises(ValueError, match=r"needs continuous actions, probe/one-step takes .*: discrete_sac, dqn"):
        jaxrl.trainer(name, probes.one_step())
    unbounded = probes.nearest()
    spec = replace(unbounded.spec, action=Box(-np.inf, np.inf, (1,)))
    with pytest.raises(ValueError, match="acts within finite bounds"):
        jaxrl.trainer(name, unbounded._replace(spec=spec))
    assert isinstance(probes.one_step().spec.action, Discrete)


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("td3", {"tune_temperature": False}, "tune_temperature=False would have no effect here: it needs policy="),
        ("td3", {"num_experts": 2}, "num_experts=2 would have no effect here: it needs policy='squashed_gaussian'"),
        (
            "td3",
            {"mirror_steps": 2},
            "mirror_steps=2 would have no effect here: it needs policy='squash",
        ),
        (
            "pmoe",
            {"mirror_steps": 2},
            "mirror_steps=2 would have no effect here: it needs policy='squash",
        ),
        ("sac", {"step_size": 2.0}, "step_size would have no effect here: it needs mirror_steps above 0"),
        ("sac", {"smooth_targets": True}, "smooth_targets=True would have no effect here: it needs policy="),
        ("sac", {"target_network": False, "target_period": 2}, "target_period=2 would have no effect here"),
        ("sac", {"num_critics": 1, "target_critics": "mean"}, "target_critics='mean' would have no effect here"),
        ("sac", {"num_critics": 1, "policy_critics": "mean"}, "policy_critics='mean' would have no effect here"),
        ("sac", {"subset_size": 1}, "subset_size=1 would have no effect here"),
        ("sac", {"num_atoms": 7}, "num_atoms=7 would have no effect here"),
        ("sac", {"dropped_atoms": 1}, "dropped_atoms=1 would have no effect here"),
        ("simba", {"layer_norm": True}, "layer_norm=True would have no effect here: it needs residual=False"),
        ("simba", {"batch_norm": "batch"}, "batch_norm='batch' would have no effect here: it needs residual=False"),
        ("simba", {"dropout": 0.1}, "dropout=0.1 would have no effect here: it needs residual=False"),
        ("sac", {"batch_norm": "batch"}, "batch_norm='batch' needs target_network=False"),
        ("tqc", {"head": "squared", "num_atoms": 25}, "target_critics='truncation' leaves out quantiles"),
        ("tqc", {"dropped_atoms": 25}, "dropped_atoms=25 must be less than num_atoms=25"),
        ("redq", {"subset_size": 10}, "subset_size=10 must be less than num_critics=10"),
        ("sac", {"head": "categorical", "target_critics": "mean"}, "averages critics' outputs"),
        ("sac", {"policy": "gaussian"}, "unknown policy 'gaussian'"),
        ("sac", {"head": "implicit"}, "unknown head 'implicit'"),
        ("sac", {"network": "gru"}, "unknown network 'gru'"),
        ("sac", {"target_critics": "max"}, "unknown target_critics 'max'"),
        ("sac", {"policy_critics": "max"}, "unknown policy_critics 'max'"),
        ("sac", {"batch_norm": "layer"}, "unknown batch_norm 'layer'"),
        ("sac", {"policy_delay": 0}, "policy_delay must be at least 1, got 0"),
        ("sac", {"critic_sizes": (0,)}, "critic_sizes must be at least 1, got 0"),
        ("sac", {"exploration_noise": 0.1}, "exploration_noise would have no effect here: it needs policy=determin"),
        ("ddpg", {"target_noise": 0.1}, "target_noise would have no effect here: it needs smooth_targets=True"),
        ("sac", {"temperature": 0.1}, "temperature would have no effect here: it needs policy=squashed_gaussian, tune"),
        ("td3", {"target_entropy": -1.0}, "target_entropy would have no effect here: it needs policy="),
        ("crossq", {"target_rate": 0.1}, "target_rate would have no effect here: it needs target_network=True"),
        ("td3", {"exploration_noise": -0.1}, "must be at least 0, got -0.1"),
        ("sac", {"initial_temperature": 0.0}, "must be above 0, got 0"),
    ],
)
def test_settings_without_effect_and_wrong_ones_are_named(name, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        jaxrl.trainer(name, PENDULUM, **settings)


@pytest.mark.slow
def test_every_static_setting_of_its_own_changes_the_program():
    own = {field.name for field in fields(ActorCriticConfig)}
    others = {
        "policy": {"policy": "deterministic"},
        "tune_temperature": {"tune_temperature": False},
        "smooth_targets": {"policy": "deterministic", "smooth_targets": True},
        "num_experts": {"num_experts": 2},
        "mirror_steps": {"mirror_steps": 5},
        "policy_delay": {"policy_delay": 2},
        "target_network": {"target_network": False},
        "num_critics": {"num_critics": 3},
        "target_critics": {"target_critics": "mean"},
        "policy_critics": {"policy_critics": "first"},
        "subset_size": {"num_critics": 3, "target_critics": "subset_minimum", "subset_size": 1},
        "head": {"head": "huber"},
        "num_atoms": {"head": "quantile", "num_atoms": 3},
        "dropped_atoms": {"head": "quantile", "num_atoms": 4, "target_critics": "truncation", "dropped_atoms": 1},
        "batch_norm": {"target_network": False, "batch_norm": "batch"},
        "critic_sizes": {"critic_sizes": (4,)},
        "layer_norm": {"layer_norm": True},
        "dropout": {"dropout": 0.3},
        "residual": {"residual": True},
    }
    assert set(others) <= own
    seen = []
    for settings in ({}, *others.values()):
        params = learn(small("sac", **settings, learning_rate=3e-2)).state.agent.params["actor"]
        seen.append(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)]))
    for index, one in enumerate(seen):
        for other in seen[:index]:
            assert one.shape != other.shape or not np.array_equal(one, other), index


def test_defaults_are_those_of_the_papers():
    def config(name):
        return agent_entry(name).config

    for name in NAMES:
        assert config(name).batch_size == 256
    assert (config("redq").num_critics, config("redq").subset_size) == (10, 2)
    assert (config("tqc").num_critics, config("tqc").num_atoms, config("tqc").dropped_atoms) == (5, 25, 2)
    assert (config("droq").dropout, config("droq").layer_norm) == (0.01, True)
    assert (config("crossq").policy_delay, config("crossq").target_network) == (3, False)
    assert float(jaxrl.trainer("crossq", PENDULUM).hyperparameters.optimiser["beta_1"]) == 0.5
    trainer = jaxrl.trainer("sac", "mo/lunar-lander-continuous")
    assert float(trainer.hyperparameters.exploration["target_entropy"]) == -2.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sac", "td3", "crossq"])
def test_pendulum_is_swung_up(name):
    settings = {"critic_sizes": (256, 256)} if name == "crossq" else {}
    trainer = jaxrl.trainer(name, PENDULUM, total_steps=16_000, num_evaluations=1, **settings)
    assert float(learn(trainer).evaluation.returns[-1, 0]) > -250.0
