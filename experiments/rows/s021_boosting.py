"""GBRL: boosted trees as policy and value, one structure for both.

Fuhrer et al., 2024 (arXiv 2407.08250), section 4: the logits and the value of an observation are sums over trees,
θ(o) = Σₖ η ⊙ leafₖ(o), with η one step size for the actor and one for the critic. Each update of PPO fits one tree to
the functional gradient −∂L/∂θ(oᵢ) of a batch: splits are the candidates (here category = value) with the best score
Σ_leaf ‖Σ g‖² / n over both outputs together, and leaves hold the mean gradient. Trees are oblivious (one split a level)
and of fixed depth, and the ensemble has a fixed capacity, so that everything is compiled.

The task has categorical observations: eight codes of six values, one of which says which of two others names the best
action. PPO's network, with the same loop and loss, sees the codes as numbers, or as one-hot vectors.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.rows.base import Measured, Row, above
from experiments.rows.network import apply, clipped_loss, layers
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

FIELDS, VALUES, ACTIONS, SEEDS = 8, 6, 4, 6
DEPTH, BATCH, ITERATIONS, EPOCHS = 4, 512, 120, 2
CAPACITY = ITERATIONS * EPOCHS
CRITIC_RATE = 0.3
FOREST_RATES, NETWORK_RATES = (0.5, 1.5, 4.0), (1e-3, 3e-3, 1e-2)  # each learner's best is shown


class Forest(NamedTuple):
    """Trees of depth `DEPTH`; those from `count` on hold zeros.

    Attributes:
        split: which field and which value each level asks for.
        leaf: logits and value of each leaf, before the step sizes.
        rate: η of the actor.
    """

    split: Int[Array, "tree level 2"]
    leaf: Float[Array, "tree leaf output"]
    count: Int[Array, ""]
    rate: Float[Array, ""]


def empty(rate: Float[Array, ""] | float) -> Forest:
    """No trees."""
    zeros = jnp.zeros((CAPACITY, 2**DEPTH, ACTIONS + 1))
    none = jnp.zeros((), jnp.int32)
    return Forest(jnp.zeros((CAPACITY, DEPTH, 2), jnp.int32), zeros, none, jnp.asarray(rate))


def leaf_of(split: Int[Array, "level 2"], observation: Int[Array, "sample field"]) -> Int[Array, " sample"]:
    """The leaf that each observation comes to, one bit a level."""
    bits = observation[:, split[:, 0]] == split[:, 1]
    return bits @ (2 ** jnp.arange(len(split)))


def predict(forest: Forest, observation: Int[Array, "sample field"]) -> Float[Array, "sample output"]:
    """Logits, and the value last."""

    def body(total: Array, tree: tuple) -> tuple[Array, None]:
        split, leaf = tree
        return total + leaf[leaf_of(split, observation)], None

    total = jax.lax.scan(body, jnp.zeros((len(observation), ACTIONS + 1)), (forest.split, forest.leaf))[0]
    return total * jnp.where(jnp.arange(ACTIONS + 1) < ACTIONS, forest.rate, CRITIC_RATE)


def grow(
    observation: Int[Array, "sample field"], gradient: Float[Array, "sample output"]
) -> tuple[Int[Array, "level 2"], Float[Array, "leaf output"]]:
    """One tree: its splits, chosen level by level, and the mean gradients of its leaves."""
    asks = (observation[:, :, None] == jnp.arange(VALUES)).reshape(len(observation), -1).astype(jnp.float32)
    # Actor and critic count alike in the score, whatever their units.
    scaled = gradient / (jnp.sqrt(jnp.mean(gradient**2, axis=0)) + 1e-8)
    what = jnp.concatenate([scaled, jnp.ones((len(scaled), 1))], axis=1)
    split, where = jnp.zeros((DEPTH, 2), jnp.int32), jnp.zeros(len(observation), jnp.int32)
    for level in range(DEPTH):
        at = jax.nn.one_hot(where, 2**level)
        whole = at.T @ what
        inside = jnp.einsum("nl,nq,no->lqo", at, asks, what)
        outside = whole[:, None] - inside
        score = sum((part[..., :-1] ** 2).sum(-1) / jnp.maximum(part[..., -1], 1.0) for part in (inside, outside))
        chosen = score.sum(0).argmax()
        split = split.at[level].set(jnp.stack([chosen // VALUES, chosen % VALUES]))
        where = where + 2**level * asks[:, chosen].astype(jnp.int32)
    at = jax.nn.one_hot(where, 2**DEPTH)
    return split, (at.T @ gradient) / jnp.maximum(at.sum(0), 1.0)[:, None]


def add(forest: Forest, split: Int[Array, "level 2"], leaf: Float[Array, "leaf output"]) -> Forest:
    """The forest with one more tree."""
    at = forest.count
    return forest._replace(split=forest.split.at[at].set(split), leaf=forest.leaf.at[at].set(leaf), count=at + 1)


class Batch(NamedTuple):
    """One-step episodes: what was seen and done, how likely that was, and what it paid."""

    observation: Int[Array, "sample field"]
    action: Int[Array, " sample"]
    log_probability: Float[Array, " sample"]
    reward: Float[Array, " sample"]


def right_action(rule: Int[Array, "2 value"], observation: Int[Array, "*batch field"]) -> Int[Array, "*batch"]:
    """The first code decides which of two others counts."""
    second = observation[..., 0] < VALUES // 2
    code = jnp.where(second, observation[..., 1], observation[..., 2])
    return rule[second.astype(jnp.int32), code]


def loss(outputs: Float[Array, "sample output"], batch: Batch) -> Float[Array, ""]:
    """PPO's clipped loss, half the squared error of the value, and a little entropy; the sum over the batch."""
    log_policy = jax.nn.log_softmax(outputs[:, :-1])
    ratio = jnp.take_along_axis(log_policy, batch.action[:, None], 1)[:, 0] - batch.log_probability
    advantage = batch.reward - jax.lax.stop_gradient(outputs[:, -1])
    entropy = -(jnp.exp(log_policy) * log_policy).sum(-1)
    policy = clipped_loss(ratio, advantage)
    return jnp.sum(policy + 0.5 * (outputs[:, -1] - batch.reward) ** 2 - 0.005 * entropy)


