"""Advantages and returns against slow loops, closed forms and probes with known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.numerics import returns

TIME, ENV, OBJECTIVE = 13, 5, 3
generalised_advantage = jax.jit(returns.generalised_advantage)
vtrace = jax.jit(returns.vtrace)
DISCOUNT = jnp.asarray([0.9, 0.97, 0.5])


def random_rollout(seed, time=TIME, batch=(ENV,), objective=OBJECTIVE, end_probability=0.15, consistent=True):
    """Rewards, values, next values and flags; `consistent` makes o'ₜ the next observation where nothing ended."""
    rng = np.random.default_rng(seed)
    rewards, values, next_values = rng.normal(size=(3, time, *batch, objective)).astype(np.float32)
    kind = rng.uniform(size=(time, *batch))
    terminated = kind < end_probability
    truncated = (kind >= end_probability) & (kind < 2 * end_probability)
    if consistent:
        alive = ~(terminated | truncated)[:-1]
        next_values[:-1][alive] = values[1:][alive]
    return tuple(jnp.asarray(leaf) for leaf in (rewards, values, next_values, terminated, truncated))


def as_numpy(*arrays):
    return [np.asarray(array, np.float64 if array.dtype == np.float32 else None) for array in arrays]


def advantage_loop(rewards, values, next_values, terminated, truncated, discount, trace):
    """Equation 16 of Schulman et al. (2016), one scalar at a time, in double precision."""
    rewards, values, next_values, terminated, truncated = as_numpy(rewards, values, next_values, terminated, truncated)
    discount = np.broadcast_to(np.asarray(discount, np.float64), rewards.shape[-1:])
    trace = np.broadcast_to(np.asarray(trace, np.float64), rewards.shape[-1:])
    result = np.zeros_like(rewards)
    for env in np.ndindex(rewards.shape[1:-1]):
        for k in range(rewards.shape[-1]):
            following = 0.0
            for t in reversed(range(rewards.shape[0])):
                at = (t, *env)
                bootstrap = 0.0 if terminated[at] else next_values[at][k]
                error = rewards[at][k] + discount[k] * bootstrap - values[at][k]
                ended = terminated[at] or truncated[at]
                following = error + (0.0 if ended else discount[k] * trace[k] * following)
                result[at][k] = following
    return result


@pytest.mark.parametrize("discount", [0.93, DISCOUNT])
@pytest.mark.parametrize("trace", [0.0, 0.8, 1.0, jnp.asarray([0.3, 0.9, 1.0])])
@pytest.mark.parametrize("batch", [(ENV,), (), (2, 4)])
def test_advantages_match_the_loop(discount, trace, batch):
    rollout = random_rollout(0, batch=batch, consistent=False)
    np.testing.assert_allclose(
        generalised_advantage(*rollout, discount, trace), advantage_loop(*rollout, discount, trace), atol=2e-5
    )


def test_advantages_with_full_trace_are_monte_carlo_returns_minus_values():
    rollout = random_rollout(1)
    rewards, values, next_values, terminated, truncated = as_numpy(*rollout)
    expected = np.zeros_like(rewards)
    for t in range(TIME):
        for env in range(ENV):
            power, step = np.ones(OBJECTIVE), t
            while True:
                expected[t, env] += power * rewards[step, env]
                power = power * np.asarray(DISCOUNT)
                if terminated[step, env] or truncated[step, env] or step == TIME - 1:
                    expected[t, env] += 0.0 if terminated[step, env] else power * next_values[step, env]
                    break
                step += 1
    advantages = generalised_advantage(*rollout, DISCOUNT, 1.0)
    np.testing.assert_allclose(advantages, expected - values, atol=2e-5)


def test_advantages_without_trace_are_one_step_errors():
    rewards, values, next_values, terminated, truncated = random_rollout(2)
    expected = rewards + 0.9 * np.where(terminated[..., None], 0.0, next_values) - values
    advantages = generalised_advantage(rewards, values, next_values, terminated, truncated, 0.9, 0.0)
    np.testing.assert_allclose(advantages, expected, atol=1e-6)


