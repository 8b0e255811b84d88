"""PROPS: on-policy data without on-policy sampling.

Corrado and Hanna, 2023 (arXiv 2311.08290), section 5. A second policy φ collects. Before every episode it starts at the
policy π and makes actions that the buffer holds too often less likely, by the clipped loss

    E_D[max(r, clip(r, 1 − ε, 1 + ε))] + λ E_D[KL(π ‖ φ)],  r = φ(a | s) / π(a | s)

(equations 6 to 8), so that the pooled data come closer to what π would give. The sampling error is the distance in
total variation of the buffer's frequencies of state and action from those of π, which are known exactly here: a random
decision process with tables. Second check: the policy gradient with the buffer's frequencies and exact advantages,
clipped as in PPO, so that sampling error is its only noise.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.rows.base import Measured, Row, below
from experiments.rows.tabular import Model, action_values, optimal_values, policy_return, random_model, sample, visits
from jaxrl.types import Array, Float, PRNGKeyArray

STATES, ACTIONS, HORIZON, SEEDS = 8, 4, 8, 24
EPISODES, WINDOW = 64, 4  # of the fixed policy; of the policy that learns: iterations kept
CLIP, KL, RATE, STEPS = 0.3, 0.1, 0.3, 16


def behaviour_loss(
    phi: Float[Array, "state action"], logits: Float[Array, "state action"], frequency: Float[Array, "state action"]
) -> Float[Array, ""]:
    """The loss of φ over data with these frequencies of state and action."""
    old, new = jax.nn.log_softmax(logits), jax.nn.log_softmax(phi)
    ratio = jnp.exp(new - old)
    divergence = jnp.sum(jnp.exp(old) * (old - new), -1)
    pushed = jnp.sum(frequency * jnp.maximum(ratio, jnp.clip(ratio, 1.0 - CLIP, 1.0 + CLIP)))
    return pushed + KL * jnp.sum(frequency.sum(-1) * divergence)


def behaviour(
    logits: Float[Array, "state action"], counts: Float[Array, "state action"]
) -> Float[Array, "state action"]:
    """Logits of φ after `STEPS` steps of Adam from π."""
    frequency = counts / jnp.maximum(counts.sum(), 1.0)
    # A row's share of the data is no reason to move it slowly.
    optimiser = optax.adam(RATE)

    def body(carry: tuple, _: None) -> tuple[tuple, None]:
        phi, state = carry
        updates, state = optimiser.update(jax.grad(behaviour_loss)(phi, logits, frequency), state)
        return (phi + updates, state), None

    return jax.lax.scan(body, (logits, optimiser.init(logits)), None, STEPS)[0][0]


def count(key: PRNGKeyArray, model: Model, logits: Float[Array, "state action"]) -> Float[Array, "state action"]:
    """How often one episode has each state and action."""
    episode = sample(key, model, jax.nn.softmax(logits), HORIZON, 1)
    return jnp.zeros((STATES, ACTIONS)).at[episode.states, episode.actions].add(1.0)


def sampling_error(
    counts: Float[Array, "state action"], model: Model, logits: Float[Array, "state action"]
) -> Float[Array, ""]:
    """½ Σ |frequency − expected frequency|."""
    expected = visits(model, jax.nn.softmax(logits), HORIZON).mean(0)
    return 0.5 * jnp.abs(counts / counts.sum() - expected).sum()


def fixed_policy(props: bool, key: PRNGKeyArray) -> Float[Array, " episode"]:
    """Sampling error after each of `EPISODES` episodes of one policy."""
    model_key, policy_key, run_key = jax.random.split(key, 3)
    model = random_model(model_key, STATES, ACTIONS, 3)
    logits = jax.random.normal(policy_key, (STATES, ACTIONS))

    def body(counts: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
        acting = behaviour(logits, counts) if props else logits
        counts = counts + count(key, model, acting)
        return counts, sampling_error(counts, model, logits)

    return jax.lax.scan(body, jnp.zeros((STATES, ACTIONS)), jax.random.split(run_key, EPISODES))[1]


def learning(
    props: bool, key: PRNGKeyArray, iterations: int = 60, per_iteration: int = 2
) -> Float[Array, " iteration"]:
    """Share of the optimal return, from the uniform policy's up, after each iteration."""
    model_key, run_key = jax.random.split(key)
    model = random_model(model_key, STATES, ACTIONS, 3)
    best = optimal_values(model, HORIZON)[0, 0].max()
    worst = policy_return(model, jnp.full((STATES, ACTIONS), 1.0 / ACTIONS), HORIZON)
    optimiser = optax.adam(0.05)

    def surrogate(new: Array, logits: Array, frequency: Array, advantage: Array) -> Array:
        ratio = jnp.exp(jax.nn.log_softmax(new) - jax.nn.log_softmax(logits))
        return -jnp.sum(frequency * jnp.minimum(ratio * advantage, jnp.clip(ratio, 0.8, 1.2) * advantage))

    def improve(logits: Array, state: tuple, frequency: Array) -> tuple[Array, tuple]:
        values = action_values(model, jax.nn.softmax(logits), HORIZON).mean(0)
        advantage = values - (jax.nn.softmax(logits) * values).sum(-1, keepdims=True)
        slope, new = jax.grad(surrogate), logits
        for _ in range(4):
            updates, state = optimiser.update(slope(new, logits, frequency, advantage), state)
            new = new + updates
        return new, state

    def body(carry: tuple, key: PRNGKeyArray) -> tuple[tuple, Array]:
        logits, state, window = carry
        window = jnp.concatenate([window[1:], jnp.zeros((1, STATES, ACTIONS))])
        for i in range(per_iteration):
            acting = behaviour(logits, window.sum(0)) if props else logits
            window = window.at[-1].add(count(jax.random.fold_in(key, i), model, acting))
        logits, state = improve(logits, state, window.sum(0) / window.sum())
        return (logits, state, window), policy_return(model, jax.nn.softmax(logits), HORIZON)

    logits = jnp.zeros((STATES, ACTIONS))
    first = (logits, optimiser.init(logits), jnp.zeros((WINDOW, STATES, ACTIONS)))
    returns = jax.lax.scan(body, first, jax.random.split(run_key, iterations))[1]
    return (returns - worst) / (best - worst)


