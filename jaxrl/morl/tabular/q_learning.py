"""Multi-objective Q-learning with a scalarised argmax: the simple baseline."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment
from jaxrl.errors import require_name
from jaxrl.morl import archive
from jaxrl.morl.tabular.base import (
    Episode,
    Result,
    Tabular,
    as_arrays,
    epsilon,
    follow,
    interact,
    measured,
    reference_point,
)
from jaxrl.morl.tabular.model import require_divisible, require_finite, require_objectives, require_sizes, state_index
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = ["QLearningConfig", "QLearningHyperparameters", "QTables", "learn", "q_learning"]

_SCALARISATIONS = ("chebyshev", "linear")


@dataclass(frozen=True)
class QLearningConfig:
    """Static settings."""

    total_steps: int = 50_000
    """Environment steps."""
    num_records: int = 25
    """Evaluations of the greedy policy, each one episode; divides `total_steps`."""
    capacity: int = 16
    """Policies that the archive of evaluated ones holds."""
    scalarisation: str = "linear"
    """linear or chebyshev."""
    max_states: int = 1_000_000
    """More observations than this are an error."""


class QLearningHyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
        weights: of the objectives, on the simplex; sweep these for a front.
        reference: lower corner for hypervolumes; the environment's by default.
        environment: its parameters.
        learning_rate: step size in (0, 1].
        discount: γ in [0, 1].
        epsilon_start, epsilon_end: probability of a uniform action, first and last.
        exploration_fraction: share of the run over which ε falls, linearly.
        utopia_margin: how far the utopia point lies above the best value met (chebyshev).
    """

    weights: Float[Array, " objective"]
    reference: Float[Array, " objective"]
    environment: PyTree
    learning_rate: Float[Array, ""] | float = 0.3
    discount: Float[Array, ""] | float = 1.0
    epsilon_start: Float[Array, ""] | float = 1.0
    epsilon_end: Float[Array, ""] | float = 0.1
    exploration_fraction: Float[Array, ""] | float = 0.8
    utopia_margin: Float[Array, ""] | float = 0.1


class QTables(NamedTuple):
    """Vector-valued Q(s, a), and the best value met of every objective."""

    values: Float[Array, "state action objective"]
    best: Float[Array, " objective"]


def q_learning(environment: Environment, config: QLearningConfig = QLearningConfig()) -> Tabular:
    """Learns the policy of one weighting of the objectives; vmap `run` over `weights` for a front.

    Q(s, a) ← Q(s, a) + α (r + γ Q(s′, a*) − Q(s, a)) as vectors, a* = argmaxₐ′ f(Q(s′, a′)), with
    f(q) = w·q (linear), or f(q) = −maxᵢ wᵢ |zᵢ − qᵢ| (chebyshev) for a utopia point z that stays
    `utopia_margin` above the best value met. Van Moffaert et al., ADPRL 2013. Linear weights find
    convex parts of a front only; Chebyshev's argmax of values is a heuristic, because it is no
    linear function of returns and so has no Bellman equation: it may find concave parts, or dominated ones.

    The greedy policy is evaluated at every record by one episode, and `result.points` are the
    non-dominated of these; `steps` counts those episodes too, `diagnostics["evaluation_steps"]` them alone.

    Args:
        environment: with `Discrete` actions, finitely many observations and a time limit.
        config: static settings.

    Raises:
        ValueError: for another kind of environment, fewer than two objectives, or sizes out of range.
        UnknownNameError: for an unknown scalarisation.
    """
    name, spec = "q_learning", environment.spec
    require_name("scalarisation", config.scalarisation, _SCALARISATIONS)
    require_objectives(spec, name, 2)
    sizes = require_finite(spec, name, config.max_states)
    require_sizes(total_steps=config.total_steps, num_records=config.num_records, capacity=config.capacity)
    require_divisible(total_steps=config.total_steps, num_records=config.num_records)
    width = spec.num_objectives
    weights = jnp.full(width, 1.0 / width)
    defaults = QLearningHyperparameters(weights, reference_point(spec), environment.params)
    return Tabular(
        partial(_run, environment, config, sizes), partial(_execute, environment), as_arrays(defaults), config
    )


