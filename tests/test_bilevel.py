"""Hypergradients against closed forms and finite differences; behaviour alignment; learning from preferences."""

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl.bilevel import HypergradientConfig, barfi, goal_grid, hypergradient, implicit, parl, solve, unrolled
from jaxrl.bilevel.barfi_study import MODES
from jaxrl.bilevel.episodes import centred, policy_surrogate, returns_to_go
from jaxrl.bilevel.goal_grid import auxiliary_table
from jaxrl.bilevel.preferences import label_log_likelihood, preference_labels
from jaxrl.bilevel.reward import align_reward, potential_shaping
from jaxrl.bilevel.soft_policies import LOWER_FIELDS, expected_return, lower_field, soft_optimum
from jaxrl.cli import main
from jaxrl.environments import check
from jaxrl.errors import UnknownNameError
from jaxrl.morl.tabular.model import Model, tabulate
from jaxrl.numerics.linear_solve import SOLVERS

pytestmark = pytest.mark.quick_compilation

# --- a quadratic inner problem: g(θ, φ) = M φ − H θ, θ* = H⁻¹ M φ ---


def quadratic(symmetric=True, size=4, num_outer=3):
    generator = np.random.default_rng(0)
    square = generator.normal(size=(size, size))
    hessian = square @ square.T / size + np.eye(size)
    if not symmetric:
        skew = generator.normal(size=(size, size))
        hessian = hessian + skew - skew.T
    mixed, target = generator.normal(size=(size, num_outer)), generator.normal(size=size)
    hessian, mixed, target = (jnp.asarray(leaf) for leaf in (hessian, mixed, target))

    # A pytree on either side, so that nothing relies on plain arrays.
    def field(theta, phi, data):
        flat = jnp.concatenate([theta["a"], theta["b"]])
        direction = mixed @ phi["p"] - hessian @ flat
        return {"a": direction[:1], "b": direction[1:]}

    def objective(theta, phi, data):
        flat = jnp.concatenate([theta["a"], theta["b"]])
        return -0.5 * jnp.sum((flat - target) ** 2) + jnp.sum(jnp.sin(phi["p"]))

    phi = {"p": jnp.asarray(generator.normal(size=num_outer))}
    best = jnp.linalg.solve(hessian, mixed @ phi["p"])
    closed = jnp.linalg.solve(hessian, mixed).T @ (target - best) + jnp.cos(phi["p"])
    return field, objective, phi, {"a": best[:1], "b": best[1:]}, closed, hessian


@pytest.mark.parametrize("symmetric", [True, False])
def test_implicit_gradient_is_the_closed_form(symmetric):
    with jax.enable_x64(True):
        field, objective, phi, best, closed, _ = quadratic(symmetric)
        solvers = set(SOLVERS) if symmetric else set(SOLVERS) - {"conjugate_gradient"}
        counts = {solver: 1000 if solver == "neumann" else 8 for solver in solvers}

        @jax.jit
        def every(best, phi):
            return {
                name: implicit(field, objective, best, phi, solver=name, solver_iterations=count, step_size=0.05)
                for name, count in counts.items()
            }

        for found in every(best, phi).values():
            np.testing.assert_allclose(found.gradient["p"], closed, rtol=1e-8)
            assert float(found.residual) < 1e-10


def test_unrolled_gradient_is_the_closed_form_of_k_steps_and_tends_to_the_implicit_one():
    with jax.enable_x64(True):
        field, objective, phi, best, closed, hessian = quadratic()
        zero = jax.tree.map(jnp.zeros_like, best)
        step_size, steps = 0.1, 7
        found = unrolled(field, objective, zero, phi, jnp.zeros(steps), step_size=step_size)
        # θ_K = Σ_k (I − αH)ᵏ α M φ from θ₀ = 0.
        power, total = jnp.eye(4), jnp.zeros((4, 4))
        for _ in range(steps):
            total, power = total + step_size * power, power @ (jnp.eye(4) - step_size * hessian)
        difference = lambda value: jax.tree.map(lambda leaf, d: leaf + d, phi, {"p": value})  # noqa: E731

        def closed_form(value):
            mixed_phi = jnp.concatenate(list(field(zero, difference(value), None).values()))
            theta = total @ mixed_phi
            return objective({"a": theta[:1], "b": theta[1:]}, difference(value), None)

        np.testing.assert_allclose(found.gradient["p"], jax.grad(closed_form)(jnp.zeros(3)), rtol=1e-10)
        far = jax.jit(
            lambda phi: unrolled(field, objective, zero, phi, jnp.zeros(800), step_size=step_size).gradient["p"]
        )(phi)
        assert far @ closed / jnp.linalg.norm(far) / jnp.linalg.norm(closed) > 0.999
        np.testing.assert_allclose(far, closed, rtol=1e-6)


