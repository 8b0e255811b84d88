"""The mathematics of the rows of experiments/rows, against oracles that share nothing with them."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytestmark = pytest.mark.quick_compilation


def test_sqirl_with_many_episodes_finds_what_exact_lookahead_finds():
    from experiments.rows import s030_sqirl as row

    made, _ = row.layouts(1, 2)
    layout = jax.tree.map(lambda leaf: leaf[1], made)
    values, after, reward = [0.0] * row.STATES, np.asarray(layout.after).tolist(), np.asarray(layout.reward).tolist()
    expected = np.zeros((row.STATES, row.ACTIONS))
    for _ in range(row.HORIZON):
        for state, action in itertools.product(range(row.STATES), range(row.ACTIONS)):
            cell, before = divmod(state, row.ACTIONS + 1)
            expected[state, action] = 0.0
            for taken, share in ((action, 0.75), (before - 1 if before else action, 0.25)):
                arrived = after[cell][taken]
                gain = reward[arrived] + values[arrived * (row.ACTIONS + 1) + taken + 1]
                expected[state, action] += share * gain * (reward[cell] == 0)
        values = expected.mean(1).tolist()
    uniform = jnp.full((row.HORIZON, row.STATES, row.ACTIONS), 1.0 / row.ACTIONS)
    np.testing.assert_allclose(jax.jit(row.plan)(layout, uniform)[0], expected, atol=1e-5)

    @jax.jit
    def returns(key):
        found, exact = row.sqirl(key, layout, jnp.asarray(2), 512), row.greedy(row.deepened(layout, 1))
        return row.value(layout, found), row.value(layout, exact), row.value(layout, row.greedy(row.plan(layout)))

    found, exact, best = returns(jax.random.key(0))
    assert abs(float(found - exact)) < 0.1 and exact <= best + 1e-5


def test_marginal_gains_sum_to_the_set_function_and_no_walk_beats_the_best():
    from experiments.rows import s028_submodular as row

    weight = np.asarray(row.fields(jax.random.key(0), 1)[0])
    actions = np.random.default_rng(0).integers(0, row.ACTIONS, row.HORIZON)
    cell, visited = np.asarray(row.START), []
    for action in actions:
        cell = np.clip(cell + np.asarray(row.MOVES)[action], 0, row.SIZE - 1)
        visited.append(cell)

    def covered(cells):
        near = [
            (i, j) for i, j in np.ndindex(row.SIZE, row.SIZE) for c in cells if max(abs(i - c[0]), abs(j - c[1])) <= 1
        ]
        return sum(weight[i, j] for i, j in set(near))

    start = np.asarray(row.START)
    expected = covered([start, *visited]) - covered([start])
    gain = jax.jit(row.gains)(weight, actions)
    assert float(gain) == pytest.approx(expected, abs=1e-5)
    assert float(jax.jit(row.best_walk)(weight)) >= max(float(gain), float(jax.jit(row.greedy_walk)(weight))) - 1e-6


def test_estimators_of_gradient_and_hessian_are_unbiased():
    from experiments.rows import s022_momentum as row

    transition = np.array([[[0.7, 0.3], [0.2, 0.8]], [[0.5, 0.5], [0.9, 0.1]]])  # of state and action
    cost, horizon = jnp.array([[1.0, -2.0], [0.5, 3.0]]), 3
    params = jnp.array([[0.3, -0.2], [0.1, 0.4]])

    def log_probability(params, trajectory):
        return jax.nn.log_softmax(params)[trajectory.states, trajectory.actions]

    walks = np.array(list(itertools.product(range(2), repeat=2 * horizon)))
    states, actions = walks[:, :horizon], walks[:, horizon:]
    chance = (states[:, 0] == 0).astype(float)
    for t in range(horizon - 1):
        chance = chance * transition[states[:, t], actions[:, t], states[:, t + 1]]
    walks = row.Trajectory(jnp.asarray(states), jnp.asarray(actions), cost[states, actions])

    def probabilities(params):
        return jnp.asarray(chance) * jnp.exp(jax.vmap(log_probability, (None, 0))(params, walks).sum(-1))

    def expected(params):
        return jnp.sum(probabilities(params) * (walks.costs @ row.DISCOUNT ** jnp.arange(horizon)))

    v = jnp.array([[1.0, 0.5], [-0.3, 0.2]])
    weigh = lambda found: jnp.tensordot(probabilities(params), found, 1)  # noqa: E731
    slope = jax.vmap(partial(row.gradient, log_probability, params))(walks)
    product = jax.vmap(lambda one: row.hessian_product(log_probability, params, one, v))(walks)
    np.testing.assert_allclose(weigh(slope), jax.grad(expected)(params), atol=1e-5)
    np.testing.assert_allclose(weigh(product), jax.jvp(jax.grad(expected), (params,), (v,))[1], atol=1e-5)


def test_transported_momentum_of_a_quadratic_is_its_gradient():
    from experiments.rows import s022_momentum as row

    curvature = jnp.diag(jnp.array([1.0, 3.0]))
    params, optimiser = jnp.array([2.0, -1.0]), row.normalised_momentum(0.5, 0.8)
    state = optimiser.init(params)
    for t in range(4):
        at = row.transported(state, params, 0.8)
        updates, state = optimiser.update(curvature @ at, state, params)
        np.testing.assert_allclose(state.direction, curvature @ params, rtol=1e-4)
        np.testing.assert_allclose(jnp.linalg.norm(updates), 0.5 / (t + 2), rtol=1e-5)
        params = params + updates


def test_expected_cost_of_the_regulator_is_the_mean_of_sampled_costs():
    from experiments.rows import s022_momentum as row

    gain = jnp.array([[0.4, 0.1]])
    costs = jax.jit(jax.vmap(row.sample, (0, None)))(jax.random.split(jax.random.key(0), 20_000), gain).costs
    sampled = (costs @ row.DISCOUNT ** jnp.arange(row.HORIZON)).mean()
    exact, least = jax.jit(lambda: (row.expected_cost(gain), row.optimal_cost()))()
    assert float(exact) == pytest.approx(float(sampled), abs=0.15)
    assert least < exact


def test_visits_and_values_of_a_known_process_are_those_of_a_loop():
    from experiments.rows import tabular

    model = tabular.random_model(jax.random.key(0), 5, 3, 2)
    policy = jax.nn.softmax(jax.random.normal(jax.random.key(1), (5, 3)))
    p, pi, r = (np.asarray(x, np.float64) for x in (model.transition, policy, model.reward))
    state, total = np.asarray(model.start, np.float64), 0.0
    for t in range(4):
        pairs = state[:, None] * pi
        np.testing.assert_allclose(jax.jit(partial(tabular.visits, horizon=4))(model, policy)[t], pairs, atol=1e-6)
        total += (pairs * r).sum()
        state = np.einsum("sa,sat->t", pairs, p)
    values = jax.jit(partial(tabular.action_values, horizon=4))(model, policy)
    assert float((policy * values[0])[0].sum()) == pytest.approx(total, rel=1e-5)
    assert float(tabular.optimal_values(model, 4)[0, 0].max()) >= total
    assert ((model.transition > 0).sum(-1) == 2).all()


def test_behaviour_policy_prefers_what_the_data_lack_within_the_clip():
    from experiments.rows import s025_props as row

    logits = jax.random.normal(jax.random.key(0), (row.STATES, row.ACTIONS))
    counts = np.random.default_rng(0).integers(1, 9, (row.STATES, row.ACTIONS)).astype(np.float32)
    phi = logits + 0.3 * jax.random.normal(jax.random.key(1), logits.shape)
    old, new = np.asarray(jax.nn.softmax(logits)), np.asarray(jax.nn.softmax(phi))
    expected, weight = 0.0, counts / counts.sum()
    for s, a in itertools.product(range(row.STATES), range(row.ACTIONS)):
        ratio = new[s, a] / old[s, a]
        expected += weight[s, a] * max(ratio, min(max(ratio, 1 - row.CLIP), 1 + row.CLIP))
        expected += row.KL * weight[s].sum() * old[s, a] * np.log(old[s, a] / new[s, a])
    assert float(row.behaviour_loss(phi, logits, jnp.asarray(weight))) == pytest.approx(expected, rel=1e-5)
    acting = jax.nn.softmax(jax.jit(row.behaviour)(logits, jnp.asarray(counts)))
    lacking = counts / counts.sum(1, keepdims=True) < old
    assert float(jnp.where(lacking, acting - old, 0.0).sum()) > 0.1
    one = jnp.zeros_like(logits).at[0, 0].set(5.0)
    assert jax.nn.softmax(row.behaviour(logits, one))[0, 0] < old[0, 0]


def test_penalty_is_the_gradient_of_the_occupancy_divergence():
    from experiments.rows import s037_occupancy as row

    model, _, base = row.garden()
    logits = jnp.log(base) + 0.3 * jax.random.normal(jax.random.key(0), base.shape)
    own, other = (np.asarray(row.visits(model, one, row.HORIZON).mean(0)) for one in (jax.nn.softmax(logits), base))
    ratio = own / other
    root = np.sqrt((own * ratio).sum() - 1.0)
    penalty = jnp.asarray(ratio / root)

    def mean_penalty(logits):
        return jnp.sum(row.visits(model, jax.nn.softmax(logits), row.HORIZON).mean(0) * penalty)

    slope = jax.grad(lambda x: jnp.sqrt(row.chi_square(model, jax.nn.softmax(x), base)))(logits)
    np.testing.assert_allclose(slope, jax.grad(mean_penalty)(logits), atol=1e-4)
    d = jnp.zeros_like(base)
    step = jax.jit(row.discriminate)
    for _ in range(60):
        d = step(d, jnp.asarray(own), jnp.asarray(other))
    seen = own + other > 0.05
    np.testing.assert_allclose(np.asarray(d)[seen], np.log(ratio)[seen], atol=0.15)


def test_joint_critic_is_the_weighted_ridge_solution_and_the_good_actions_open_the_lock():
    from experiments.rows import s027_hybrid as row

    horizon = 2
    good, policy, offline = jax.jit(row.setup, static_argnums=1)(jax.random.key(0), horizon)
    collect = jax.jit(row.collect, static_argnums=(4, 5, 6))
    always = collect(jax.random.key(1), good, policy, 0.0, horizon, row.EPISODES, True)
    assert (always.reward[-1] == 1.0).all() and (always.reward[:-1] == 0.0).all() and (always.chain < 2).all()
    online = collect(jax.random.key(2), good, policy, 0.0, horizon, row.EPISODES, False)
    critic = np.asarray(jax.jit(partial(row.fit, greedy=False))(online, offline, policy, 1.0, 0.5))
    rows, targets, weights = [], [], []
    online, offline = jax.device_get((online, offline))
    for batch, weight in ((online, 1.0 / row.EPISODES), (offline, 0.5 / row.OFFLINE)):
        for i in range(batch.action.shape[1]):
            x = np.zeros((row.ACTIONS, batch.observation.shape[-1]))
            x[batch.action[0, i]] = batch.observation[0, i]
            after = (batch.observation[1, i] @ critic[1]).mean()  # the policy is uniform
            to_go = batch.reward[:, i].sum() if batch is online else batch.reward[0, i] + after
            rows.append(x.ravel()), targets.append(float(to_go)), weights.append(weight)
    x, y, w = np.array(rows), np.array(targets), np.array(weights)[:, None]
    expected = np.linalg.solve(x.T @ (w * x) + row.RIDGE * np.eye(x.shape[1]), x.T @ (w[:, 0] * y))
    np.testing.assert_allclose(critic[0].T.ravel(), expected, atol=2e-3)


def test_a_tree_splits_where_brute_force_does_and_holds_mean_gradients():
    from experiments.rows import s021_boosting as row

    generator = np.random.default_rng(0)
    seen = generator.integers(0, row.VALUES, (64, row.FIELDS))
    gradient = generator.normal(size=(64, row.ACTIONS + 1)).astype(np.float32)
    gradient[seen[:, 3] == 2] += 2.0
    split, leaf = jax.jit(row.grow)(jnp.asarray(seen), jnp.asarray(gradient))
    scaled, scores = gradient / np.sqrt((gradient**2).mean(0)), {}
    for field, value in itertools.product(range(row.FIELDS), range(row.VALUES)):
        inside = seen[:, field] == value
        parts = [scaled[mask] for mask in (inside, ~inside) if mask.any()]
        scores[field, value] = sum((part.sum(0) ** 2).sum() / len(part) for part in parts)
    assert tuple(np.asarray(split[0])) == max(scores, key=scores.get) == (3, 2)
    bits = np.stack([seen[:, f] == v for f, v in np.asarray(split)])
    where = sum(2**i * bits[i] for i in range(row.DEPTH))
    for i in np.unique(where):
        np.testing.assert_allclose(leaf[i], gradient[where == i].mean(0), atol=1e-5)
    forest = row.add(row.add(row.empty(2.0), split, leaf), split, 2.0 * leaf)
    outputs = np.asarray(jax.jit(row.predict)(forest, jnp.asarray(seen)))
    np.testing.assert_allclose(outputs[:, :-1], 3.0 * 2.0 * np.asarray(leaf)[where, :-1], atol=1e-4)
    np.testing.assert_allclose(outputs[:, -1], 3.0 * row.CRITIC_RATE * np.asarray(leaf)[where, -1], atol=1e-4)


def test_lot_sizing_keeps_its_books_and_the_larger_advantage_counts():
    from experiments.rows import s026_post_decision as row
    from jaxrl.environments.check import check

    plant = jax.jit(row.plant)(jax.random.key(0))
    check(row.lot_sizing(plant))
    stock = row.Stock(jnp.array([3.0, 0.0, 5.0, 1.0]), jnp.array([2, 0]), jnp.zeros((), jnp.int32), jnp.zeros(()))
    action = jnp.array([2, 4])  # the first machine goes on, the second changes
    post = jax.jit(row.post_decision)(stock, action, plant)
    made = np.asarray(plant.production)
    expected = [3.0, 0.0 + made[0, 1], 5.0, 1.0 + made[1, 3] - float(plant.setup_loss[1, 3])]
    np.testing.assert_allclose(post.inventory, expected)
    assert float(post.cost) == pytest.approx(float(plant.setup_cost[1, 3]))
    after, timestep = jax.jit(row.exogenous)(jax.random.key(1), post, plant)
    sold = np.asarray(post.inventory) - np.asarray(after.inventory)
    assert (sold >= 0).all() and float(timestep.reward[0]) <= -float(post.cost)
    idle = row.post_decision(stock, jnp.zeros(2, jnp.int32), plant)
    assert float(idle.cost) == 0.0 and (idle.setup == 0).all()
    reward = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    to_go = [sum(row.DISCOUNT ** (k - t) * reward[k] for k in range(t, 4)) for t in range(4)]
    np.testing.assert_allclose(row.discounted(jnp.asarray(reward)), to_go, atol=1e-5)
    sizes = (row.FEATURES, 4, 1)
    params = {name: row.layers(jax.random.key(i), sizes, 1.0) for i, name in enumerate(("critic", "post"))}
    seen, other = np.random.default_rng(1).normal(size=(2, 3, 5, row.FEATURES)).astype(np.float32)
    steps = row.Steps(seen, other, None, None, None)
    value, post = (row.apply(params[name], x)[..., 0] for name, x in (("critic", seen), ("post", other)))
    returns = np.random.default_rng(2).normal(size=(3, 5)).astype(np.float32)
    larger = np.maximum(returns - value, returns - post)
    np.testing.assert_allclose(returns - row.baseline(params, steps, jnp.array(True)), larger, atol=1e-5)
    np.testing.assert_allclose(row.baseline(params, steps, jnp.array(False)), value, atol=1e-6)


def test_pole_planning_is_a_fixed_point_and_the_adversary_finds_a_bad_model():
    from experiments.rows import s039_incremental as row

    points = jax.random.uniform(jax.random.key(0), (7, 2), minval=-0.5, maxval=0.5)
    linear = lambda at: at @ jnp.array([2.0, -1.0]) + 0.5  # noqa: E731
    grid = row.interpolation(points)
    found = (grid.weight * linear(row.nodes())[grid.corner]).sum(-1)
    np.testing.assert_allclose(found, linear(points), atol=1e-4)
    models = jnp.array([[0.2, 0.4, 0.5], [0.8, 0.1, 0.3]])
    critic = jax.jit(row.optimal)(models)
    values = np.asarray(critic).max(1)
    state = np.asarray(row.nodes())[310]
    for a, force in enumerate(np.asarray(row.FORCES)):
        expected = 1.0 - (state[0] / row.MAX_ANGLE) ** 2 - 0.1 * force**2
        for gravity, motor, wind in ((4.2, 6.0, 0.0), (7.8, 7.5, -0.6)):
            speed = state[1] + row.TIME * (gravity * np.sin(state[0]) + motor * force + wind)
            after = jnp.array([state[0] + row.TIME * speed, speed])
            at = row.interpolation(after)
            expected += row.DISCOUNT * 0.5 * float((at.weight * values[at.corner]).sum()) * (not row.fallen(after))
        assert float(critic[310, a]) == pytest.approx(expected, abs=0.15)  # of values of up to 50
    found = jax.jit(row.worst_model)(jax.random.key(1), critic)
    scores = jax.jit(jax.vmap(row.returns, (None, 0)))(critic, jnp.concatenate([found[None], row.every_model(3)]))
    assert scores[0] <= scores[1:].min() + 0.05


def test_no_attack_is_worse_than_the_worst_and_exp3_finds_the_better_policy():
    from experiments.rows import s040_protected as row

    grid = row.world(jax.random.key(0))
    policy = jax.nn.softmax(jax.random.normal(jax.random.key(1), (row.CELLS, row.ACTIONS)))
    attack = row.as_attack(jax.random.normal(jax.random.key(2), (row.CELLS, row.CELLS)))
    p, reward, over = (np.asarray(x, np.float64) for x in grid)
    step, chance, total = np.einsum("sa,sat->st", np.asarray(attack @ policy), p), np.eye(row.CELLS)[0], 0.0
    for _ in range(row.HORIZON):
        chance = chance @ step
        total += chance @ reward
        chance = chance * (1.0 - over)
    value = jax.jit(row.value)
    assert float(value(grid, policy, attack)) == pytest.approx(total, abs=1e-5)
    worst = value(grid, policy, jax.jit(row.worst_attack)(grid, policy))
    others = jax.vmap(row.as_attack)(4.0 * jax.random.normal(jax.random.key(3), (64, row.CELLS, row.CELLS)))
    assert worst <= jax.vmap(value, (None, None, 0))(grid, policy, others).min() + 0.02
    means = jnp.broadcast_to(jnp.array([0.2, 0.8, -0.5]), (row.ROUNDS, 3))
    assert float(jax.jit(row.exp3)(jax.random.key(4), means)[-1000:].mean()) > 0.7


def test_pushes_turn_with_the_body_about_gravity_alone_and_absent_limbs_do_nothing():
    from experiments.rows import s042_subequivariant as row

    limbs = row.body((-1, 0, 0, 1))
    state = row.start(jax.random.key(0), limbs, 1.0)
    state = state._replace(speed=jax.random.normal(jax.random.key(1), state.speed.shape) * limbs.there[:, None])
    params = {symmetric: row.init(symmetric, jax.random.key(2)) for symmetric in (True, False)}
    act = {symmetric: jax.jit(partial(row.act, symmetric, params[symmetric])) for symmetric in params}
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned = row.turned(state, np.pi / 2)
    np.testing.assert_allclose(act[True](turned, limbs), act[True](state, limbs) @ turn.T, atol=1e-4)
    assert np.abs(act[False](turned, limbs) - act[False](state, limbs) @ turn.T).max() > 1e-2
    over = jnp.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    tipped = row.State(state.place @ over.T, state.speed @ over.T, over @ state.goal)
    assert np.abs(act[True](tipped, limbs) - act[True](state, limbs) @ over.T).max() > 1e-2
    moved = state._replace(place=state.place.at[-1].add(1.0))
    np.testing.assert_allclose(act[True](moved, limbs)[:4], act[True](state, limbs)[:4], atol=1e-6)
    step = lambda at: row.advance(at, limbs, act[True](at, limbs))  # noqa: E731
    np.testing.assert_allclose(step(turned).place[:4], row.turned(step(state), np.pi / 2).place[:4], atol=1e-4)


def test_every_row_is_found_and_written_as_one_table(tmp_path, monkeypatch):
    import importlib

    from experiments.rows import __main__ as table
    from experiments.rows.base import Measured, above, below

    found = {name: importlib.import_module(module).ROW for name, module in table.rows().items()}
    assert len(found) == 11 and all(name == row.number for name, row in found.items())
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    better, worse = np.array([2.0, 2.1, 2.2, 1.9, 2.0]), np.array([1.0, 1.1, 0.9, 1.2, 1.0])
    row = found["S030"]._replace(measure=lambda: Measured(better, worse, above(better, worse), "A note."))
    table.write({"S030": table.run(row)})
    header, line = (tmp_path / "rows.csv").read_text().splitlines()
    assert header.startswith("row,paper,check") and line.startswith("S030,") and ",yes," in line
    assert below(worse, better) and not above(worse, better) and not above(better, better)