def test_advantages_are_linear_in_rewards_and_values():
    rewards, values, next_values, terminated, truncated = random_rollout(3)
    w = jnp.asarray([0.2, 0.5, 0.3])
    vector = generalised_advantage(rewards, values, next_values, terminated, truncated, 0.95, 0.9)
    mixed = [(x @ w)[..., None] for x in (rewards, values, next_values)]
    scalar = generalised_advantage(*mixed, terminated, truncated, 0.95, 0.9)
    np.testing.assert_allclose(vector @ w, scalar[..., 0], atol=1e-5)


def test_one_objective_is_the_scalar_recursion_bit_for_bit():
    rewards, values, next_values, terminated, truncated = random_rollout(4, time=17, objective=1)

    @jax.jit
    def scalar(rewards, values, next_values, terminated, truncated):
        errors = rewards + 0.95 * jnp.where(terminated, 0.0, next_values) - values
        decay = 0.95 * 0.9 * (1.0 - (terminated | truncated))

        def body(following, inputs):
            following = inputs[0] + inputs[1] * following
            return following, following

        return jax.lax.scan(body, jnp.zeros(ENV), (errors, decay), reverse=True)[1]

    vector = jax.jit(lambda *rollout: returns.generalised_advantage(*rollout, 0.95, 0.9))
    np.testing.assert_array_equal(
        vector(rewards, values, next_values, terminated, truncated)[..., 0],
        scalar(rewards[..., 0], values[..., 0], next_values[..., 0], terminated, truncated),
    )