def measure() -> Measured:
    """Sampling errors after all episodes; what learning has reached by then."""
    keys = jax.random.split(jax.random.key(0), SEEDS)
    errors, scores = [], []
    for props in (True, False):
        errors.append(np.asarray(jax.jit(jax.vmap(partial(fixed_policy, props)))(keys)))
        scores.append(np.asarray(jax.jit(jax.vmap(partial(learning, props)))(keys)))
    slopes = [np.polyfit(np.log(np.arange(8, EPISODES + 1)), np.log(e[:, 7:].mean(0)), 1)[0] for e in errors]
    reached = [score[:, -1].mean() for score in scores]
    area = [score.mean(1) for score in scores]
    note = (
        f"Errors after 8, 16, 32 and {EPISODES} episodes: PROPS "
        f"{', '.join(f'{errors[0][:, n - 1].mean():.3f}' for n in (8, 16, 32, EPISODES))}, on-policy "
        f"{', '.join(f'{errors[1][:, n - 1].mean():.3f}' for n in (8, 16, 32, EPISODES))}; slopes over log episodes "
        f"{slopes[0]:.2f} and {slopes[1]:.2f}. Learning: mean share of the optimum along 60 iterations "
        f"{area[0].mean():.3f} and {area[1].mean():.3f}, at the end {reached[0]:.3f} and {reached[1]:.3f}; PROPS "
        f"above in {(area[0] > area[1]).mean():.2f} of the seeds."
    )
    holds = below(errors[0][:, -1], errors[1][:, -1]) and slopes[0] < slopes[1]
    return Measured(errors[0][:, -1], errors[1][:, -1], holds, note)


ROW = Row(
    "S025",
    "On-Policy Policy Gradient Reinforcement Learning Without On-Policy Sampling",
    "Tabular: the sampling error of pooled data falls faster than that of on-policy sampling",
    "sampling error of PROPS",
    "sampling error of on-policy sampling",
    measure,
)
