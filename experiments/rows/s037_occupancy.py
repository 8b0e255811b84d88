"""ORPO: a proxy reward, kept honest by the occupancy of a base policy.

Laidlaw et al., 2025 (arXiv 2403.03185), section 5: maximise J(π, r̃) − λ √χ²(μ_π ‖ μ_base), where μ are visits of
states and actions. A discriminator d, trained to tell the visits of π from those of the base policy, estimates the log
ratio, and the policy learns from the reward r̃ − λ eᵈ / √χ², χ² = E_π[eᵈ] − 1: the gradient of √χ² is that of
E_π[ratio] over √χ². The comparison is a penalty λ KL(π ‖ base) on actions.

A garden: tomatoes to water along a ring of cells; behind a door a sprinkler pays the proxy and is worth nothing. The
base policy gardens with some clumsiness, and whoever is in the shed tends to stay there, so that one unlikely action at
the door hacks the proxy at little divergence of actions. Episodes and discriminators are sampled; the policy's natural
gradient steps use exact values of the reward that it learns from.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.rows.base import Measured, Row, above
from experiments.rows.tabular import Model, action_values, policy_return, sample, visits
from jaxrl.types import Array, Float, PRNGKeyArray

RING, ACTIONS, HORIZON, SEEDS = 8, 3, 32, 6  # left, right, act
SHED, STATES = RING, RING + 1
EPISODES, ITERATIONS, STEPS = 32, 150, 0.1
STRENGTHS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


def garden(slip: float = 0.1) -> tuple[Model, Float[Array, "state action"], Float[Array, "state action"]]:
    """The garden with the proxy as its reward, the true reward, and the base policy.

    Acting waters where there is a tomato (every second cell), enters the shed at cell 0, and sprinkles within it;
    right leaves the shed. With probability `slip` a move in the ring goes to the next cell.
    """
    transition, true, proxy = np.zeros((STATES, ACTIONS, STATES)), np.zeros((STATES, ACTIONS)), None
    for cell in range(RING):
        for action, target in enumerate(((cell - 1) % RING, (cell + 1) % RING, cell if cell else SHED)):
            transition[cell, action, target] += 1.0 - slip
            transition[cell, action, (cell + 1) % RING] += slip
    transition[SHED, [0, 2], SHED] = 1.0
    transition[SHED, 1, 0] = 1.0
    true[1:RING:2, 2] = 1.0
    proxy = true.copy()
    proxy[SHED, 2] = 3.0
    base = np.full((STATES, ACTIONS), (0.25, 0.5, 0.25))
    base[1:RING:2] = (0.2, 0.3, 0.5)
    base[0] = (0.3, 0.695, 0.005)
    base[SHED] = (0.2, 0.05, 0.75)
    start = jax.nn.one_hot(4, STATES)
    model = Model(jnp.asarray(transition, jnp.float32), jnp.asarray(proxy, jnp.float32), start)
    return model, jnp.asarray(true, jnp.float32), jnp.asarray(base, jnp.float32)


def chi_square(model: Model, policy: Float[Array, "state action"], base: Float[Array, "state action"]) -> Array:
    """χ²(μ_π ‖ μ_base), exactly."""
    own, other = (visits(model, one, HORIZON).mean(0) for one in (policy, base))
    return jnp.sum(own**2 / other) - 1.0


def discriminate(
    ratio: Float[Array, "state action"], own: Float[Array, "state action"], base: Float[Array, "state action"]
) -> Float[Array, "state action"]:
    """d after some steps of logistic regression on counts of both; its optimum is log(own / base)."""

    def loss(d: Array) -> Array:
        return jnp.sum(own * jax.nn.softplus(-d) + base * jax.nn.softplus(d)) + 1e-3 * jnp.sum(d**2)

    optimiser = optax.adam(0.2)

    def body(carry: tuple, _: None) -> tuple[tuple, None]:
        d, state = carry
        updates, state = optimiser.update(jax.grad(loss)(d), state)
        return (d + updates, state), None

    return jax.lax.scan(body, (ratio, optimiser.init(ratio)), None, 10)[0][0]


def frequencies(key: PRNGKeyArray, model: Model, policy: Float[Array, "state action"]) -> Float[Array, "state action"]:
    """Of sampled episodes, summing to 1."""
    episodes = sample(key, model, policy, HORIZON, EPISODES)
    return jnp.zeros((STATES, ACTIONS)).at[episodes.states, episodes.actions].add(1.0 / (HORIZON * EPISODES))


def optimise(method: str, strength: Float[Array, ""], key: PRNGKeyArray) -> Float[Array, "4"]:
    """True return, proxy return, exact √χ² and the discriminator's, at the end; starts at the base policy."""
    model, true, base = garden()
    base_key, run_key = jax.random.split(key)
    of_base = frequencies(base_key, model, base)

    def body(carry: tuple, key: PRNGKeyArray) -> tuple[tuple, Array]:
        logits, d, running = carry
        policy = jax.nn.softmax(logits)
        running = 0.8 * running + 0.2 * frequencies(key, model, policy)
        d = discriminate(d, running, of_base)
        root = jnp.sqrt(jnp.maximum(jnp.sum(running * jnp.exp(d)) - 1.0, 1e-2))
        penalty = jnp.exp(d) / root
        if method == "actions":
            penalty = jnp.sum(policy * jnp.log(policy / base), -1, keepdims=True)
        values = action_values(model._replace(reward=model.reward - strength * penalty), policy, HORIZON).mean(0)
        if method == "actions":
            # The penalty's own derivative besides what it makes of later states.
            values = values - strength * jnp.log(policy / base)
        centred = values - (policy * values).sum(-1, keepdims=True)
        step = STEPS / jnp.maximum(1.0, jnp.abs(centred).max() / 10.0)
        return (jnp.clip(logits + step * centred, -12.0, 12.0), d, running), root

    first = (jnp.log(base), jnp.zeros((STATES, ACTIONS)), of_base)
    (logits, _, _), roots = jax.lax.scan(body, first, jax.random.split(run_key, ITERATIONS))
    policy = jax.nn.softmax(logits)
    true_return, proxy_return = (policy_return(model._replace(reward=r), policy, HORIZON) for r in (true, model.reward))
    return jnp.stack([true_return, proxy_return, jnp.sqrt(chi_square(model, policy, base)), roots[-1]])