def test_truncated_neumann_is_unrolling_at_the_fixed_point():
    with jax.enable_x64(True):
        field, objective, phi, best, _, _ = quadratic(symmetric=False)
        for count in (1, 4):
            series = implicit(field, objective, best, phi, solver_iterations=count, step_size=0.1).gradient["p"]
            steps = unrolled(field, objective, best, phi, jnp.zeros(count), step_size=0.1).gradient["p"]
            np.testing.assert_allclose(series, steps, rtol=1e-9)


def test_neumann_converges_to_conjugate_gradient_and_damping_is_added():
    with jax.enable_x64(True):
        hessian = quadratic()[-1]
        v, product = jnp.arange(4.0), lambda u: hessian @ u
        exact = jnp.linalg.solve(hessian + 0.3 * jnp.eye(4), v)
        errors = []
        for count in (5, 20, 300):
            found = solve("neumann", product, product, v, count, 0.3, 0.1)
            errors.append(float(jnp.abs(found - exact).max()))
        assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-8
        normal = jnp.linalg.solve(hessian.T @ hessian + 0.3 * jnp.eye(4), hessian.T @ v)
        for solver, expected in (("conjugate_gradient", exact), ("normal_equations", normal)):
            np.testing.assert_allclose(solve(solver, product, product, v, 10, 0.3, 0.1), expected, rtol=1e-8)


@pytest.mark.parametrize("kind", ["implicit", "unrolled"])
def test_one_switch_under_jit_and_vmap(kind):
    field, objective, phi, best, _, _ = quadratic()
    config = HypergradientConfig(hypergradient=kind, solver_iterations=50)
    compute = hypergradient(field, objective, config)
    one = lambda phi, rate: compute(best, phi, jnp.zeros(60), None, None, rate, 0.0).gradient["p"]  # noqa: E731
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), phi)
    rates = jnp.array([0.1, 0.2])
    batched, alone = jax.jit(jax.vmap(one))(many, rates), jax.jit(one)
    for row in range(2):
        np.testing.assert_allclose(
            batched[row], alone(jax.tree.map(lambda x, r=row: x[r], many), rates[row]), rtol=1e-4
        )


def test_unknown_names_and_sizes_are_refused():
    with pytest.raises(UnknownNameError, match="implicit"):
        HypergradientConfig(hypergradient="implict")
    with pytest.raises(UnknownNameError, match="gmres"):
        HypergradientConfig(solver="gmress")
    with pytest.raises(ValueError, match="solver_iterations"):
        HypergradientConfig(solver_iterations=0)
    with pytest.raises(UnknownNameError, match="unrolled"):
        barfi(goal_grid(3), hypergradient="unroled")
    with pytest.raises(UnknownNameError, match="inner_learning_rate"):
        barfi(goal_grid(3), inner_learning_rat=0.1)
    with pytest.raises(UnknownNameError, match="decoy"):
        goal_grid(3, "decoi")
    with pytest.raises(ValueError, match="coefficients"):
        barfi(goal_grid(3), coefficients=[1.0, 1.0])
    with pytest.raises(UnknownNameError, match="bilevel"):
        barfi(goal_grid(3)).mode("bilvel")
    with pytest.raises(ValueError, match="not symmetric"):
        parl(goal_grid(3), solver="conjugate_gradient")
    with pytest.raises(ValueError, match="features"):
        parl(goal_grid(3), features=jnp.zeros((2, 2, 1)))


# --- rewards and episodes ---


def test_goal_grid_keeps_the_contract_and_pays_what_it_says():
    environment = goal_grid(3, "decoy", limit=7)
    check(environment)
    state, _ = environment.reset(jax.random.key(0), environment.params)
    total, actions = np.zeros(2), (3, 3, 3, 1, 1)
    for action in actions:
        state, step = environment.step(jax.random.key(0), state, jnp.int32(action), environment.params)
        total += np.asarray(step.reward)
    # Right twice reaches the decoy, a third time stays there; then down to the goal.
    assert total.tolist() == [1.0, 2.0] and bool(step.terminated)
    distance = auxiliary_table("distance", 3).reshape(3, 3)
    assert distance[2, 2] == 0.0 and distance[0, 0] == -1.0 and distance[1, 0] == -0.75


