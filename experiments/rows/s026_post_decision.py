"""PDPPO: a critic on states and one on post-decision states, and PPO on the larger of the two advantages.

Felizardo et al., 2025 (arXiv 2504.05150), section III: a transition is s → sˣ = f(s, a), which is deterministic, and
sˣ → s', which is random. With R the discounted return from s,

    A = max(R − V(s), R − Vˣ(sˣ)) = R − min(V(s), Vˣ(sˣ)).

Stochastic lot-sizing (section IV): each machine makes one item a period or idles, changing to another item costs money
and lost output; then demand comes, what it lacks is lost sales, what is left costs holding. Everything but the second
critic is the same program for PPO.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.rows.base import Measured, Row, above
from experiments.rows.network import Layers, apply, clipped_loss, layers
from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.batching import vectorise
from jaxrl.environments.spaces import Box, MultiDiscrete
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

ITEMS, MACHINES, HORIZON, SEEDS = 4, 2, 20, 12
ORDERS = 6  # that may come for an item, each with the same probability
ENVS, ITERATIONS, EPOCHS, WIDTH, DISCOUNT, ENTROPY = 32, 100, 4, 32, 0.99, 0.01
FEATURES = ITEMS + MACHINES * (ITEMS + 1)


class Plant(NamedTuple):
    """Traced: what each machine makes of each item, its changes, and what costs how much."""

    production: Float[Array, "machine item"]
    setup_cost: Float[Array, "machine item"]
    setup_loss: Float[Array, "machine item"]
    holding: Float[Array, " item"]
    lost_sales: Float[Array, " item"]
    demand: Float[Array, " item"]
    capacity: Float[Array, " item"]


class Stock(NamedTuple):
    """Inventory, the item each machine is set up for (0: none), steps gone, and what the decision cost."""

    inventory: Float[Array, " item"]
    setup: Int[Array, " machine"]
    steps: Int[Array, ""]
    cost: Float[Array, ""]


def plant(key: PRNGKeyArray) -> Plant:
    """One at random, that can just about make what is asked for."""
    keys = jax.random.split(key, 5)
    production = jax.random.randint(keys[0], (MACHINES, ITEMS), 4, 9).astype(jnp.float32)
    setup_cost = jax.random.uniform(keys[1], (MACHINES, ITEMS), minval=1.0, maxval=3.0)
    holding = jax.random.uniform(keys[2], (ITEMS,), minval=0.05, maxval=0.2)
    lost = jax.random.uniform(keys[3], (ITEMS,), minval=1.0, maxval=3.0)
    demand = jax.random.uniform(keys[4], (ITEMS,), minval=1.5, maxval=3.0)
    return Plant(production, setup_cost, jnp.ones((MACHINES, ITEMS)), holding, lost, demand, jnp.full(ITEMS, 20.0))


def observe(stock: Stock, params: Plant) -> Float[Array, " feature"]:
    """Inventory as a share of capacity, and setups as one-hot codes."""
    return jnp.concatenate([stock.inventory / params.capacity, jax.nn.one_hot(stock.setup, ITEMS + 1).ravel()])


def post_decision(stock: Stock, action: Int[Array, " machine"], params: Plant) -> Stock:
    """Setups change and items are made; an idle machine (0) forgets its setup."""
    machine, item = jnp.arange(MACHINES), jnp.maximum(action - 1, 0)
    busy = action > 0
    changed = busy & (action != stock.setup)
    made = params.production[machine, item] - changed * params.setup_loss[machine, item]
    inventory = stock.inventory.at[item].add(busy * made)
    return Stock(inventory, action, stock.steps, jnp.sum(changed * params.setup_cost[machine, item]))


def exogenous(key: PRNGKeyArray, post: Stock, params: Plant) -> tuple[Stock, Timestep]:
    """Demand comes."""
    asked = jnp.sum(jax.random.uniform(key, (ORDERS, ITEMS)) < params.demand / ORDERS, axis=0).astype(jnp.float32)
    lack = jnp.maximum(asked - post.inventory, 0.0)
    inventory = jnp.clip(post.inventory - asked, 0.0, params.capacity)
    cost = post.cost + jnp.sum(lack * params.lost_sales) + jnp.sum(inventory * params.holding)
    stock = Stock(inventory, post.setup, post.steps + 1, jnp.zeros(()))
    over = stock.steps >= HORIZON
    return stock, Timestep(observe(stock, params), -cost[None], over, jnp.zeros((), bool), {})


def lot_sizing(params: Plant) -> Environment:
    """The plant as an environment."""

    def reset(key: PRNGKeyArray, params: Plant) -> tuple[Stock, Array]:
        inventory = jnp.floor(jax.random.uniform(key, (ITEMS,), maxval=10.0))
        stock = Stock(inventory, jnp.zeros(MACHINES, jnp.int32), jnp.zeros((), jnp.int32), jnp.zeros(()))
        return stock, observe(stock, params)

    def step(key: PRNGKeyArray, state: Stock, action: Array, params: Plant) -> tuple[Stock, Timestep]:
        return exogenous(key, post_decision(state, action, params), params)

    space = Box(0.0, 3.0, (FEATURES,))
    spec = EnvironmentSpec("rows/lot-sizing", space, MultiDiscrete((ITEMS + 1,) * MACHINES), time_limit=HORIZON)
    return Environment(reset, step, params, spec, post_decision=post_decision, exogenous=exogenous)


class Steps(NamedTuple):
    """Episodes from their starts to their ends."""

    observation: Float[Array, "time env feature"]
    post: Float[Array, "time env feature"]
    action: Int[Array, "time env machine"]
    log_probability: Float[Array, "time env"]
    reward: Float[Array, "time env"]


def log_policy(actor: Layers, observation: Float[Array, "*batch feature"]) -> Float[Array, "*batch machine choice"]:
    """Log probabilities of every machine's choices."""
    logits = apply(actor, observation)
    return jax.nn.log_softmax(logits.reshape(*logits.shape[:-1], MACHINES, ITEMS + 1))


