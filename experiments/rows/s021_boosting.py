"""GBRL: boosted trees as policy and value, one structure for both.

Fuhrer et al., 2024 (arXiv 2407.08250), section 4: the logits and the value of an observation are sums over trees,
θ(o) = Σₖ η ⊙ leafₖ(o), with η one step size for the actor and one for the critic. Each update of PPO fits one tree to
the functional gradient −∂L/∂θ(oᵢ) of a batch: splits are the candidates (here category = value) with the best score
Σ_leaf ‖Σ g‖² / n over both outputs together, and leaves hold the mean gradient. Trees are oblivious (one split a level)
and of fixed depth, and the ensemble has a fixed capacity, so that everything is compiled.

The task has categorical observations: eight codes of six values, two of which pick the rule by which two others name
the best action. PPO's network, with the same loop and loss, sees the codes as numbers, or as one-hot vectors.
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
RATES = (0.5, 0.2)  # η of actor and critic


class Forest(NamedTuple):
    """Trees of depth `DEPTH`; those from `count` on hold zeros.

    Attributes:
        split: which field and which value each level asks for.
        leaf: logits and value of each leaf, before the step sizes.
    """

    split: Int[Array, "tree level 2"]
    leaf: Float[Array, "tree leaf output"]
    count: Int[Array, ""]


def empty() -> Forest:
    """No trees."""
    zeros = jnp.zeros((CAPACITY, 2**DEPTH, ACTIONS + 1))
    return Forest(jnp.zeros((CAPACITY, DEPTH, 2), jnp.int32), zeros, jnp.zeros((), jnp.int32))


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
    return total * jnp.array([RATES[0]] * ACTIONS + [RATES[1]])


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
    return Forest(forest.split.at[at].set(split), forest.leaf.at[at].set(leaf), at + 1)


class Batch(NamedTuple):
    """One-step episodes: what was seen and done, how likely that was, and what it paid."""

    observation: Int[Array, "sample field"]
    action: Int[Array, " sample"]
    log_probability: Float[Array, " sample"]
    reward: Float[Array, " sample"]


def right_action(rule: Int[Array, "2 value"], observation: Int[Array, "*batch field"]) -> Int[Array, "*batch"]:
    """Two codes decide which of two others counts."""
    second = (observation[..., 0] < VALUES // 2) == (observation[..., 1] < VALUES // 2)
    code = jnp.where(second, observation[..., 2], observation[..., 3])
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

    return lambda key: empty(), predict, update


def network_learner(one_hot: bool, rate: float = 3e-3, width: int = 64) -> tuple:
    """(init, outputs, update) of two tanh layers under Adam."""
    optimiser = optax.adam(rate)
    first = FIELDS * (VALUES if one_hot else 1)

    def init(key: PRNGKeyArray) -> tuple[PyTree, PyTree]:
        params = layers(key, (first, width, width, ACTIONS + 1))
        return params, optimiser.init(params)

    def outputs(state: tuple, observation: Array) -> Array:
        x = (observation - 2.5) / 2.5
        if one_hot:
            x = jax.nn.one_hot(observation, VALUES).reshape(len(observation), -1)
        return apply(state[0], x)

    def update(state: tuple, batch: Batch) -> tuple:
        slope = jax.grad(lambda params: loss(outputs((params, ()), batch.observation), batch) / BATCH)(state[0])
        updates, inner = optimiser.update(slope, state[1])
        return optax.apply_updates(state[0], updates), inner

    return init, outputs, update


def run(learner: tuple, epochs: int, key: PRNGKeyArray) -> Float[Array, " iteration"]:
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

    return jax.lax.scan(body, init(init_key), jax.random.split(run_key, ITERATIONS))[1]


def measure() -> Measured:
    """Mean reward over the last tenth of training."""
    keys = jax.random.split(jax.random.key(0), SEEDS)
    learners = {
        "trees": (forest_learner(), EPOCHS),
        "numbers": (network_learner(False), 8),
        "one-hot": (network_learner(True), 8),
    }
    curves = {name: np.asarray(jax.jit(jax.vmap(partial(run, *one)))(keys)) for name, one in learners.items()}
    last = {name: curve[:, -ITERATIONS // 10 :].mean(1) for name, curve in curves.items()}
    half = {name: curve[:, ITERATIONS // 2 - 10 : ITERATIONS // 2].mean() for name, curve in curves.items()}
    best = max(("numbers", "one-hot"), key=lambda name: last[name].mean())
    note = (
        f"Share of right actions at the end (half way): trees {last['trees'].mean():.3f} ({half['trees']:.3f}), "
        "network on "
        f"numbers {last['numbers'].mean():.3f} ({half['numbers']:.3f}), on one-hot codes {last['one-hot'].mean():.3f} "
        f"({half['one-hot']:.3f}); chance {1 / ACTIONS:.2f}. {CAPACITY} trees of depth {DEPTH}; {EPOCHS} trees a batch "
        f"of {BATCH}, 8 gradient steps of the network."
    )
    return Measured(last["trees"], last[best], above(last["trees"], last["numbers"]), note)


ROW = Row(
    "S021",
    "Gradient Boosting Reinforcement Learning",
    "Categorical observations: boosted trees above PPO's network on the same codes (the baseline is the better "
    "encoding)",
    "share of right actions, trees",
    "share of right actions, better network",
    measure,
)