def forest_learner() -> tuple:
    """(init, outputs, update) of the trees."""

    def update(forest: Forest, batch: Batch) -> Forest:
        gradient = -jax.grad(loss)(predict(forest, batch.observation), batch)
        return add(forest, *grow(batch.observation, gradient))

    return lambda key, rate: empty(rate), predict, update


def network_learner(one_hot: bool, width: int = 64) -> tuple:
    """(init, outputs, update) of two tanh layers under Adam."""
    optimiser = optax.scale_by_adam()
    first = FIELDS * (VALUES if one_hot else 1)

    def init(key: PRNGKeyArray, rate: Float[Array, ""]) -> tuple[PyTree, PyTree, Array]:
        params = layers(key, (first, width, width, ACTIONS + 1))
        return params, optimiser.init(params), rate

    def outputs(state: tuple, observation: Array) -> Array:
        x = (observation - 2.5) / 2.5
        if one_hot:
            x = jax.nn.one_hot(observation, VALUES).reshape(len(observation), -1)
        return apply(state[0], x)

    def update(state: tuple, batch: Batch) -> tuple:
        slope = jax.grad(lambda params: loss(outputs((params,), batch.observation), batch) / BATCH)(state[0])
        updates, inner = optimiser.update(slope, state[1])
        return optax.tree.add(state[0], optax.tree.scale(-state[2], updates)), inner, state[2]

    return init, outputs, update


def run(learner: tuple, epochs: int, rate: Float[Array, ""], key: PRNGKeyArray) -> Float[Array, " iteration"]:
    """Mean reward of the batches along training; 1 for the right action, with a tenth of the rewards noise."""
    init, outputs, update = learner
    rule_key, init_key, run_key = jax.random.split(key, 3)
    rule = jax.random.randint(rule_key, (2, VALUES), 0, ACTIONS)

    def body(state: PyTree, key: PRNGKeyArray) -> tuple[PyTree, Array]:
        keys = jax.random.split(key, 3)
        observation = jax.random.randint(keys[0], (BATCH, FIELDS), 0, VALUES)
        log_policy = jax.nn.log_softmax(outputs(state, observation)[:, :-1])
        action = jax.random.categorical(keys[1], log_policy)
        right = (action == right_action(rule, observation)).astype(jnp.float32)
        reward = right + 0.3 * jax.random.normal(keys[2], right.shape)
        chosen = jnp.take_along_axis(log_policy, action[:, None], 1)[:, 0]
        batch = Batch(observation, action, chosen, reward)
        for _ in range(epochs):
            state = update(state, batch)
        return state, right.mean()

    return jax.lax.scan(body, init(init_key, rate), jax.random.split(run_key, ITERATIONS))[1]


def measure() -> Measured:
    """Mean reward over the last tenth of training."""
    keys = jax.random.split(jax.random.key(0), SEEDS)
    learners = {
        "trees": (forest_learner(), EPOCHS, FOREST_RATES),
        "numbers": (network_learner(False), 8, NETWORK_RATES),
        "one-hot": (network_learner(True), 8, NETWORK_RATES),
    }
    curves, last = {}, {}
    for name, (learner, epochs, rates) in learners.items():
        mapped = jax.vmap(jax.vmap(partial(run, learner, epochs), (None, 0)), (0, None))
        found = np.asarray(jax.jit(mapped)(jnp.array(rates), keys))
        ends = found[..., -ITERATIONS // 10 :].mean(-1)
        curves[name], last[name] = found[ends.mean(1).argmax()], ends[ends.mean(1).argmax()]
    half = {name: curve[:, ITERATIONS // 2 - 10 : ITERATIONS // 2].mean() for name, curve in curves.items()}
    best = max(("numbers", "one-hot"), key=lambda name: last[name].mean())
    note = (
        f"Share of right actions at the end (half way): trees {last['trees'].mean():.3f} ({half['trees']:.3f}), "
        f"network on numbers {last['numbers'].mean():.3f} ({half['numbers']:.3f}), on one-hot codes "
        f"{last['one-hot'].mean():.3f} ({half['one-hot']:.3f}), each at the best of three step sizes; chance "
        f"{1 / ACTIONS:.2f}. {CAPACITY} trees of depth {DEPTH}; {EPOCHS} trees a batch of {BATCH}, 8 gradient steps "
        "of the network."
    )
    holds = above(last["trees"], last["numbers"]) and last["trees"].mean() > last[best].mean() - 0.02
    return Measured(last["trees"], last[best], holds, note)


ROW = Row(
    "S021",
    "Gradient Boosting Reinforcement Learning",
    "Categorical observations: boosted trees above PPO's network on the same codes, and no more than 0.02 below it "
    "on one-hot codes",
    "share of right actions, trees",
    "share of right actions, better network",
    measure,
)