def learn(
    environment: Environment,
    scalarisation: str,
    total_steps: int,
    hyperparameters: QLearningHyperparameters,
    carry: tuple[PRNGKeyArray, PyTree, Int[Array, ""], QTables],
    steps: Int[Array, " time"],
) -> tuple[PRNGKeyArray, PyTree, Int[Array, ""], QTables]:
    """Takes one environment step and one update for each entry of `steps`, their numbers in the run."""

    def step(carry: PyTree, index: Array) -> tuple[PyTree, None]:
        key, state, number, tables = carry
        key, explore_key, step_key = jax.random.split(key, 3)
        draw, uniform = jax.random.uniform(explore_key, (2,))
        num_actions = tables.values.shape[1]
        greedy = jnp.argmax(_score(scalarisation, tables.values[number], tables.best, hyperparameters))
        explore = draw < epsilon(hyperparameters, index / total_steps)
        action = jnp.where(explore, (uniform * num_actions).astype(jnp.int32), greedy)
        state, onward, reached, reward, terminated = interact(
            environment, step_key, state, action, hyperparameters.environment
        )
        next_action = jnp.argmax(_score(scalarisation, tables.values[reached], tables.best, hyperparameters))
        follows = jnp.where(terminated, 0.0, hyperparameters.discount * tables.values[reached, next_action])
        old = tables.values[number, action]
        new = old + hyperparameters.learning_rate * (reward + follows - old)
        tables = QTables(tables.values.at[number, action].set(new), jnp.maximum(tables.best, new))
        return (key, state, onward, tables), None

    return jax.lax.scan(step, carry, steps)[0]


def _score(
    scalarisation: str,
    values: Float[Array, "*batch objective"],
    best: Float[Array, " objective"],
    hyperparameters: QLearningHyperparameters,
) -> Float[Array, "*batch"]:
    if scalarisation == "linear":
        return values @ hyperparameters.weights
    utopia = best + hyperparameters.utopia_margin
    return -jnp.max(hyperparameters.weights * jnp.abs(utopia - values), axis=-1)


def _run(
    environment: Environment,
    config: QLearningConfig,
    sizes: tuple[int, int],
    key: PRNGKeyArray,
    hyperparameters: QLearningHyperparameters,
) -> Result:
    width = environment.spec.num_objectives
    reset_key, learn_key, evaluation_key = jax.random.split(key, 3)
    state, observation = environment.reset(reset_key, hyperparameters.environment)
    start = state_index(environment.spec.observation)(observation)
    # The best value starts at that of the tables: nothing has been met yet.
    tables = QTables(jnp.zeros((*sizes, width)), jnp.zeros(width))
    held = archive.init(config.capacity, width, jnp.zeros((1, sizes[0]), jnp.int32))
    every_step = jnp.arange(config.total_steps).reshape(config.num_records, -1)

    def record(carry: PyTree, steps: Array) -> tuple[PyTree, tuple[Array, Array]]:
        running, held, taken = carry
        running = learn(environment, config.scalarisation, config.total_steps, hyperparameters, running, steps)
        tables = running[-1]
        actions = jnp.argmax(_score(config.scalarisation, tables.values, tables.best, hyperparameters), axis=-1)
        policy = actions.astype(jnp.int32)[None]
        key = jax.random.fold_in(evaluation_key, steps[0])
        episode = follow(environment, key, policy, hyperparameters.discount, hyperparameters.environment)
        held = archive.insert(held, episode.discounted_returns[None], policy[None])
        curve = measured(held.points, held.mask, hyperparameters.reference)
        taken = taken + episode.length
        return (running, held, taken), (curve, steps[-1] + 1 + taken)

    running = learn_key, state, start, tables
    (_, held, taken), (curve, steps) = jax.lax.scan(record, (running, held, jnp.int32(0)), every_step)
    return Result(held.points, held.mask, curve, steps, held.payload, {"evaluation_steps": taken})


def _execute(
    environment: Environment,
    key: PRNGKeyArray,
    result: Result,
    index: Int[Array, ""] | int,
    hyperparameters: QLearningHyperparameters,
) -> Episode:
    params = hyperparameters.environment
    return follow(environment, key, result.policy[index], hyperparameters.discount, params)