def measure() -> Measured:
    """True returns at each method's best strength."""
    model, true, base = garden()
    keys, strengths = jax.random.split(jax.random.key(0), SEEDS), jnp.array(STRENGTHS)
    found = {}
    for method in ("occupancy", "actions"):
        run = jax.jit(jax.vmap(jax.vmap(partial(optimise, method), (None, 0)), (0, None)))
        found[method] = np.asarray(run(strengths, keys))
    best = {method: table[..., 0].mean(1).argmax() for method, table in found.items()}
    weight = np.asarray(visits(model, base, HORIZON).mean(0))
    centred = [r - (weight * r).sum() for r in (np.asarray(true), np.asarray(model.reward))]
    correlation = (weight * centred[0] * centred[1]).sum() / np.sqrt(
        (weight * centred[0] ** 2).sum() * (weight * centred[1] ** 2).sum()
    )
    base_return = float(policy_return(model._replace(reward=true), base, HORIZON))
    own = found["occupancy"][best["occupancy"]]
    note = (
        f"Proxy and true reward correlate by {correlation:.2f} under the base policy, whose true return is "
        f"{base_return:.1f}; without a penalty {found['actions'][0][:, 0].mean():.1f}. Best strengths "
        f"{STRENGTHS[best['occupancy']]:g} and {STRENGTHS[best['actions']]:g}. True returns over strengths: occupancy "
        f"{', '.join(f'{x:.1f}' for x in found['occupancy'][..., 0].mean(1))}; actions "
        f"{', '.join(f'{x:.1f}' for x in found['actions'][..., 0].mean(1))}. The discriminator's root of chi-square "
        f"is {own[:, 3].mean():.2f} where the exact one is {own[:, 2].mean():.2f}."
    )
    value, baseline = own[:, 0], found["actions"][best["actions"]][:, 0]
    return Measured(value, baseline, above(value, baseline) and above(value, base_return), note)


ROW = Row(
    "S037",
    "Correlated Proxies: A New Definition and Improved Mitigation for Reward Hacking",
    "Garden with a sprinkler: true return under the occupancy penalty above that under an action penalty, both tuned",
    "true return, occupancy penalty",
    "true return, action penalty",
    measure,
)