def test_each_objective_is_estimated_as_if_alone():
    rollout = random_rollout(5)
    together = generalised_advantage(*rollout, DISCOUNT, 0.9)
    for k in range(OBJECTIVE):
        alone = [x[..., k : k + 1] for x in rollout[:3]]
        one = generalised_advantage(*alone, *rollout[3:], float(DISCOUNT[k]), 0.9)
        np.testing.assert_allclose(together[..., k], one[..., 0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("trace", [0.0, 0.95, 1.0])
def test_a_time_limit_is_not_a_termination(trace):
    # Constant reward 1 has value 1/(1-γ), also at the step where a limit cuts the episode.
    discount, time = 0.9, 37
    rewards = jnp.ones((time, ENV, 1))
    values = jnp.full((time, ENV, 1), 1.0 / (1.0 - discount))
    limit = jnp.broadcast_to((jnp.arange(time) % 10 == 9)[:, None], (time, ENV))
    never = jnp.zeros_like(limit)
    truncation = generalised_advantage(rewards, values, values, never, limit, discount, trace)
    termination = generalised_advantage(rewards, values, values, limit, never, discount, trace)
    np.testing.assert_allclose(truncation, 0.0, atol=1e-5)
    np.testing.assert_allclose(termination[9], -discount / (1.0 - discount), rtol=1e-5)


def test_nothing_leaks_across_the_end_of_an_episode():
    rollout = list(random_rollout(6, end_probability=0.0))
    rollout[3], rollout[4] = rollout[3].at[6, 0].set(True), rollout[4].at[6, 1].set(True)
    log_ratios = jnp.asarray(np.random.default_rng(0).normal(size=(TIME, ENV)), jnp.float32)

    def estimates(rewards, values):
        inputs = (rewards, values, *rollout[2:])
        return (
            generalised_advantage(*inputs, 0.9, 0.9),
            returns.n_step_returns(rewards, *rollout[2:], 0.9, 4),
            *vtrace(*inputs, log_ratios, 0.9),
        )

    rewards, values = rollout[0].at[7:].add(100.0), rollout[1].at[7:].add(-50.0)
    for before, after in zip(estimates(rollout[0], rollout[1]), estimates(rewards, values)):
        np.testing.assert_array_equal(before[:7, :2], after[:7, :2])
        # Where no episode ended the same change is felt, so the equality is not vacuous.
        assert not np.any(np.isclose(before[6, 2:], after[6, 2:]))


def test_a_terminated_step_ignores_a_value_that_is_not_finite():
    rewards, values, next_values, terminated, truncated = random_rollout(7, consistent=False)
    next_values = jnp.where(terminated[..., None], jnp.nan, next_values)
    for estimate in (
        generalised_advantage(rewards, values, next_values, terminated, truncated, 0.9, 0.9),
        returns.n_step_returns(rewards, next_values, terminated, truncated, 0.9, 3),
        *vtrace(rewards, values, next_values, terminated, truncated, jnp.zeros((TIME, ENV)), 0.9),
    ):
        assert np.all(np.isfinite(estimate))


@pytest.mark.parametrize("trace", [0.0, 0.7, 1.0])
def test_lambda_returns_match_their_recursion(trace):
    rollout = random_rollout(8)
    rewards, _, next_values, terminated, truncated = as_numpy(*rollout)
    expected = np.zeros_like(rewards)
    for t in reversed(range(TIME)):
        for env in range(ENV):
            ended = terminated[t, env] or truncated[t, env] or t == TIME - 1
            # Beyond the batch there is no G, so the last step bootstraps whole.
            rest = next_values[t, env] if ended else (1 - trace) * next_values[t, env] + trace * expected[t + 1, env]
            expected[t, env] = rewards[t, env] + (0.0 if terminated[t, env] else np.asarray(DISCOUNT) * rest)
    actual = returns.lambda_returns(*rollout, DISCOUNT, trace)
    np.testing.assert_allclose(actual, expected, atol=2e-5)


def n_step_loop(rewards, next_values, terminated, truncated, discount, num_steps):
    rewards, next_values, terminated, truncated = as_numpy(rewards, next_values, terminated, truncated)
    expected, discount = np.zeros(rewards.shape), np.asarray(discount)
    for t in range(rewards.shape[0]):
        for env in range(rewards.shape[1]):
            power = np.ones(rewards.shape[-1])
            for step in range(t, t + num_steps):
                expected[t, env] += power * rewards[step, env]
                power = power * discount
                ended = terminated[step, env] or truncated[step, env]
                if ended or step == rewards.shape[0] - 1 or step == t + num_steps - 1:
                    expected[t, env] += 0.0 if terminated[step, env] else power * next_values[step, env]
                    break
    return expected


@pytest.mark.parametrize("num_steps", [1, 2, 3, TIME - 1, TIME, TIME + 4])
@pytest.mark.parametrize("discount", [0.9, DISCOUNT])
def test_n_step_returns_match_the_loop(num_steps, discount):
    rewards, _, next_values, terminated, truncated = random_rollout(9)
    actual = returns.n_step_returns(rewards, next_values, terminated, truncated, discount, num_steps)
    expected = n_step_loop(rewards, next_values, terminated, truncated, discount, num_steps)
    np.testing.assert_allclose(actual, expected, atol=2e-5)


def test_n_step_returns_count_exactly_n_rewards():
    rewards, values, never = jnp.ones((9, 2, 1)), jnp.zeros((9, 2, 1)), jnp.zeros((9, 2), bool)
    actual = returns.n_step_returns(rewards, values, never, never, 1.0, 3)
    np.testing.assert_array_equal(actual[:, 0, 0], [3, 3, 3, 3, 3, 3, 3, 2, 1])


def test_n_step_returns_refuse_no_steps():
    never = jnp.zeros((4, 2), bool)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        returns.n_step_returns(jnp.ones((4, 2, 1)), jnp.ones((4, 2, 1)), never, never, 0.9, 0)


# --- V-trace -------------------------------------------------------------------------------------


def vtrace_sum(rollout, log_ratios, discount, trace, ratio_clip, trace_clip, clipping):
    """Equation 1 of Espeholt et al. (2018) as the explicit sum of products, cut at ends, with leaky clipping."""
    rewards, values, next_values, terminated, truncated = as_numpy(*rollout)
    time, env, objective = rewards.shape
    ratio = np.exp(np.asarray(log_ratios, np.float64))
    clipped = lambda bound: clipping * np.minimum(bound, ratio) + (1 - clipping) * ratio  # noqa: E731
    rho, c = clipped(ratio_clip), trace * clipped(trace_clip)
    discount = np.broadcast_to(discount, (objective,)).astype(np.float64)
    targets, advantages = values.copy(), np.zeros_like(values)
    for e in range(env):
        for s in range(time):
            product = np.ones(objective)
            for t in range(s, time):
                bootstrap = 0.0 if terminated[t, e] else next_values[t, e]
                targets[s, e] += product * rho[t, e] * (rewards[t, e] + discount * bootstrap - values[t, e])
                if terminated[t, e] or truncated[t, e]:
                    break
                product = product * discount * c[t, e]
    for e in range(env):
        for s in range(time):
            last = terminated[s, e] or truncated[s, e] or s == time - 1
            following = next_values[s, e] if last else targets[s + 1, e]
            following = 0.0 if terminated[s, e] else following
            advantages[s, e] = rho[s, e] * (rewards[s, e] + discount * following - values[s, e])
    return targets, advantages


@pytest.mark.parametrize(
    ("trace", "ratio_clip", "trace_clip", "clipping"),
    [(1.0, 1.0, 1.0, 1.0), (0.9, 2.0, 1.3, 1.0), (0.0, 1.0, 1.0, 1.0), (0.9, 1.0, 1.2, 0.6), (0.8, 1.0, 1.0, 0.0)],
)
@pytest.mark.parametrize("discount", [0.9, DISCOUNT])
def test_vtrace_matches_the_papers_sum(trace, ratio_clip, trace_clip, clipping, discount):
    rollout = random_rollout(10)
    log_ratios = jnp.asarray(np.random.default_rng(11).normal(size=(TIME, ENV)), jnp.float32)
    targets, advantages = vtrace(*rollout, log_ratios, discount, trace, ratio_clip, trace_clip, clipping)
    expected = vtrace_sum(rollout, log_ratios, discount, trace, ratio_clip, trace_clip, clipping)
    np.testing.assert_allclose(targets, expected[0], rtol=1e-5, atol=3e-5)
    np.testing.assert_allclose(advantages, expected[1], rtol=1e-5, atol=3e-5)


@pytest.mark.parametrize("trace", [0.6, 1.0])
def test_vtrace_on_policy_gives_lambda_returns(trace):
    rollout = random_rollout(12)
    targets, advantages = vtrace(*rollout, jnp.zeros((TIME, ENV)), DISCOUNT, trace)
    np.testing.assert_allclose(targets, returns.lambda_returns(*rollout, DISCOUNT, trace), atol=2e-5)
    if trace == 1.0:
        np.testing.assert_allclose(advantages, generalised_advantage(*rollout, DISCOUNT, 1.0), atol=2e-5)


def test_vtrace_clips_ratios_of_any_size():
    rollout = random_rollout(14)
    found = vtrace(*rollout, jnp.full((TIME, ENV), 1e4), 0.9)
    np.testing.assert_array_equal(found[0], vtrace(*rollout, jnp.zeros((TIME, ENV)), 0.9)[0])


def test_vtrace_ignores_actions_that_the_target_policy_never_takes():
    rollout = random_rollout(13)
    targets, advantages = vtrace(*rollout, jnp.full((TIME, ENV), -jnp.inf), 0.9)
    np.testing.assert_array_equal(targets, rollout[1])
    np.testing.assert_array_equal(advantages, 0.0)