def test_blend_and_potential_shaping():
    reward = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    found = align_reward(jnp.array([0.5, 1.0, -1.0]), jnp.array([[0.0, 0.0, 0.0], [1.0, 2.0, 0.5]]), reward)
    np.testing.assert_allclose(found, [0.5 + 1 - 2, 1.5 + 9.0 - 2.0])
    # Telescopes to nothing along an episode that terminates, whatever the potential.
    reward = jax.random.normal(jax.random.key(0), (6, 1, 2))
    ended = jnp.arange(6)[:, None] == 5
    shaping = potential_shaping(reward, ended, jnp.array([0.3, -2.0]), jnp.float32(0.7))
    np.testing.assert_allclose(jnp.sum(0.7 ** jnp.arange(6) * shaping[:, 0]), 0.0, atol=1e-6)
    assert float(jnp.abs(shaping).max()) > 0.1


def test_baseline_leaves_an_episode_out_and_returns_discount():
    values = jnp.array([[1.0, 2.0, 6.0], [5.0, 0.0, 0.0]])
    alive = jnp.array([[True, True, True], [True, False, False]])
    np.testing.assert_allclose(centred(values, alive), [[-3.0, -1.5, 4.5], [5.0, 0.0, 0.0]])
    np.testing.assert_allclose(returns_to_go(jnp.array([[1.0], [2.0], [4.0]]), jnp.float32(0.5))[:, 0], [3.0, 4.0, 4.0])


def test_surrogate_estimates_gradient_and_hessian_of_the_expected_return():
    """All episodes of a two-step problem with their probabilities stand in for sampling."""
    with jax.enable_x64(True):
        rewards = jnp.asarray(np.random.default_rng(1).normal(size=(2, 4, 2)))
        sequences = jnp.array(list(itertools.product(range(2), repeat=2)))
        states = jnp.stack([jnp.zeros(4, int), 1 + sequences[:, 0]])
        actions = sequences.T

        def log_probs(theta):
            return jax.nn.log_softmax(theta)[states, actions]

        reward = rewards[jnp.arange(2)[:, None], states, actions]
        expected = lambda theta: jnp.sum(jnp.exp(log_probs(theta).sum(0)) * reward.sum(0))  # noqa: E731
        theta = jnp.asarray(np.random.default_rng(2).normal(size=(3, 2)))
        chance = jax.lax.stop_gradient(jnp.exp(log_probs(theta).sum(0)))
        advantage = returns_to_go(reward, jnp.float64(1.0))

        def surrogate(theta, jacobian="trajectories"):
            alone = lambda log_prob, advantage: policy_surrogate(  # noqa: E731
                log_prob[:, None], advantage[:, None], jnp.ones((2, 1), bool), jacobian
            )
            return chance @ jax.vmap(alone, (1, 1))(log_probs(theta), advantage)

        assert abs(float(jax.jit(surrogate)(theta))) < 1e-12
        derivatives = lambda f: jax.jit(lambda theta: (jax.grad(f)(theta), jax.hessian(f)(theta)))(theta)  # noqa: E731
        gradient, hessian = derivatives(expected)
        found, second = derivatives(surrogate)
        np.testing.assert_allclose(found, gradient, atol=1e-12)
        np.testing.assert_allclose(second, hessian, atol=1e-12)
        found, second = derivatives(lambda theta: surrogate(theta, "actions"))
        np.testing.assert_allclose(found, gradient, atol=1e-12)
        assert float(jnp.abs(second - hessian).max()) > 1e-3


# --- behaviour alignment ---

SMALL = {"network": "table", "residual_network": "table"}


