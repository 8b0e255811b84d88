"""Legal actions: exact zeros in value and derivative, against NumPy in double precision; every discrete agent."""

from dataclasses import replace
from functools import cache

import environments as probes
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import jaxrl
from jaxrl import environments
from jaxrl.agents.on_policy_loss import loss
from jaxrl.agents.on_policy_update import prepare, scalarise
from jaxrl.environments import Box, Dict, Discrete, MultiDiscrete, legal_actions, mask_space, transforms
from jaxrl.environments.masks import masked_logits, sample_legal, seen, seen_space
from jaxrl.multitask import make_family, merge, trials
from jaxrl.numerics.distributions import for_space
from jaxrl.training.policy import Policy

pytestmark = pytest.mark.quick_compilation

# --- distributions -------------------------------------------------------------------------------

# Rows: some legal, one legal, all legal, none legal.
LEGAL = np.array([[0, 1, 1, 0, 1], [0, 0, 0, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)
SPACES = {"one choice": Discrete(5), "two choices": MultiDiscrete((3, 2))}


def edges(space):
    return np.cumsum([0, *(space.sizes if isinstance(space, MultiDiscrete) else (space.n,))])


def probabilities(space, logits, legal):
    """p of every value of every choice in turn, in plain NumPy: 0 where illegal, equal where nothing is legal."""
    p = np.zeros_like(logits)
    for low, high in zip(edges(space)[:-1], edges(space)[1:]):
        for row in range(len(logits)):
            allowed = legal[row, low:high]
            if allowed.any():
                p[row, low:high][allowed] = scipy.special.softmax(logits[row, low:high][allowed])
            else:
                p[row, low:high] = 1.0 / (high - low)
    return p


def divergence(p, q):
    return np.array([sum(a * (np.log(a) - np.log(b)) for a, b in zip(x, y) if a > 0) for x, y in zip(p, q)])


def entropy(p):
    return -np.array([sum(a * np.log(a) for a in row if a > 0) for row in p])


def slope(function, logits, step=1e-6):
    """Central differences of a sum over rows."""
    found = np.zeros_like(logits)
    for index in np.ndindex(logits.shape):
        moved = np.zeros_like(logits)
        moved[index] = step
        found[index] = (function(logits + moved).sum() - function(logits - moved).sum()) / (2 * step)
    return found


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
def test_values_and_derivatives_are_those_of_numpy(space):
    rng = np.random.default_rng(0)
    new, old = rng.normal(size=(2, 4, 5)) * 2.0
    raw = np.array([[1, 0], [0, 0], [2, 1], [2, 0]]) if isinstance(space, MultiDiscrete) else np.array([4, 3, 0, 2])
    chosen = edges(space)[:-1] + raw if raw.ndim == 2 else raw[:, None]
    legal = LEGAL.copy()
    np.put_along_axis(legal[:2], chosen[:2], True, axis=1)
    with jax.enable_x64(True):
        family = for_space(space, masked=True)
        masked = lambda logits: masked_logits(space, logits, jnp.asarray(legal))  # noqa: E731

        def found(name, *rest):
            return lambda logits: getattr(family, name)(masked(logits), *rest)

        def p(logits):
            return probabilities(space, logits, legal)

        cases = {
            "log_prob": (
                found("log_prob", jnp.asarray(raw)),
                lambda logits: np.log(np.take_along_axis(p(logits), chosen, axis=1)).sum(axis=1),
            ),
            "entropy": (found("entropy"), lambda logits: entropy(p(logits))),
            "kl to old": (found("kl", masked(jnp.asarray(old))), lambda logits: divergence(p(logits), p(old))),
            "kl from old": (
                lambda logits: family.kl(masked(jnp.asarray(old)), masked(logits)),
                lambda logits: divergence(p(old), p(logits)),
            ),
        }
        for name, (ours, reference) in cases.items():
            np.testing.assert_allclose(ours(jnp.asarray(new)), reference(new), atol=1e-12, err_msg=name)
            gradient = jax.grad(lambda logits: ours(logits).sum())  # noqa: B023
            np.testing.assert_allclose(gradient(jnp.asarray(new)), slope(reference, new), atol=1e-8, err_msg=name)
            # Fisher products and meta-gradients differentiate once more.
            along = rng.normal(size=new.shape)
            twice = jax.jvp(gradient, (jnp.asarray(new),), (jnp.asarray(along),))[1]
            difference = (gradient(jnp.asarray(new + 1e-6 * along)) - gradient(jnp.asarray(new - 1e-6 * along))) / 2e-6
            np.testing.assert_allclose(twice, difference, atol=1e-7, err_msg=name)
        one_legal = p(new)[1] if isinstance(space, Discrete) else None
        if one_legal is not None:
            assert float(found("entropy")(jnp.asarray(new))[1]) == 0.0 and one_legal[3] == 1.0
        equal = family.kl(masked(jnp.asarray(old)), masked(jnp.asarray(old)))
        np.testing.assert_array_equal(equal, 0.0)


def test_what_is_illegal_has_probability_zero_and_the_rest_is_unmoved_by_it():
    logits = jnp.asarray([[1.0, 200.0, 0.0, -1.0, 5.0]])
    legal = jnp.asarray([[True, False, True, False, True]])
    family = for_space(Discrete(5), masked=True)
    masked = masked_logits(Discrete(5), logits, legal)
    np.testing.assert_array_equal(np.exp(jax.vmap(family.log_prob, (None, 0))(masked[0], jnp.arange(5)))[[1, 3]], 0.0)
    assert int(family.mode(masked)[0]) == 4
    # A logit that is not legal takes no gradient, however large.
    slope = jax.grad(lambda x: family.log_prob(masked_logits(Discrete(5), x, legal), jnp.asarray([2])).sum())(logits)
    np.testing.assert_array_equal(slope[0, [1, 3]], 0.0)
    np.testing.assert_allclose(slope.sum(), 0.0, atol=1e-6)


def test_no_rounding_of_sums_draws_what_is_illegal():
    """Uniform numbers at the very edges of many actions, whose sums are in another order for every prefix."""
    rng, rows, size = np.random.default_rng(0), 400, 362
    legal = rng.random((rows, size)) < 0.4
    legal[:, 7] = True
    logits = jnp.where(jnp.asarray(legal), jnp.asarray(rng.normal(size=(rows, size)) * 2.0, jnp.float32), -jnp.inf)
    mass = np.asarray(jnp.cumsum(jnp.exp(logits - logits.max(axis=-1, keepdims=True)), axis=-1))
    illegal, draw = 0, jax.jit(for_space(Discrete(size)).sample)
    sample = jax.jit(for_space(Discrete(size), masked=True).sample)
    for _ in range(20):
        edge = mass[np.arange(rows), rng.integers(0, size, rows)] / mass[:, -1]
        for uniform in (edge, np.nextafter(edge, 0.0), np.nextafter(edge, 2.0)):
            uniform = np.minimum(uniform, 1.0 - 2.0**-23).astype(np.float32)
            assert legal[np.arange(rows), np.asarray(sample(logits, uniform))].all()
            illegal += int((~legal[np.arange(rows), np.asarray(draw(logits, uniform))]).sum())
    # Which is what happens without care.
    assert illegal > 0


def test_masked_samples_have_the_frequencies_of_the_masked_policy_and_without_a_mask_are_the_same():
    count, space = 40_000, MultiDiscrete((3, 2))
    family, legal = for_space(space, masked=True), jnp.asarray([True, False, True, True, True])
    logits = jnp.asarray([0.3, 5.0, -0.5, 0.4, 0.0])
    noise = family.noise(jax.random.key(0), (count,))
    raw = np.asarray(family.sample(jnp.broadcast_to(masked_logits(space, logits, legal), (count, 5)), noise))
    expected = probabilities(space, np.asarray(logits, float)[None], np.asarray(legal)[None])[0]
    for choice, (low, high) in enumerate(((0, 3), (3, 5))):
        share = np.bincount(raw[:, choice], minlength=high - low) / count
        np.testing.assert_allclose(share, expected[low:high], atol=0.01)
    assert not (raw[:, 0] == 1).any()
    same = jnp.broadcast_to(logits, (count, 5))
    np.testing.assert_array_equal(family.sample(same, noise), for_space(space).sample(same, noise))


def test_where_nothing_is_legal_all_is_equally_likely():
    space = MultiDiscrete((3, 2))
    legal = jnp.asarray([False, False, False, True, False])
    masked = masked_logits(space, jnp.asarray([3.0, 1.0, 2.0, 0.0, 9.0]), legal)
    np.testing.assert_array_equal(masked, [0.0, 0.0, 0.0, 0.0, -np.inf])
    spec = replace(probes.legal_only().spec, observation=Dict({"legal": Box(0.0, 1.0, (4,), "bool")}))
    drawn = jax.vmap(lambda key: sample_legal(key, spec, {"legal": jnp.zeros(4, bool)}))(
        jax.random.split(jax.random.key(0), 4000)
    )
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 4000, 0.25, atol=0.03)


# --- the contract --------------------------------------------------------------------------------


def test_a_mask_is_a_part_of_the_observation_that_networks_do_not_see():
    environment = probes.legal_only(choices=2)
    spec = environment.spec
    assert seen_space(spec) == Box(0.0, 8.0, (1,))
    observation = jax.tree.map(lambda leaf: leaf[None], environment.reset(jax.random.key(0), environment.params)[1])
    assert seen(spec, observation).shape == (1, 1)
    assert legal_actions(spec, observation).shape == (1, 8) == (1, *mask_space(spec.action).shape)
    several = probes.several_parts().spec
    assert [name for name, _ in seen_space(several).parts] == ["camera", "pair", "turn"]
    alone = replace(spec, observation=Dict({"legal": spec.observation["legal"]}))
    assert seen_space(alone) == spec.observation["legal"]
    assert seen(alone, {"legal": observation["legal"]}).shape == (1, 2, 4)
    plain = jaxrl.make("gymnax/CartPole-v1").spec
    assert legal_actions(plain, jnp.zeros(4)) is None and seen_space(plain) == plain.observation


def declared(**changes):
    environment = probes.legal_only()
    return environment._replace(spec=replace(environment.spec, **changes))


def stuck(environment, when):
    def step(key, state, action, params):
        state, timestep = environment.step(key, state, action, params)
        seen = timestep.observation
        done = timestep.terminated | timestep.truncated
        allowed = {"never": seen["legal"] & False, "at the end": seen["legal"] & ~done}[when]
        return state, timestep._replace(observation={**seen, "legal": allowed})

    return environment._replace(step=step)


FAULTS = {
    "no such part": (declared(action_mask="mask"), "action_mask names a part of a Dict observation, 'mask' is none of"),
    "one array": (
        declared(action_mask="x", observation=Box(0.0, 1.0, (1,))),
        "action_mask names a part of a Dict observation",
    ),
    "continuous actions": (declared(action=Box(-1.0, 1.0, (4,))), "action_mask needs Discrete or MultiDiscrete"),
    "another size": (declared(action=Discrete(5)), r"a mask of Discrete\(n=5.*\) is a Box of dtype 'bool' with 5"),
    "another type": (
        declared(action_mask="clock", action=Discrete(1)),
        r"\['clock'\] is Box.* a mask of Discrete\(n=1.*\) is a Box of dtype 'bool'",
    ),
    "nothing to do": (
        stuck(probes.legal_only(), "never"),
        r"an observation from step has no legal action \(spec.action_mask is 'legal'\): end the episode",
    ),
    "one choice has nothing": (
        stuck(probes.legal_only(choices=2), "never"),
        r"has no legal action for choice 0 of MultiDiscrete",
    ),
}


@pytest.mark.parametrize(("environment", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_check_says_what_is_wrong_with_a_mask(environment, message):
    with pytest.raises(environments.EnvironmentContractError, match=message) as error:
        environments.check(environment, num_steps=10)
    assert str(error.value).count("\n  - ") == 1


def test_check_acts_legally_and_minds_no_mask_after_the_end():
    # Acting at random would cost 10 at some time, and end before the time limit.
    environments.check(stuck(probes.legal_only(choices=2), "at the end"), num_steps=10)

    def strict(environment):
        def step(key, state, action, params):
            state, timestep = environment.step(key, state, action, params)
            reward = jnp.where(timestep.info["illegal"], jnp.nan, timestep.reward)
            return state, timestep._replace(reward=reward)

        return environment._replace(step=step)

    environments.check(strict(probes.legal_only()), num_steps=10)


def test_a_mask_survives_what_is_put_around_an_environment():
    inner = probes.legal_only()
    wrapped = transforms.flatten_observation(transforms.time_limit(transforms.episode_statistics(inner), 5))
    assert [name for name, _ in wrapped.spec.observation.parts] == ["legal", "observation"]
    environments.check(transforms.accrued_reward(wrapped), num_steps=10)
    family = make_family(inner, [inner.params, 2.0 * inner.params])
    merged = merge(family)
    assert merged.spec.action_mask == "legal" and merged.spec.observation["task"] == Discrete(2)
    environments.check(merged, num_steps=10)
    environments.check(trials(family, 2), num_steps=20)
    batch = environments.vectorise(wrapped, 6)
    state, first = batch.reset(jax.random.key(0), batch.params)
    draws = jax.tree.map(lambda leaf: leaf[0], batch.draw(jax.random.key(1), 1, batch.params))
    illegal = jnp.argmin(legal_actions(wrapped.spec, first), axis=-1)
    some = ~legal_actions(wrapped.spec, first).all(axis=-1)
    assert some.any()
    _, timestep = batch.step(draws, state, illegal, batch.params)
    # Ends restart with the mask of the new start, and the last mask of the old episode stays beside it.
    fresh = draws.resets[1]["legal"]
    np.testing.assert_array_equal(timestep.observation["legal"][some], fresh[some])
    assert not np.array_equal(timestep.info["final_observation"]["legal"], timestep.observation["legal"])
    with pytest.raises(ValueError, match="sticky_actions repeats an action that may be illegal"):
        transforms.sticky_actions(inner, 0.25)
    with pytest.raises(ValueError, match="has a mask or a part 'legal' already"):
        transforms.action_mask(inner, lambda state, params: state[1], "legal")
    with pytest.raises(ValueError, match="needs Discrete or MultiDiscrete actions"):
        transforms.action_mask(jaxrl.make("gymnax/Pendulum-v1"), lambda state, params: True)


@pytest.mark.parametrize("name", ["grid/tiny", "mo/allocation-3"])
def test_environments_with_illegal_moves_offer_a_mask(name):
    masked, plain = jaxrl.make(name, action_mask=True), jaxrl.make(name)
    environments.check(masked, num_steps=30)
    assert masked.spec.observation["observation"] == plain.spec.observation
    key = jax.random.key(0)
    state, seen = masked.reset(key, masked.params)
    for index in range(12):
        legal = np.asarray(seen["action_mask"])
        after = [masked.step(key, state, jnp.int32(a), masked.params)[0] for a in range(len(legal))]
        if name == "grid/tiny":  # Moves that lead nowhere.
            expected = [bool((a.position != state.position).any()) for a in after[:-1]] + [True]
        else:  # More than is left does what the rest of it does.
            left = int(state.remaining)
            expected = [a <= left for a in range(len(legal))]
            assert all(int(a.remaining) == 0 for a in after[left:])
        np.testing.assert_array_equal(legal, expected)
        action = np.flatnonzero(legal)[index % legal.sum()]
        state, timestep = masked.step(key, state, jnp.int32(action), masked.params)
        if timestep.terminated | timestep.truncated:
            state, timestep = (found := masked.reset(key, masked.params))[0], timestep._replace(observation=found[1])
        seen = timestep.observation


# --- agents --------------------------------------------------------------------------------------

SMALL = {"num_envs": 8, "num_steps": 16, "evaluation_episodes": 4, "num_evaluations": 1, "hidden_sizes": (8,)}
DISCO = {"num_predictions": 4, "num_bins": 5, "trajectory_size": 4, "lifetime_size": 4, "model_size": 4}
VARIANTS = {
    "ppo": {},
    "ppo with a divergence": {"surrogate": "adaptive_kl_penalty", "normalise_observations": True},
    "ppo with memory": {"network": "gru", "num_minibatches": 2},
    "mdpo": {},
    "npg": {},
    "gdpo": {"group_size": 2, "num_minibatches": 2},
    "stacx": {},
    "ta_lpg": {"objective_size": 4, "num_outputs": 3},
    "disco": DISCO,
    **{name: {} for name in ("a2c", "reinforce", "dpo", "stac", "lpg")},
    "grpo": {"group_size": 2},
}
QUICK = ("ppo with a divergence", "npg")


def variant(name, environment=None, **settings):
    shared = {**SMALL, "total_steps": 512, **VARIANTS[name], **settings}
    return jaxrl.trainer(name.split()[0], environment or probes.legal_only(), **shared)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in VARIANTS]
)
def test_no_agent_acts_illegally_while_it_learns(name):
    trainer = variant(name)

    @jax.jit
    def program(key, hyperparameters):
        state, metrics = trainer.learn(trainer.init(key, hyperparameters), hyperparameters, jnp.asarray(0), 2)
        return metrics, trainer.collect(key, state, hyperparameters)[1]

    metrics, rollout = jax.device_get(program(jax.random.key(0), trainer.hyperparameters))
    assert all_legal(rollout) and not rollout.observation["legal"].all()
    # An illegal action would have ended an episode before its time.
    assert float(metrics["episode_length"]) == 8.0
    for metric, value in metrics.items():
        assert np.isfinite(value).all(), metric
    assert metrics["skipped_updates"] == 0.0 and metrics["non_finite"] == 0.0
    assert 0.0 < metrics["entropy"] < np.log(4)


def all_legal(rollout):
    legal = np.asarray(rollout.observation["legal"])[:, :, 0]
    return np.take_along_axis(legal, np.asarray(rollout.raw_action)[..., None], axis=-1).all()


@cache
def learned():
    trainer = variant("ppo", total_steps=16_384, num_envs=16, num_steps=32, learning_rate=3e-3, evaluation_episodes=64)
    return trainer, jax.jit(trainer.run)(jax.random.key(1), trainer.hyperparameters)


def test_a_masked_agent_learns_the_best_legal_action_and_never_takes_another():
    trainer, result = learned()
    # The order of actions is the optimum: each mask's best.
    policy = Policy(*trainer.actor(result.state, trainer.hyperparameters))
    masks = (np.arange(8)[:, None] >> np.arange(3)) & 1
    legal = np.concatenate([np.ones((8, 1)), masks], axis=1).astype(bool)[:, None]
    action = policy(jax.random.key(0), {"clock": np.full((8, 1), 3.0, np.float32), "legal": legal})
    np.testing.assert_array_equal(action, [max(np.flatnonzero(row[0])) for row in legal])
    np.testing.assert_allclose(result.evaluation.returns[-1, 0], 8 * probes.LEGAL_OPTIMUM, atol=0.6)
    collect = jax.jit(trainer.collect)
    fresh = jax.jit(trainer.init)(jax.random.key(2), trainer.hyperparameters)
    for state, steps in ((fresh, 5), (result.state, 5)):
        for key in jax.random.split(jax.random.key(3), steps):
            state, rollout, _ = collect(key, state, trainer.hyperparameters)
            assert all_legal(rollout)


def test_what_a_rollout_keeps_is_the_masked_distribution():
    trainer = variant("mdpo", total_steps=128, standardise_advantages="none")
    state = jax.jit(trainer.init)(jax.random.key(0), trainer.hyperparameters)
    progress = jaxrl.agents.Progress(jnp.zeros(()), jnp.ones(()))
    state, rollout, _ = jax.jit(trainer.collect)(jax.random.key(1), state, trainer.hyperparameters)
    parts, hp = trainer.agent.update.args[0], trainer.hyperparameters
    batch, _ = prepare(parts, state.agent, rollout, hp)
    batch = batch._replace(advantage=scalarise(parts, state.agent, batch, hp, progress))
    assert np.isneginf(np.asarray(batch.distribution)[~np.asarray(rollout.observation["legal"])[:, :, 0]]).all()
    value = lambda params: loss(parts, params, batch, (), state.agent, hp, progress)  # noqa: E731
    _, metrics = value(state.agent.params)
    # Ratios are 1 and divergences 0 at the parameters that acted.
    assert float(metrics["kl"]) == 0.0
    np.testing.assert_allclose(metrics["policy_loss"], -np.mean(np.asarray(batch.advantage)), atol=1e-6)
    gradient = jax.grad(lambda params: value(params)[0])(state.agent.params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_a_table_has_rows_of_what_is_beside_the_mask_and_its_illegal_entries_never_move():
    environment = jaxrl.make("grid/tiny", action_mask=True)
    trainer = variant("ppo", environment, network="table", learning_rate=0.1)

    @jax.jit
    def program(key, hyperparameters):
        state, _ = trainer.learn(trainer.init(key, hyperparameters), hyperparameters, jnp.asarray(0), 2)
        return state.agent.params["actor"], trainer.collect(key, state, hyperparameters)[1].observation

    table, seen = jax.device_get(program(jax.random.key(0), trainer.hyperparameters))
    rows, legal = table[seen["observation"]], seen["action_mask"]
    assert table.shape == (environment.spec.observation["observation"].n, 5)
    np.testing.assert_array_equal(rows[~legal], 0.0)
    assert np.abs(rows[legal]).max() > 0.0 and not legal.all()


@pytest.mark.slow  # A sweep of its own; two choices are compared with NumPy.
def test_masks_of_several_choices_and_of_members_of_a_sweep():
    environment = probes.legal_only(choices=2)
    trainer = variant("ppo", environment, total_steps=256)
    swept = jaxrl.sweep(trainer, seeds=2, hyperparameters={"learning_rate": [1e-3, 1e-2]})
    table = swept.table if not callable(swept.table) else swept.table()
    assert (table["length"] == 8.0).all() and (table["return"] >= 0.0).all()


@pytest.mark.slow  # Two programs; masked probabilities are compared with NumPy.
def test_a_mask_that_allows_everything_changes_nothing_but_rounding():
    plain = jaxrl.make("gymnax/CartPole-v1")
    masked = transforms.action_mask(plain, lambda state, params: jnp.ones(2, bool))
    finals = []
    for environment in (plain, masked):
        trainer = jaxrl.trainer("ppo", environment, **{**SMALL, "total_steps": 512, "normalise_observations": True})
        finals.append(jax.jit(trainer.run)(jax.random.key(0), trainer.hyperparameters).state.agent.params)
    for one, other in zip(jax.tree.leaves(finals[0]), jax.tree.leaves(finals[1]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
