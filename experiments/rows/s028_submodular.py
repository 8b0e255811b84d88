"""SubPO: policy gradients of a submodular set function, by its marginal gains as rewards.

Prajapat et al., 2023 (arXiv 2307.13372), section 4: with F(s | τ) = F(τ ∪ {s}) − F(τ),

    ∇J = E[Σᵢ ∇log π(aᵢ | sᵢ) Σ_{j ≥ i} F(s_{j+1} | τ_{0:j})].

F is the weight of the cells of a grid within one cell of those visited. The environment's reward is a vector, the
marginal gain and the modular reward F({s}), so that SubPO and its modular counterpart are jaxrl's REINFORCE under two
weights. The optimum is found by trying all walks.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from experiments.rows.base import Measured, Row, above
from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Discrete
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

SIZE, ACTIONS, HORIZON = 6, 4, 8
MOVES = jnp.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
START = jnp.array([2, 2])
FIELDS, SEEDS = 6, 6
GREEDY_BOUND = 1.0 - np.exp(-1.0)


class Walk(NamedTuple):
    """Where one is, what is covered, and the steps gone."""

    cell: Int[Array, "2"]
    covered: Bool[Array, "row column"]
    steps: Int[Array, ""]


def seen_from(cell: Int[Array, "2"]) -> Bool[Array, "row column"]:
    """Cells within one of `cell`."""
    index = jnp.arange(SIZE)
    return (jnp.abs(index[:, None] - cell[0]) <= 1) & (jnp.abs(index - cell[1]) <= 1)


def move(walk: Walk, action: Int[Array, ""], weight: Float[Array, "row column"]) -> tuple[Walk, Float[Array, "2"]]:
    """One step, its marginal gain and its modular reward."""
    cell = jnp.clip(walk.cell + MOVES[action], 0, SIZE - 1)
    seen = seen_from(cell)
    gain = jnp.sum(weight * (seen & ~walk.covered))
    return Walk(cell, walk.covered | seen, walk.steps + 1), jnp.stack([gain, jnp.sum(weight * seen)])


def begin() -> Walk:
    """What the start covers is covered already."""
    return Walk(START, seen_from(START), jnp.zeros((), jnp.int32))


def coverage(weight: Float[Array, "row column"]) -> Environment:
    """The grid as an environment whose parameters are the weights of its cells."""

    def observe(walk: Walk) -> Array:
        return jnp.minimum(walk.steps, HORIZON - 1) * SIZE**2 + walk.cell[0] * SIZE + walk.cell[1]

    def reset(key: PRNGKeyArray, params: Array) -> tuple[Walk, Array]:
        return begin(), observe(begin())

    def step(key: PRNGKeyArray, state: Walk, action: Array, params: Array) -> tuple[Walk, Timestep]:
        walk, reward = move(state, action, params)
        return walk, Timestep(observe(walk), reward, walk.steps >= HORIZON, jnp.zeros((), bool), {})

    spec = EnvironmentSpec(
        "rows/coverage",
        Discrete(HORIZON * SIZE**2),
        Discrete(ACTIONS),
        num_objectives=2,
        time_limit=HORIZON,
        objective_names=("marginal_gain", "modular"),
    )
    return Environment(reset, step, weight, spec)


def gains(weight: Float[Array, "row column"], actions: Int[Array, " time"]) -> Float[Array, ""]:
    """F of a walk, beyond that of its start."""
    return jax.lax.scan(lambda walk, action: move(walk, action, weight), begin(), actions)[1][:, 0].sum()


def best_walk(weight: Float[Array, "row column"]) -> Float[Array, ""]:
    """The most that any walk covers."""
    walks = jnp.stack(jnp.meshgrid(*[jnp.arange(ACTIONS)] * HORIZON, indexing="ij"), -1).reshape(-1, HORIZON)
    blocks = walks.reshape(ACTIONS**2, -1, HORIZON)
    return jax.lax.map(lambda block: jax.vmap(gains, (None, 0))(weight, block).max(), blocks).max()


def greedy_walk(weight: Float[Array, "row column"]) -> Float[Array, ""]:
    """What the walk covers that takes the largest marginal gain in every step."""

    def body(walk: Walk, _: None) -> tuple[Walk, Array]:
        options, rewards = jax.vmap(move, (None, 0, None))(walk, jnp.arange(ACTIONS), weight)
        best = rewards[:, 0].argmax()
        return jax.tree.map(lambda leaf: leaf[best], options), rewards[best, 0]

    return jax.lax.scan(body, begin(), None, HORIZON)[1].sum()


def fields(key: PRNGKeyArray, count: int) -> Float[Array, "field row column"]:
    """Weights with four bumps each, which sum to 1."""
    centres, heights = jax.random.split(key)
    centre = jax.random.uniform(centres, (count, 4, 2), maxval=SIZE - 1.0)
    height = jax.random.uniform(heights, (count, 4), minval=0.3, maxval=1.0)
    cells = jnp.stack(jnp.mgrid[:SIZE, :SIZE], -1).astype(jnp.float32)
    square = jnp.sum((cells - centre[:, :, None, None]) ** 2, -1)
    weight = jnp.sum(height[:, :, None, None] * jnp.exp(-square / 1.5), axis=1) + 0.02
    return weight / weight.sum((1, 2), keepdims=True)


def covered_by_policies(
    weight: Float[Array, "field row column"], total_steps: int
) -> Float[np.ndarray, "2 field seed"]:
    """What learned policies cover on average, by marginal gains and by modular rewards."""
    settings = {"num_envs": 32, "num_steps": HORIZON, "network": "table", "learning_rate": 0.03, "discount": 1.0}
    settings |= {"num_evaluations": 1, "evaluation_episodes": 64, "evaluation_explores": True}
    trainer = jaxrl.trainer("reinforce", coverage(weight[0]), total_steps=total_steps, **settings)

    def run(weights: Array, weight: Array, key: PRNGKeyArray) -> Array:
        leaves = trainer.hyperparameters._replace(environment=weight, weights=weights)
        return trainer.run(key, leaves).evaluation.returns[-1, 0]

    over_fields = jax.vmap(jax.vmap(run, (None, None, 0)), (None, 0, None))
    keys = jax.random.split(jax.random.key(1), SEEDS)
    return np.asarray(jax.jit(jax.vmap(over_fields, (0, None, None)))(jnp.eye(2), weight, keys))


def measure() -> Measured:
    """Shares of the optimum, means over fields of each seed."""
    weight = fields(jax.random.key(0), FIELDS)
    best = np.asarray(jax.jit(lambda w: jax.lax.map(best_walk, w))(weight))
    greedy = np.asarray(jax.jit(jax.vmap(greedy_walk))(weight)) / best
    share = covered_by_policies(weight, 64_000) / best[:, None]
    submodular, modular = share.mean(1)
    note = (
        f"Shares of the best walk's coverage over {FIELDS} fields; the myopic greedy walk has {greedy.mean():.2f}; "
        f"SubPO's least of all fields and seeds is {share[0].min():.2f}, the greedy bound is {GREEDY_BOUND:.2f}."
    )
    holds = above(submodular, modular) and above(submodular, GREEDY_BOUND)
    return Measured(submodular, modular, holds, note)


ROW = Row(
    "S028",
    "Submodular Reinforcement Learning",
    "Grid coverage: marginal gains beat modular rewards and the greedy bound of 1 - 1/e of the optimum",
    "share of the optimum, SubPO",
    "share of the optimum, modular rewards",
    measure,
)