def test_field_and_objective_estimate_exact_gradients():
    environment = goal_grid(2, "decoy", limit=5)
    study = barfi(environment, **SMALL, num_episodes=4000, inner_discount=0.999999, discount=1.0)
    hp = study.hyperparameters._replace(entropy_coefficient=jnp.float32(0.0))
    state = study.init(jax.random.key(0), hp)
    theta = jax.random.normal(jax.random.key(1), (4, 4))
    policy = {**state.policy, "actor": theta}
    model = tabulate(environment)
    returns = lambda theta, weights: expected_return(model, theta, model.reward @ weights, 5)  # noqa: E731

    @jax.jit
    def compute(policy, key):
        estimates = (
            study.field(policy, state.alignment, hp, key),
            jax.grad(study.objective)(policy, state.alignment, hp, key),
        )
        exact = (jax.grad(returns)(theta, weights) for weights in (jnp.ones(2), jnp.array([1.0, 0.0])))
        return [estimate["actor"] for estimate in estimates], list(exact)

    for found, exact in zip(*compute(policy, jax.random.key(2)), strict=True):
        assert float(jnp.vdot(found, exact) / jnp.linalg.norm(found) / jnp.linalg.norm(exact)) > 0.99
        assert 0.9 < float(jnp.linalg.norm(found) / jnp.linalg.norm(exact)) < 1.1


@pytest.mark.slow  # A learning run; the command moves and holds coefficients quickly.
def test_a_harmful_reward_is_turned_off_and_modes_are_leaves():
    environment = goal_grid(4, "decoy", limit=16)
    study = barfi(environment, **SMALL, hypergradient="unrolled", num_outer_steps=40, inner_learning_rate=0.2)
    fast = lambda name: {} if name == "bilevel" else {"inner_learning_rate": jnp.float32(3.0)}  # noqa: E731
    modes = (study.mode(name)._replace(**fast(name)) for name in MODES)
    settings = jax.tree.map(lambda *leaves: jnp.stack(leaves), *modes)
    keys = jax.vmap(jax.random.key)(jnp.arange(3))
    run = jax.jit(jax.vmap(jax.vmap(lambda key, hp: study.run(key, hp).metrics, (0, None)), (None, 0)))
    metrics = jax.device_get(run(keys, settings))
    primary = dict(zip(MODES, metrics["episode_return"][:, :, -5:, 0].mean(axis=(1, 2)), strict=True))
    assert primary["bilevel"] > 0.9 and primary["primary"] > 0.9 and primary["sum"] < 0.1
    coefficients = dict(zip(MODES, metrics["coefficients"], strict=True))
    assert coefficients["bilevel"][:, -1, 2].mean() < 0.5 and coefficients["bilevel"][:, -1, 1].min() > 1.0
    for name in ("sum", "primary", "potential"):
        assert np.ptp(coefficients[name], axis=1).max() == 0.0
    assert not metrics["non_finite"].any()


def test_other_networks_and_rejected_environments():
    # The implicit gradient, with a network instead of a table for φ.
    study = barfi(goal_grid(3, limit=6), network="table", hidden_sizes=(4,), num_outer_steps=2, num_episodes=4)
    metrics = jax.jit(study.run)(jax.random.key(0), study.hyperparameters).metrics
    assert np.isfinite(np.asarray(metrics["hypergradient_norm"])).all()
    assert study.steps_per_iteration == 3 * 4 * 6
    environment = goal_grid(3)
    endless = environment._replace(spec=replace(environment.spec, time_limit=None))
    with pytest.raises(ValueError, match="time limit"):
        barfi(endless)


# --- preferences ---


def three_states():
    successor = jnp.array([[1, 2], [2, 0], [0, 1]], jnp.int32)
    return Model(successor, jnp.zeros((3, 2, 1)), jnp.zeros((3, 2), bool), jnp.int32(0), 0)


