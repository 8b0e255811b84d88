"""Multi-objective Q-learning with a scalarised argmax: the simple baseline."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.configs import check_config
from jaxrl.environments.base import Environment
from jaxrl.errors import require_name
from jaxrl.morl.tabular.acting import by_tables, play
from jaxrl.morl.tabular.base import Found, Tabular, as_arrays, epsilon, interact, reference_point
from jaxrl.morl.tabular.model import require_finite, require_objectives, require_sizes, require_steps, state_index
from jaxrl.numerics import archive
from jaxrl.ranges import COUNT, NOT_NEGATIVE, PROBABILITY
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = ["QLearningConfig", "QLearningHyperparameters", "QTables", "learn", "q_learning"]

_SCALARISATIONS = ("chebyshev", "linear")


@dataclass(frozen=True)
class QLearningConfig:
    """Static settings."""

    total_steps: Annotated[int, COUNT] = 50_000
    """Environment steps of learning, rounded down to whole iterations."""
    num_evaluations: Annotated[int, COUNT] = 25
    """Iterations, each ending with one episode of the greedy policy."""
    capacity: Annotated[int, COUNT] = 16
    """Policies that the archive of evaluated ones holds."""
    scalarisation: str = "linear"
    """linear or chebyshev."""
    max_states: Annotated[int, COUNT] = 1_000_000
    """More observations than this are an error."""

    __post_init__ = check_config


class QLearningHyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
        weights: of the objectives, on the simplex; sweep these for a front.
        reference: lower corner for hypervolumes; the environment's by default.
        environment: its parameters.
        learning_rate: step size in (0, 1].
        discount: γ in [0, 1].
        epsilon_start: probability of a uniform action at first.
        epsilon_end: the same at last.
        exploration_fraction: share of the run over which ε falls, linearly.
        utopia_margin: how far the utopia point lies above the best value met (chebyshev).
    """

    weights: Float[Array, " objective"] | None = None
    reference: Float[Array, " objective"] | None = None
    environment: PyTree = None
    learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.3
    discount: Annotated[Float[Array, ""] | float, PROBABILITY] = 1.0
    epsilon_start: Annotated[Float[Array, ""] | float, PROBABILITY] = 1.0
    epsilon_end: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.1
    exploration_fraction: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.8
    utopia_margin: Float[Array, ""] | float = 0.1


class QTables(NamedTuple):
    """Vector-valued Q(s, a), and the best value met of every objective."""

    values: Float[Array, "state action objective"]
    best: Float[Array, " objective"]


class _Run(NamedTuple):
    """A run: what learning carries, the evaluated policies, and steps of either kind."""

    learning: tuple[PRNGKeyArray, PyTree, Int[Array, ""], QTables]
    held: archive.Archive
    key: PRNGKeyArray
    learned: Int[Array, ""]
    evaluated: Int[Array, ""]


def q_learning(environment: Environment, config: QLearningConfig = QLearningConfig()) -> Tabular:
    """Learns the policy of one weighting of the objectives; vmap `run` over `weights` for a front.

    Q(s, a) ← Q(s, a) + α (r + γ Q(s′, a*) − Q(s, a)) as vectors, a* = argmaxₐ′ f(Q(s′, a′)), with
    f(q) = w·q (linear), or f(q) = −maxᵢ wᵢ |zᵢ − qᵢ| (chebyshev) for a utopia point z that stays
    `utopia_margin` above the best value met. Van Moffaert et al., ADPRL 2013. Linear weights find
    convex parts of a front only; Chebyshev's argmax of values is a heuristic, because it is no
    linear function of returns and so has no Bellman equation: it may find concave parts, or dominated ones.

    The greedy policy is evaluated after every iteration by one episode, and `result.points` are the
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
    require_sizes(num_evaluations=config.num_evaluations, capacity=config.capacity)
    require_steps(name, config.num_evaluations, config.total_steps, "for one in each iteration")
    length = config.total_steps // config.num_evaluations
    width = spec.num_objectives
    weights = jnp.full(width, 1.0 / width)
    defaults = QLearningHyperparameters(weights, reference_point(spec), environment.params)
    return Tabular(
        init=partial(_init, environment, config, sizes),
        step=partial(_iterate, environment, config, length),
        steps=lambda run: run.learned + run.evaluated,
        front=lambda run, _: Found(run.held.points, run.held.mask, None),
        policy=lambda run, _, index: run.held.payload[index][None],
        agent=by_tables(spec),
        environment=environment,
        hyperparameters=as_arrays(defaults),
        config=config,
        iteration_steps=np.full(config.num_evaluations, length + spec.time_limit),
        diagnostics=("evaluation_steps",),
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


def _init(
    environment: Environment,
    config: QLearningConfig,
    sizes: tuple[int, int],
    key: PRNGKeyArray,
    hyperparameters: QLearningHyperparameters,
) -> _Run:
    width = environment.spec.num_objectives
    reset_key, learn_key, evaluation_key = jax.random.split(key, 3)
    state, observation = environment.reset(reset_key, hyperparameters.environment)
    start = state_index(environment.spec.observation)(observation)
    # The best value starts at that of the tables: nothing has been met yet.
    tables = QTables(jnp.zeros((*sizes, width)), jnp.zeros(width))
    held = archive.init(config.capacity, width, jnp.zeros((1, sizes[0]), jnp.int32))
    return _Run((learn_key, state, start, tables), held, evaluation_key, jnp.int32(0), jnp.int32(0))


def _iterate(
    environment: Environment,
    config: QLearningConfig,
    length: int,
    run: _Run,
    hyperparameters: QLearningHyperparameters,
    index: Int[Array, ""],
) -> tuple[_Run, dict[str, Array]]:
    steps, total = index * length + jnp.arange(length), length * config.num_evaluations
    learning = learn(environment, config.scalarisation, total, hyperparameters, run.learning, steps)
    tables = learning[-1]
    actions = jnp.argmax(_score(config.scalarisation, tables.values, tables.best, hyperparameters), axis=-1)
    policy = actions.astype(jnp.int32)[None]
    key, actor = jax.random.fold_in(run.key, index), by_tables(environment.spec)
    discount, params = hyperparameters.discount, hyperparameters.environment
    episode = play(environment, key, actor, policy[None], discount, params)
    held = archive.insert(run.held, episode.discounted_returns[None], policy[None])
    run = _Run(learning, held, run.key, run.learned + length, run.evaluated + episode.length)
    return run, {"evaluation_steps": run.evaluated}