def taken(log_probabilities: Float[Array, "*batch machine choice"], action: Int[Array, "*batch machine"]) -> Array:
    """Of the action as a whole."""
    return jnp.take_along_axis(log_probabilities, action[..., None], -1)[..., 0].sum(-1)


def play(key: PRNGKeyArray, environment: Environment, actor: Layers) -> Steps:
    """One episode in each copy."""
    batched = vectorise(environment, ENVS, auto_reset="none")
    params, keys = environment.params, jax.random.split(key, 3)
    draws = batched.draw(keys[0], HORIZON, params)

    def body(carry: tuple, inputs: tuple) -> tuple[tuple, Steps]:
        state, observation = carry
        log_probabilities = log_policy(actor, observation)
        action = jax.random.categorical(inputs[1], log_probabilities)
        post = jax.vmap(environment.post_decision, (0, 0, None))(state, action, params)
        seen = jax.vmap(observe, (0, None))(post, params)
        chance = taken(log_probabilities, action)
        state, timestep = batched.step(inputs[0], state, action, params)
        return (state, timestep.observation), Steps(observation, seen, action, chance, timestep.reward[..., 0])

    first = batched.reset(keys[1], params)
    return jax.lax.scan(body, first, (draws, jax.random.split(keys[2], HORIZON)))[1]


def discounted(reward: Float[Array, "time env"]) -> Float[Array, "time env"]:
    """Rₜ = rₜ + γ Rₜ₊₁."""

    def body(after: Array, now: Array) -> tuple[Array, Array]:
        return now + DISCOUNT * after, now + DISCOUNT * after

    return jax.lax.scan(body, jnp.zeros(reward.shape[1]), reward, reverse=True)[1]


def baseline(params: dict[str, Layers], steps: Steps, dual: Bool[Array, ""]) -> Float[Array, "time env"]:
    """The lesser of both critics, which are fitted through it as in the authors' code, or the state's alone."""
    value, post = apply(params["critic"], steps.observation)[..., 0], apply(params["post"], steps.post)[..., 0]
    return jnp.where(dual, jnp.minimum(value, post), value)


def loss(
    params: dict[str, Layers], steps: Steps, returns: Array, advantage: Array, dual: Bool[Array, ""]
) -> Float[Array, ""]:
    """PPO's, with the squared error of what advantages are taken from."""
    log_probabilities = log_policy(params["actor"], steps.observation)
    ratio = taken(log_probabilities, steps.action) - steps.log_probability
    entropy = -(jnp.exp(log_probabilities) * log_probabilities).sum((-1, -2))
    error = (baseline(params, steps, dual) - returns) ** 2
    return jnp.mean(clipped_loss(ratio, advantage) + 0.5 * error - ENTROPY * entropy)


def run(dual: Bool[Array, ""], key: PRNGKeyArray) -> Float[Array, " iteration"]:
    """Mean cost of an episode along training."""
    plant_key, actor_key, critic_key, post_key, run_key = jax.random.split(key, 5)
    environment = lot_sizing(plant(plant_key))
    params = {
        "actor": layers(actor_key, (FEATURES, WIDTH, WIDTH, MACHINES * (ITEMS + 1))),
        "critic": layers(critic_key, (FEATURES, WIDTH, WIDTH, 1)),
        "post": layers(post_key, (FEATURES, WIDTH, WIDTH, 1)),
    }
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(3e-3))

    def body(carry: tuple, key: PRNGKeyArray) -> tuple[tuple, Array]:
        params, state = carry
        steps = play(key, environment, params["actor"])
        returns = discounted(steps.reward)
        # As the authors' code, which standardises returns of each batch.
        returns = (returns - returns.mean()) / (returns.std() + 1e-6)
        advantage = returns - baseline(params, steps, dual)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-6)
        for _ in range(EPOCHS):
            updates, state = optimiser.update(jax.grad(loss)(params, steps, returns, advantage, dual), state)
            params = optax.apply_updates(params, updates)
        return (params, state), steps.reward.sum(0).mean()

    return jax.lax.scan(body, (params, optimiser.init(params)), jax.random.split(run_key, ITERATIONS))[1]


def measure() -> Measured:
    """Mean returns of an episode over the last tenth of training."""
    keys = jax.random.split(jax.random.key(0), SEEDS)
    curves = np.asarray(jax.jit(jax.vmap(jax.vmap(run, (None, 0)), (0, None)))(jnp.array([True, False]), keys))
    (dual, plain), whole = curves[:, :, -ITERATIONS // 10 :].mean(2), curves.mean((1, 2))
    better, gain = np.mean(dual > plain), dual - plain
    note = (
        f"Return per episode from {curves[1, :, 0].mean():.1f} at the start; the same plant and seed for both: PDPPO "
        f"better at the end in {better:.2f} of {SEEDS}, by {gain.mean():.2f} (standard error "
        f"{gain.std(ddof=1) / np.sqrt(SEEDS):.2f}); along the whole run {whole[0]:.2f} and {whole[1]:.2f}. The "
        "post-decision state holds the action, so that a critic of it takes the action's own worth out of the "
        "advantage: no baseline of the policy gradient."
    )
    return Measured(dual, plain, above(gain, 0.0), note)


ROW = Row(
    "S026",
    "Post-Decision Proximal Policy Optimization with Dual Critic Networks",
    "Stochastic lot-sizing: return above PPO's, by seed (interval of the difference above 0)",
    "return of PDPPO",
    "return of PPO",
    measure,
)