def test_preference_hypergradient_on_three_states():
    """All pairs of episodes of three steps; finite differences through a lower level that is solved to the end."""
    with jax.enable_x64(True):
        model, discount, temperature = three_states(), 0.8, 0.5
        hidden = jnp.asarray(np.random.default_rng(3).normal(size=(3, 2)))
        actions = jnp.array(list(itertools.product(range(2), repeat=3)))
        visited = [[0] for _ in range(8)]
        for row, sequence in zip(visited, actions, strict=True):
            for action in sequence[:-1]:
                row.append(int(model.successor[row[-1], int(action)]))
        visited = jnp.array(visited)

        def upper(logits, reward, _):
            chance = jnp.exp(jnp.sum(jax.nn.log_softmax(logits)[visited, actions], axis=1))
            total, judged = (jnp.sum(table[visited, actions], axis=1) for table in (reward, hidden))
            prefer = jax.nn.sigmoid(judged[None] - judged[:, None])
            gap = total[None] - total[:, None]
            fit = sum(
                p * label_log_likelihood(gap, jnp.full(gap.shape, flag))
                for p, flag in ((prefer, True), (1 - prefer, False))
            )
            return chance @ fit @ chance

        reward = jnp.asarray(np.random.default_rng(4).normal(size=(3, 2)))
        optimum = lambda reward: soft_optimum(model, reward, discount, temperature, 400)  # noqa: E731

        def by_field(reward, name, **options):
            field = lambda logits, reward, _: lower_field(  # noqa: E731
                name, model, logits, reward, discount, temperature
            )
            return implicit(field, upper, optimum(reward), reward, **options)

        @jax.jit
        def compute(reward):
            found = {
                "bellman": by_field(reward, "bellman", solver="neumann", solver_iterations=300),
                "policy_gradient": by_field(
                    reward, "policy_gradient", solver="normal_equations", solver_iterations=12, damping=1e-14
                ),
            }
            return found, jax.grad(upper, argnums=1)(optimum(reward), reward, None)

        found, alone = compute(reward)
        assert set(found) == set(LOWER_FIELDS)
        solved = jax.jit(jax.vmap(lambda reward: upper(optimum(reward), reward, None)))
        changes = 1e-5 * jnp.eye(6).reshape(6, 3, 2)
        differences = (solved(reward + changes) - solved(reward - changes)) / 2e-5
        for one in found.values():
            assert float(one.residual) < 1e-10
            np.testing.assert_allclose(one.gradient.ravel(), differences, atol=1e-7)
            # The distribution term is no small part of it.
            assert float(jnp.abs(one.gradient - alone).max()) > 1e-2


def preference_study(**settings):
    environment = goal_grid(3, "none", limit=6)
    table = jax.random.normal(jax.random.key(5), (9,))
    environment = environment._replace(params=environment.params._replace(goal=jnp.int32(-1), auxiliary=table))
    return parl(environment, weights=[0.0, 1.0], **settings)


def test_labels_follow_bradley_and_terry():
    first, second = jnp.zeros(20_000), jnp.full(20_000, 0.7)
    share = preference_labels(jax.random.key(0), first, second, 2.0).mean()
    assert abs(float(share) - 1 / (1 + np.exp(-1.4))) < 0.01
    assert bool(jnp.all(preference_labels(jax.random.key(0), first, second, jnp.inf)))
    found = label_log_likelihood(jnp.array([0.7, 0.7]), jnp.array([True, False]))
    np.testing.assert_allclose(found, -np.log1p(np.exp([-0.7, 0.7])), rtol=1e-6)


@pytest.mark.slow  # Many samples; the exact hypergradient is the quick test.
def test_sampled_distribution_term_estimates_the_gradient_of_the_expected_likelihood():
    study = preference_study(num_pairs=5_000, penalty=0.0, solver_iterations=60)
    hp = study.hyperparameters
    reward = 0.5 * jax.random.normal(jax.random.key(1), (9,))
    logits = soft_optimum(study.model, study.features @ reward, hp.discount, hp.temperature, 100)
    gradient = jax.jit(lambda key: study.gradient(reward, logits, study.label(key, logits, hp), hp))
    # Common random numbers: expected likelihood by finite differences of the solved problem, over actions' draws.
    found = np.mean([gradient(jax.random.key(i)) for i in range(4)], axis=0)

    def likelihood(reward, key):
        logits = soft_optimum(study.model, study.features @ reward, hp.discount, hp.temperature, 100)
        pairs = study.label(key, logits, hp)
        return label_log_likelihood(pairs.difference @ reward, pairs.label).mean()

    directions = jax.random.normal(jax.random.key(2), (3, 9))
    compute = jax.jit(jax.vmap(likelihood, (None, 0)))
    keys = jax.random.split(jax.random.key(3), 8)
    for direction in directions:
        slope = (compute(reward + 0.1 * direction, keys) - compute(reward - 0.1 * direction, keys)) / 0.2
        error = float(slope.std() / np.sqrt(8))
        assert abs(float(slope.mean()) - found @ direction) < 5 * error + 0.02


