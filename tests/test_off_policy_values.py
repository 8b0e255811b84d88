"""Learning action values: maths against slow loops, probes with known answers, and the promises of the loop."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.agents.off_policy import value_learning
from jaxrl.agents.off_policy.backups import BACKUPS
from jaxrl.agents.off_policy.ensembles import least
from jaxrl.agents.off_policy.exploring import Chances, sometimes_random
from jaxrl.agents.off_policy.heads import HEADS, project, quantile_loss
from jaxrl.agents.off_policy.value_acting import make_acting
from jaxrl.environments import Box
from jaxrl.networks.trunk import Layers
from jaxrl.networks.values import value_network
from jaxrl.numerics.weights import equally_spaced
from jaxrl.sweeps.checkpoint import Checkpoints
from tests import environments as probes

pytestmark = pytest.mark.quick_compilation

KEY = jax.random.key(0)
SMALL = {
    "num_envs": 4,
    "num_steps": 4,
    "num_updates": 4,
    "batch_size": 16,
    "buffer_size": 512,
    "learning_starts": 16,
    "hidden_sizes": (16,),
    "num_evaluations": 1,
    "evaluation_episodes": 2,
}
QUICK = {"learning_rate": 3e-3, "target_rate": 0.1, "epsilon_end": 0.2}


def build(agent, environment, total_steps=256, **settings):
    return jaxrl.trainer(agent, environment, total_steps=total_steps, **{**SMALL, **settings})


def train(trainer, key=KEY):
    return jax.jit(trainer.run)(key, trainer.hyperparameters)


def values_of(trainer, state, observation):
    return trainer.agent.value(state, jnp.asarray(observation), (), trainer.hyperparameters)


# --- what outputs mean ---


def _project(values, probabilities, low, high, count):
    """Every atom's mass by itself."""
    atoms, gap = np.linspace(low, high, count), (high - low) / (count - 1)
    found = np.zeros(count)
    for value, mass in zip(values, probabilities, strict=True):
        place = (np.clip(value, low, high) - low) / gap
        below = int(np.floor(place + 1e-9))
        if abs(place - below) < 1e-9:
            found[below] += mass
        else:
            found[below] += mass * (below + 1 - place)
            found[below + 1] += mass * (place - below)
    assert np.isclose(atoms @ found, np.clip(values, low, high) @ probabilities)
    return found


@pytest.mark.parametrize("values", [[-3.0, 0.0, 0.1, 9.0], [-1.0, -0.5, 0.5, 1.0], [1.0, 1.0, 1.0, 1.0]])
def test_a_projected_distribution_is_that_of_a_slow_loop(values):
    probabilities = np.asarray([0.1, 0.2, 0.3, 0.4])
    expected = _project(values, probabilities, -1.0, 1.0, 5)
    given = jnp.asarray(values)[None], jnp.asarray(probabilities, jnp.float32)[None]
    found = project(*given, jnp.asarray(-1.0), jnp.asarray(1.0), 5)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(), 1.0, atol=1e-6)


def test_the_projection_of_other_devices_is_the_same():
    from jaxrl.agents.off_policy.heads import _by_hats, _scattered

    places = jax.random.uniform(KEY, (3, 2, 7), maxval=6.0).at[0].set(jnp.arange(7.0))
    mass = jax.nn.softmax(jax.random.normal(KEY, (3, 2, 7)))
    np.testing.assert_allclose(_by_hats(places, mass), _scattered(7, places, mass), atol=1e-6)