@pytest.mark.slow  # A learning run; gradients and labels are tested quickly.
def test_preferences_teach_a_policy_what_the_hidden_reward_asks():
    study = preference_study(num_rounds=8, precision=jnp.inf)
    settings = jax.tree.map(
        lambda *leaves: jnp.stack(leaves),
        *(study.hyperparameters._replace(distribution_coefficient=jnp.float32(c)) for c in (0.0, 0.1)),
    )
    state, _, metrics = jax.jit(jax.vmap(study.run, (None, 0)))(jax.random.key(0), settings)
    table = study.hyperparameters.environment.auxiliary[study.model.successor]
    hp = study.hyperparameters
    best = expected_return(study.model, soft_optimum(study.model, table, hp.discount, hp.temperature, 200), table, 6)
    uniform = expected_return(study.model, jnp.zeros_like(table), table, 6)
    share = (metrics["hidden_return"][:, -3:].mean(axis=1) - uniform) / (best - uniform)
    assert float(share[0]) > 0.7
    assert not np.allclose(state.reward[0], state.reward[1])
    np.testing.assert_array_equal(metrics["labels"][0], 8.0 * np.arange(1, 9))
    assert np.all(np.asarray(metrics["distribution_norm"][0]) == 0.0)


@pytest.mark.slow  # The command sweeps modes as well, of which one holds.
def test_a_mode_holds_whatever_is_swept_beside_it():
    study = barfi(goal_grid(2, "decoy", limit=6), **SMALL, num_outer_steps=4, num_episodes=8)
    values = {"mode": ["bilevel", "sum"], "coefficient_learning_rate": [0.1, 0.3]}
    swept = jaxrl.sweep(study, hyperparameters=values, options=jaxrl.RunOptions(progress=False), say=lambda _: None)
    start = np.array([0.0, 1.0, 1.0])
    moved = [bool(np.any(swept.learned(member).coefficients != start)) for member in range(4)]
    assert moved == [True, True, False, False]
    assert study.rebuild(mode="sum").mode("sum").coefficient_learning_rate == 0.0
    with pytest.raises(ValueError, match="fixed in mode 'sum'"):
        study.rebuild(mode="sum").mode("bilevel")


# --- from the shell ---


def test_the_command_sweeps_modes_and_leaves_a_run_directory(tmp_path, capsys):
    arguments = (
        "align barfi alignment/goal-grid --network table --residual-network table --num-outer-steps 3 --num-episodes 4 "
        "--seeds 2 --environment-option size=2 --environment-option limit=6 --environment-option auxiliary=decoy"
    )
    words = arguments.split()
    assert main([*words, "--sweep", "mode=bilevel,primary", "--out", str(tmp_path / "run")]) == 0
    table = pandas.read_csv(tmp_path / "run" / "metrics.csv")
    assert len(table) == 2 * 2 * 3 and set(table["mode"]) == {"bilevel", "primary"}
    assert table.groupby(["mode", "seed"])["steps"].max().unique().tolist() == [3 * 3 * 4 * 6]
    assert (tmp_path / "run" / "figures" / "curve_return_primary.png").exists()
    shown = capsys.readouterr().out
    assert main(["resume", str(tmp_path / "run")]) == 0
    again = capsys.readouterr().out.strip()
    assert "return_primary" in again and again in shown
    swept = jaxrl.load_sweep(tmp_path / "run")
    learned, fixed = swept.learned(0).coefficients, swept.learned(2).coefficients
    assert np.all(fixed == np.array([0.0, 1.0, 0.0])) and np.any(learned != np.array([0.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match=r"sweep\.learned"):
        swept.policy(0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("barfy alignment/goal-grid", "barfi"),
        ("barfi alignment/goal-gird", "alignment/goal-grid"),
        ("barfi alignment/goal-grid --mode bilvel", "bilevel"),
        ("barfi alignment/goal-grid --mode sum --coefficient-learning-rate 0.5", "mode='sum' decides it"),
        ("barfi alignment/goal-grid --mode primary --set coefficients=[0,1,7]", "mode='primary' decides it"),
        ("barfi alignment/goal-grid --environment-option sise=3", "unknown option of alignment/goal-grid 'sise'"),
        ("parl alignment/goal-grid --set environment=3", "environment is no setting of what is run"),
        ("barfi gymnax/CartPole-v1", "has one objective"),
        ("parl gymnax/CartPole-v1", "needs a finite environment"),
        ("parl alignment/goal-grid --set weights=[1]", "weights has shape"),
    ],
)
def test_errors_of_the_command_name_what_is_allowed(words, message, capsys):
    assert main(["align", *words.split(), "--out", "nowhere"]) == 2
    assert message in capsys.readouterr().err