def test_the_quantile_loss_is_that_of_a_slow_loop():
    rng = np.random.default_rng(0)
    own, target, taus = rng.normal(size=(2, 4)) * 2, rng.normal(size=(2, 3)) * 2, rng.random((2, 4))
    expected = np.zeros(2)
    for row in range(2):
        for i in range(4):
            for j in range(3):
                error = target[row, j] - own[row, i]
                size = abs(error)
                loss = 0.5 * error**2 if size <= 1.0 else size - 0.5
                expected[row] += abs(taus[row, i] - (error < 0)) * loss / 3
    found = quantile_loss(*(jnp.asarray(x, jnp.float32) for x in (own, target, taus)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    slope = jax.grad(lambda own: quantile_loss(own, jnp.asarray(target), jnp.asarray(taus)).sum())
    bumped = lambda own: float(quantile_loss(own, jnp.asarray(target), jnp.asarray(taus)).sum())  # noqa: E731
    step = np.zeros((2, 4))
    step[1, 2] = 1e-3
    difference = (bumped(jnp.asarray(own + step)) - bumped(jnp.asarray(own - step))) / 2e-3
    np.testing.assert_allclose(slope(jnp.asarray(own))[1, 2], difference, rtol=2e-2)


@pytest.mark.parametrize("name", ["quantile", "implicit"])
def test_quantiles_are_fitted_to_a_known_distribution(name):
    head = HEADS[name](9)
    # Wide, beside the errors within 1 that count as squares.
    sample = 30.0 * jax.random.normal(KEY, (4000,))
    taus = jnp.broadcast_to((jnp.arange(9) + 0.5) / 9, (1, 9))
    loss = lambda own: head.loss(own[None], sample[None], taus[0], {})[0]  # noqa: E731
    step = jax.jit(lambda own: own - 20.0 * jax.grad(lambda own: loss(own))(own))
    own = jnp.zeros(9)
    for _ in range(400):
        own = step(own)
    np.testing.assert_allclose(own, np.quantile(np.asarray(sample), (np.arange(9) + 0.5) / 9), atol=1.0)


def test_soft_and_munchausen_values_are_those_of_the_paper():
    scores = jnp.asarray([[1.0, 0.5, -jnp.inf]])
    outputs = jnp.asarray([[[[1.0], [2.0]], [[0.5], [0.0]], [[99.0], [99.0]]]])
    backup = BACKUPS["munchausen"]
    given = {"soft_temperature": 0.5, "munchausen_weight": 0.9, "munchausen_floor": -0.3}
    policy = np.exp(np.asarray([2.0, 1.0]) - np.logaddexp(2.0, 1.0))
    entropy = -0.5 * np.sum(policy * np.log(policy))
    expected = policy @ np.asarray([[1.0, 2.0], [0.5, 0.0]]) + entropy
    np.testing.assert_allclose(backup.following(outputs, scores, scores, given)[0, :, 0], expected, rtol=1e-5)
    bonus = backup.bonus(jnp.tile(scores, (2, 1)), jnp.asarray([0, 1]), given)
    np.testing.assert_allclose(bonus, 0.9 * np.maximum(0.5 * np.log(policy), -0.3), rtol=1e-5)


# --- what is backed up ---


def _learner(agent, environment, **settings):
    trainer = build(agent, environment, **settings)
    update = trainer.agent.update.args[0]
    return trainer, update.learner.learn.args[0], update.storage


def test_windows_end_where_episodes_do_and_bootstrap_from_what_really_followed():
    """Three-step returns beside a loop over the rows of the buffer, over ends of both kinds."""
    environment = probes.duplicate_objectives(probes.stay_or_leave(limit=2, bonus=12.0), 2)
    trainer, _, storage = _learner("dqn", environment, return_steps=3, num_envs=2, num_steps=8)
    hp = trainer.hyperparameters._replace(discount=jnp.asarray([0.5, 0.9]))
    # At the beginning, when all actions are equally likely.
    progress = jaxrl.agents.Progress(jnp.zeros(()), jnp.ones(()))
    _, rollout, _ = trainer.collect(KEY, trainer.init(KEY, hp), hp, progress)
    buffer = storage.replay.add(storage.replay.init(), storage.steps_of(rollout))
    indices = jnp.arange((8 - 2) * 2)
    weights = jnp.ones((len(indices), 2))
    found = storage.take(buffer, indices, hp.discount)(weights, jnp.ones(len(indices)))
    assert bool(rollout.terminated.any()) and bool(rollout.truncated.any())
    for row in range(len(indices)):
        start, copy = divmod(row, 2)
        reward, factor = np.zeros(2), np.ones(2)
        for step in range(start, start + 3):
            reward += factor * np.asarray(rollout.reward[step, copy])
            factor *= np.asarray([0.5, 0.9])
            if rollout.terminated[step, copy] or rollout.truncated[step, copy]:
                factor *= 1.0 - float(rollout.terminated[step, copy])
                break
        np.testing.assert_allclose(found.reward[row], reward, rtol=1e-6)
        np.testing.assert_allclose(found.factor[row], factor, rtol=1e-6)
        np.testing.assert_array_equal(found.following[row], rollout.final_observation[step, copy])
        np.testing.assert_array_equal(found.action[row], rollout.raw_action[start, copy])


@pytest.mark.parametrize(
    ("policies", "improved"),
    [("own", False), ("sampled", False), ("acting", False), ("support", False), ("acting", True)],
)
def test_the_best_action_is_chosen_by_the_sum_and_its_vector_backed_up(policies, improved):
    """Values that a table gives, under preferences of which each objective would choose another action by itself."""
    conditioned = {"condition_on_weights": policies != "own"}
    choose = {"policies": policies, "num_candidates": 3} if policies != "own" else {}
    if improved:
        choose |= {"improved_priorities": True, "replay": "prioritised"}
    trainer, parts, _ = _learner(
        "dqn", probes.choice([[1.0, 0.0], [0.0, 1.0], [0.6, 0.6]]), backup="max", **conditioned, **choose
    )
    hp = trainer.hyperparameters
    state = trainer.init(KEY, hp).agent
    weights = jnp.asarray([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    following = jnp.asarray([[0.3], [-0.5], [1.0], [2.0]])
    q = lambda w: parts.acting.network.values(state.target["values"], following, w, None, None)[..., 0]  # noqa: E731
    others = {"own": [weights], "sampled": [jnp.tile(w, (4, 1)) for w in weights[:3]]}
    others["acting"] = [weights]
    others["support"] = [jnp.tile(w, (4, 1)) for w in equally_spaced(2, 3)]

    def target_of(policies):
        tables = np.stack([np.asarray(q(w)) for w in others[policies]], axis=1).reshape(4, -1, 2)
        best = np.argmax(np.sum(tables * np.asarray(weights)[:, None], axis=-1), axis=1)
        return np.asarray([1.0, 2.0]) + 0.9 * tables[np.arange(4), best]

    target, judged = target_of(policies), target_of("support" if improved else policies)
    experience = value_learning.Experience(
        observation=following,
        action=jnp.asarray([0, 1, 2, 0]),
        reward=jnp.tile(jnp.asarray([1.0, 2.0]), (4, 1)),
        factor=jnp.full((4, 1), 0.9),
        following=following,
        weights=weights,
        importance=jnp.ones(4),
    )
    progress = jaxrl.agents.Progress(jnp.zeros(()), jnp.ones(()))
    _, errors, metrics = value_learning._learn(parts, KEY, state, experience, hp, progress)
    taken = parts.acting.network.values(state.params["values"], following, weights, None, None)[..., 0]
    taken = np.take_along_axis(np.asarray(taken), np.asarray(experience.action)[:, None, None], axis=1)[:, 0]
    np.testing.assert_allclose(metrics["loss"], np.mean(0.5 * (taken - target) ** 2), rtol=1e-4)
    np.testing.assert_allclose(errors, np.abs(np.sum((judged - taken) * np.asarray(weights), axis=-1)), atol=1e-5)


def test_of_several_critics_the_whole_vector_of_the_least_counts():
    """Per action the critic with the smaller sum; the smallest entry of every objective would be another vector."""
    outputs = jnp.asarray([[[[5.0], [0.0]], [[1.0], [1.0]]], [[[0.0], [4.0]], [[3.0], [3.0]]]])[:, None]
    weights = np.asarray([0.5, 0.5])
    scores = jnp.asarray(np.asarray(outputs)[..., 0] @ weights)
    np.testing.assert_array_equal(least(outputs, scores)[0, :, :, 0], [[0.0, 4.0], [1.0, 1.0]])
    trainer, parts, _ = _learner("gpi_dqn", probes.choice([[1.0, 0.0], [0.0, 1.0]]), num_candidates=2, num_critics=3)
    hp, state = trainer.hyperparameters, trainer.init(KEY, trainer.hyperparameters).agent
    observation, best = jnp.asarray([[0.3], [2.0]]), []
    for row in observation:
        choices = []
        for other in hp.support:
            each = [jax.tree.map(lambda leaf, i=i: leaf[i], state.params["values"]) for i in range(3)]
            tables = [parts.acting.network.values(own, row, other, None, None)[..., 0] for own in each]
            choices.append(np.min([np.asarray(table) @ np.asarray(hp.weights) for table in tables], axis=0))
        best.append(np.argmax(np.max(choices, axis=0)))
    np.testing.assert_array_equal(trainer.agent.act(KEY, state, observation, (), hp)[0], best)
    result = train(trainer)
    assert jax.tree.leaves(result.state.agent.params)[0].shape[0] == 3
    assert bool(jnp.isfinite(result.metrics["loss"][-1]))


def test_generalised_policies_act_by_the_best_of_the_support():
    environment = probes.choice([[1.0, 0.0], [0.0, 1.0], [0.6, 0.6]])
    trainer, parts, _ = _learner("gpi_dqn", environment, num_candidates=4, num_critics=1)
    hp = trainer.hyperparameters._replace(weights=jnp.asarray([0.3, 0.7]))
    state = trainer.init(KEY, hp).agent
    observation = jax.random.normal(KEY, (20, 1))
    action, _ = trainer.agent.act(KEY, state, observation, (), hp)
    q = [parts.acting.network.values(state.params["values"], observation, w, None, None) for w in hp.support]
    scores = np.max([np.asarray(table[..., 0]) @ np.asarray(hp.weights) for table in q], axis=0)
    np.testing.assert_array_equal(action, np.argmax(scores, axis=-1))


def test_random_actions_are_legal_and_all_equally_likely():
    scores = jnp.broadcast_to(jnp.asarray([-jnp.inf, 1.0, 5.0, -jnp.inf, 0.0]), (6000, 5))
    uniform = jax.random.uniform(KEY, (2, 6000))
    chance = Chances(uniform[0], uniform[1], KEY)
    counts = np.bincount(np.asarray(sometimes_random(chance, jnp.asarray(1.0), scores)), minlength=5) / 6000
    np.testing.assert_allclose(counts, [0.0, 1 / 3, 1 / 3, 0.0, 1 / 3], atol=0.03)
    assert np.all(np.asarray(sometimes_random(chance, jnp.asarray(0.0), scores)) == 2)
    nothing = jnp.full((6000, 5), -jnp.inf)
    counts = np.bincount(np.asarray(sometimes_random(chance, jnp.asarray(1.0), nothing)), minlength=5) / 6000
    np.testing.assert_allclose(counts, 0.2, atol=0.03)


# --- probes with known answers ---


AGENTS = {
    "dqn": {"backup": "double"},
    "c51": {"v_min": 0.0, "v_max": 12.0, "num_atoms": 25},
    "iqn": {},
    "rainbow": {"v_min": 0.0, "v_max": 12.0, "num_atoms": 25, "hidden_sizes": (16, 16)},
    "munchausen_dqn": {},
    "r2d2": {"num_updates": 4, "sequence_length": 4, "burn_in": 2, "recurrent_size": 8, "hidden_sizes": (16, 16)},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("agent", "settings"),
    [
        ("c51", {"num_atoms": 31, "v_min": 0.0, "v_max": 30.0}),
        ("qr_dqn", {"num_atoms": 20}),
        ("iqn", {"num_atoms": 16}),
    ],
)
def test_a_known_distribution_of_returns_is_learned(agent, settings):
    # Returns are 0, 10, 20 and 30, each in a quarter of all episodes; their mean alone is 10 away from them.
    trainer = build(
        agent,
        probes.coins(),
        total_steps=8000,
        discount=0.5,
        learning_rate=5e-3,
        target_rate=0.1,
        num_updates=16,
        batch_size=64,
        buffer_size=8000,
        hidden_sizes=(32,),
        anneal_learning_rate=True,
        **settings,
    )
    config = trainer.agent.config
    head = HEADS[config.head](config.num_atoms)
    cosines = config.cosines if head.taus else 0
    network = make_acting(probes.coins().spec, config, head, cosines=cosines).network
    shares = (jnp.arange(1000) + 0.5) / 1000
    params = train(trainer).state.agent.params["values"]
    outputs = network.values(params, jnp.zeros(1), jnp.ones(1), shares if cosines else None, None)[0, 0]
    if agent == "c51":
        cumulative = np.cumsum(jax.nn.softmax(outputs))
        found = np.linspace(0.0, 30.0, 31)[np.minimum(np.searchsorted(cumulative, shares), 30)]
    else:
        found = np.sort(np.asarray(outputs).repeat(1000 // len(outputs)))
    known = 10.0 * np.floor(4.0 * np.asarray(shares))
    distance = np.abs(found - known).mean()
    assert distance < 2.0, distance


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_members_with_a_memory_begin_without_lapack(kind):
    # Its QR, batched over members, waits for ever where each device has one thread.
    layers = Layers((8,))
    network = value_network(Box(-1.0, 1.0, (3,)), 2, 1, network=kind, layers=layers, recurrent_size=5)
    program = str(jax.make_jaxpr(jax.vmap(network.init))(jax.random.split(jax.random.key(0), 2)))
    assert " qr" not in program
    kernel = network.init(jax.random.key(0))["cell"]["hf" if kind == "lstm" else "hn"]["kernel"]
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(5), atol=1e-5)


@pytest.mark.parametrize("agent", ["dqn", "c51", pytest.param("rainbow", marks=pytest.mark.slow)])
def test_a_time_limit_is_no_termination(agent):
    """A reward of 1 a step is worth 1/(1-γ) = 10 although episodes are cut after 5 steps."""
    rates = {name: value for name, value in QUICK.items() if name != "epsilon_end"}
    settings = {**AGENTS[agent], **rates, "num_updates": 8, "learning_rate": 2e-2}
    trainer = build(agent, probes.constant_reward(limit=5), total_steps=8000, discount=0.9, **settings)
    state = train(trainer).state.agent
    np.testing.assert_allclose(values_of(trainer, state, [0.0]), [10.0], rtol=0.06)


def test_rewards_are_discounted_backwards_over_one_step_and_over_several():
    for return_steps in (1, 3):
        trainer = build(
            "dqn", probes.delayed_reward(length=4), total_steps=6000, discount=0.5, return_steps=return_steps,
            num_updates=8, hidden_sizes=(32,), **QUICK,
        )  # fmt: skip
        state = train(trainer).state.agent
        found = [float(values_of(trainer, state, [float(step)])[0]) for step in range(4)]
        np.testing.assert_allclose(found, [0.125, 0.25, 0.5, 1.0], atol=0.04)


@pytest.mark.parametrize("agent", ["iqn", "munchausen_dqn", "discrete_sac", "pqn"])
def test_what_is_seen_decides(agent):
    settings = {"pqn": {"num_minibatches": 2}, "discrete_sac": {"learning_rate": 5e-3, "target_rate": 0.1}}
    rest = {} if agent == "pqn" else {"num_updates": 8}
    if agent == "pqn":
        small = {name: SMALL[name] for name in ("num_envs", "num_steps", "hidden_sizes", "num_evaluations")}
        trainer = jaxrl.trainer(
            agent, probes.observation_matters(), total_steps=4000, **small, learning_rate=1e-2, **settings["pqn"]
        )
    else:
        trainer = build(agent, probes.observation_matters(), total_steps=3000, **settings.get(agent, QUICK), **rest)
    result = train(trainer)
    assert float(result.evaluation.returns[-1, 0]) > 0.9


@pytest.mark.parametrize("agent", ["dqn", "discrete_sac"])
def test_illegal_actions_are_never_taken_nor_backed_up(agent):
    trainer = build(agent, probes.legal_only(limit=8), total_steps=512)
    result = train(trainer)
    assert float(jnp.nanmin(result.metrics["episode_return"])) >= 0.0
    assert bool(jnp.all(jnp.isfinite(result.metrics["loss"][4:])))


def test_preferences_may_multiply_what_is_seen():
    """σ(W₁o) ⊙ σ(W₂w): features of preferences that are all 0 leave nothing of the observation."""
    made = probes.choice([[1.0, 0.0], [0.0, 1.0]])
    trainer, parts, _ = _learner("dqn", made, condition_on_weights=True, conditioning="product")
    params = trainer.init(KEY, trainer.hyperparameters).agent.params["values"]
    q = lambda o, w: parts.acting.network.values(params, jnp.asarray([[o]]), jnp.asarray([w]), None, None)  # noqa: E731
    np.testing.assert_allclose(q(1.0, [0.0, 0.0]), q(-3.0, [0.0, 0.0]))
    assert np.abs(q(1.0, [0.5, 0.5]) - q(1.0, [0.9, 0.1])).max() > 0.0
    assert np.abs(q(1.0, [0.5, 0.5]) - q(-3.0, [0.5, 0.5])).max() > 0.0


def test_weights_choose_among_objectives_and_a_conditioned_network_serves_all():
    environment = probes.choice([[1.0, 0.0], [0.0, 1.0], [0.6, 0.6]])
    trainer = build("envelope_dqn", environment, total_steps=4000, num_candidates=4, num_updates=8, **QUICK)
    state = train(trainer).state.agent
    for weights, best in (([1.0, 0.0], 0), ([0.0, 1.0], 1), ([0.5, 0.5], 2)):
        hp = trainer.hyperparameters._replace(weights=jnp.asarray(weights))
        assert int(trainer.agent.act(KEY, state, jnp.zeros(1), (), hp)[0]) == best


# --- promises of the loop ---


@pytest.mark.parametrize("agent", ["dqn", "discrete_sac", pytest.param("rainbow", marks=pytest.mark.slow)])
def test_one_objective_is_the_scalar_agent_bit_for_bit(agent):
    single = build(agent, "gymnax/CartPole-v1", num_updates=2, hidden_sizes=(8, 8))
    result = train(single)
    scalar = single.rebuild(weights=jnp.asarray([1.0]))
    for one, other in zip(jax.tree.leaves(train(scalar)), jax.tree.leaves(result), strict=True):
        if not jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            np.testing.assert_array_equal(one, other)


def test_members_of_a_sweep_are_single_runs_and_warming_up_stays_a_branch():
    trainer = build("rainbow", "gymnax/CartPole-v1", learning_starts=64, hidden_sizes=(8, 8), num_updates=2)
    keys = jax.random.split(KEY, 2)
    rates = jnp.asarray([1e-3, 1e-2])
    run = lambda key, rate: trainer.run(key, trainer.hyperparameters._replace(learning_rate=rate))  # noqa: E731
    together = jax.jit(jax.vmap(run))(keys, rates)
    single = jax.jit(run)(keys[1], rates[1])
    for one, other in zip(jax.tree.leaves(single.evaluation), jax.tree.leaves(together.evaluation), strict=True):
        np.testing.assert_allclose(one, other[1], rtol=1e-4)
    first = jax.tree.map(lambda leaf: leaf[1], together.state.agent.params)
    for one, other in zip(jax.tree.leaves(single.state.agent.params), jax.tree.leaves(first), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    # Nothing is learned before, and everything after.
    updates = np.asarray(together.metrics["updates"])[0]
    np.testing.assert_array_equal(updates[:3], 0.0)
    assert np.all(updates[4:] == 2.0)
    text = str(jax.make_jaxpr(jax.vmap(run))(keys, rates))
    assert "branches" in text and text.count("cond[") >= 2


def test_every_leaf_changes_the_run():
    """Each by itself, members of one program; nothing recompiles."""
    settings = {"replay": "prioritised", "backup": "munchausen", "homotopy": True, "return_steps": 2}
    trainer = build("dqn", "mo/deep-sea-treasure", total_steps=160, num_updates=2, **settings)
    given = {"weights": [0.3, 0.7], "epsilon_fraction": 0.8}
    base = jaxrl.hyperparameters.replace(trainer.hyperparameters, given)
    paths = [path for path in jaxrl.hyperparameters.leaves(base) if not path.startswith("environment")]
    changed = {"max_gradient_norm": 1e-3, "backup.munchausen_floor": -0.001, "exploration.epsilon_fraction": 0.3}
    members = [base]
    for path in paths:
        leaf = jaxrl.hyperparameters.leaves(base)[path]
        value = jnp.asarray([0.9, 0.1]) if path == "weights" else jnp.full_like(leaf, changed.get(path, 0.5 * leaf))
        members.append(jaxrl.hyperparameters.replace(base, {path: value}, ranges=trainer.agent.ranges))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    result = jax.jit(jax.vmap(trainer.run, in_axes=(None, 0)))(KEY, stacked)
    seen = (result.state.agent.params, result.evaluation.returns)
    for index, path in enumerate(paths, start=1):
        same = [np.array_equal(leaf[0], leaf[index], equal_nan=True) for leaf in jax.tree.leaves(seen)]
        assert not all(same), f"{path} changes nothing"


@pytest.mark.parametrize("agent", ["dqn", "discrete_sac"])
def test_nothing_is_learned_from_a_step_that_is_not_finite(agent):
    trainer = build(agent, probes.breaking("observation"), total_steps=256)
    result = train(trainer)
    assert float(result.metrics["faulty_steps"].sum()) > 0.0
    assert float(result.metrics["skipped_updates"].sum()) == 0.0
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(result.state.agent.params))


def test_a_stopped_run_goes_on_to_the_same_end(tmp_path, monkeypatch):
    """Buffer and priorities among what is saved: stopped between two checkpoints, resumed, and as if never stopped."""
    trainer = build("rainbow", "gymnax/CartPole-v1", hidden_sizes=(8, 8), num_updates=2, num_evaluations=2)
    options = jaxrl.RunOptions(progress=False, num_chunks=4, checkpoint_seconds=0.0)

    def run(directory):
        return jaxrl.sweep(trainer, 2, options=options, directory=directory, say=lambda _: None)

    whole = run(tmp_path / "whole")
    save, saved = Checkpoints.save, []

    def saving(self, *arguments, **rest):
        save(self, *arguments, **rest)
        saved.append(1)
        if len(saved) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", saving)
        with contextlib.suppress(KeyboardInterrupt):
            run(tmp_path / "stopped")
    assert len(saved) == 2
    again = run(tmp_path / "stopped")
    results = (jax.tree.leaves(swept.groups[0].result) for swept in (whole, again))
    for one, other in zip(*results, strict=True):
        if not jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            np.testing.assert_array_equal(one, other)
    buffer = again.groups[0].result.state.agent.buffer
    assert np.all(np.asarray(buffer.written) == 256 // 4) and np.all(np.asarray(buffer.largest) > 0.0)


def test_nothing_is_drawn_before_a_window_is_whole():
    settings = {"num_steps": 1, "return_steps": 3, "replay": "prioritised", "learning_starts": 0, "num_updates": 1}
    trainer = build("dqn", "gymnax/CartPole-v1", total_steps=24, **settings)
    result = train(trainer)
    np.testing.assert_array_equal(result.metrics["updates"], [0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    # All mass lies on windows that were written.
    leaves = np.asarray(result.state.agent.buffer.priorities[0])
    assert np.count_nonzero(leaves) == (6 - 2) * 4 and not np.any(leaves[16:])
    assert int(result.state.agent.updates) == 4


def test_a_default_gives_way_to_a_small_buffer():
    settings = {name: value for name, value in SMALL.items() if name not in ("learning_starts", "buffer_size")}
    trainer = jaxrl.trainer("dqn", "gymnax/CartPole-v1", total_steps=4000, buffer_size=256, **settings)
    assert trainer.agent.config.learning_starts == 256


def test_policies_hold_neither_buffer_nor_optimiser():
    trainer = build("dqn", "gymnax/CartPole-v1")
    state = trainer.init(KEY, trainer.hyperparameters)
    kept = trainer.agent.actor(state.agent)
    assert kept.buffer == () and kept.optimiser == () and kept.target == ()
    assert sum(leaf.size for leaf in jax.tree.leaves(kept)) < 200


@pytest.mark.parametrize("agent", ["dqn", "c51", "qr_dqn", "iqn", "munchausen_dqn", "rainbow", "r2d2", "discrete_sac"])
def test_agents_keep_to_the_contract(agent):
    jaxrl.agents.check(agent, "mo/deep-sea-treasure")
    jaxrl.agents.check(agent, probes.legal_only())


@pytest.mark.parametrize(
    ("agent", "settings", "message"),
    [
        ("dqn", {"buffer_size": 8}, "buffer_size=8 is less than a minibatch of batch_size=16"),
        ("dqn", {"buffer_size": 128, "learning_starts": 200}, "learning_starts=200 is more than a buffer"),
        ("dqn", {"learning_starts": 500}, "learning_starts=500 leaves none of total_steps=256"),
        ("dqn", {"num_atoms": 11}, "num_atoms=11 would have no effect here: it needs head='categorical'"),
        ("dqn", {"sequence_length": 5}, "sequence_length=5 would have no effect here: it needs network='gru'"),
        ("dqn", {"head": "categorical", "backup": "soft"}, "logits of head='categorical' cannot be mixed"),
        ("dqn", {"priority_exponent": 0.5}, "priority_exponent would have no effect here: it needs replay=prioritised"),
        ("dqn", {"homotopy": True}, "homotopy=True moves between errors"),
        ("r2d2", {"num_critics": 2, "hidden_sizes": (8, 8)}, "num_critics=2 needs a network without a memory"),
        ("dqn", {"policies": "sampled"}, "policies='sampled' needs condition_on_weights=True"),
        ("dqn", {"conditioning": "product"}, "conditioning='product' would have no effect here"),
        ("dqn", {"improved_priorities": True}, "improved_priorities=True needs policies='acting'"),
        ("dqn", {"replay": "priority"}, "replay 'priority'|unknown replay"),
        ("dqn", {"buffer_size": 2_000_000_000}, "GiB for it: buffer_size=[0-9]+ at most"),
        ("r2d2", {"buffer_size": 64, "sequence_length": 40, "hidden_sizes": (8, 8)}, "fewer than the 50 that are"),
    ],
)
def test_bad_settings_are_one_sentence(agent, settings, message):
    with pytest.raises((ValueError, jaxrl.errors.UnknownNameError), match=message):
        build(agent, "gymnax/CartPole-v1", **settings)


def test_continuous_actions_are_refused_by_name():
    for agent in ("dqn", "discrete_sac", "pqn"):
        with pytest.raises(ValueError, match="action values need one of a number of actions"):
            jaxrl.trainer(agent, "gymnax/Pendulum-v1", total_steps=4096)


def test_preferences_stay_until_the_episode_ends():
    environment = probes.duplicate_objectives(probes.constant_reward(limit=6), 2)
    trainer = build("dqn", environment, condition_on_weights=True, num_envs=3)
    hp, state = trainer.hyperparameters, trainer.init(KEY, trainer.hyperparameters)
    collect = jax.jit(trainer.collect)
    weights, ended = [], []
    for index in range(4):
        state, rollout, _ = collect(jax.random.fold_in(KEY, index), state, hp)
        weights.append(np.asarray(rollout.weights))
        ended.append(bool(rollout.truncated.any()))
    # Of four steps each: the first episode ends in the second iteration, the second with the third.
    assert ended == [False, True, True, False]
    assert np.array_equal(weights[0], weights[1])
    assert not np.any(np.isclose(weights[1], weights[2])) and not np.any(np.isclose(weights[2], weights[3]))
    assert len(np.unique(weights[0][:, 0])) == 3


def test_the_entropy_of_a_discrete_policy_nears_its_target():
    """One action is best, and the temperature rises until the others are taken, too: to 0.6 log 3."""
    environment = probes.choice([[0.0], [0.0], [1.0]])
    settings = {"learning_rate": 1e-2, "num_updates": 16, "target_entropy_ratio": 0.6, "initial_temperature": 0.1}
    result = train(build("discrete_sac", environment, total_steps=3000, **settings))
    np.testing.assert_allclose(result.metrics["entropy"][-1], 0.6 * np.log(3.0), atol=0.08)
    fixed = build("discrete_sac", environment, tune_temperature=False)
    assert set(fixed.hyperparameters.exploration) == {"temperature"}
