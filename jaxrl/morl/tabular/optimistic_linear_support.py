"""Optimistic linear support: the convex coverage set by asking for the best policy at corner weights."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.configs import check_config
from jaxrl.environments.base import Environment
from jaxrl.errors import require_name
from jaxrl.morl.pareto import non_dominated
from jaxrl.morl.tabular.acting import by_tables, play
from jaxrl.morl.tabular.base import Found, Tabular, as_arrays, at_most_once, reference_point
from jaxrl.morl.tabular.corner_weights import corner_weights, upper_bound
from jaxrl.morl.tabular.model import (
    Model,
    num_states,
    require_finite,
    require_objectives,
    require_steps,
    state_index,
    tabulate,
)
from jaxrl.morl.tabular.planning import model_expectation, value_iteration
from jaxrl.morl.tabular.q_learning import QLearningHyperparameters, QTables, learn
from jaxrl.ranges import COUNT, NOT_NEGATIVE, PROBABILITY
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray, PyTree

__all__ = ["OLSConfig", "OLSHyperparameters", "optimistic_linear_support"]

# Weights nearer than this count as one.
_SAME_WEIGHTS = 1e-5
# Environment steps of a query that learns, where no budget is given.
_STEPS_PER_QUERY = 50_000
_SOLVERS = ("q_learning", "value_iteration")

# From a key, weights and what the solver remembers: a return vector, the action by steps taken and
# state, the environment steps it took, and what it remembers now.
_Solver = Callable[[PRNGKeyArray, Array, PyTree], tuple[Array, Array, Array, PyTree]]


@dataclass(frozen=True)
class OLSConfig:
    """Static settings."""

    solver: str = "value_iteration"
    """value_iteration (exact, on tables of the environment) or q_learning (from steps)."""
    max_queries: Annotated[int, COUNT] = 32
    """Weights that are solved at most, the corners of the simplex included."""
    total_steps: Annotated[int, COUNT] | None = None
    """Environment steps at most: of filling tables (value_iteration; default as many as it needs), or of all queries
    together (q_learning; default 50000 for each)."""
    max_states: Annotated[int, COUNT] = 20_000
    """More observations than this are an error."""

    __post_init__ = check_config


class OLSHyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
        reference: lower corner for hypervolumes; the environment's by default.
        environment: its parameters, for q_learning; () for value_iteration, whose tables are of the defaults.
        learner: of the q_learning solver, without what the search sets; () for value_iteration.
        tolerance: stop as soon as no weights can gain more.
        discount: γ in [0, 1].
    """

    reference: Float[Array, " objective"] | None = None
    environment: PyTree = None
    learner: QLearningHyperparameters | tuple[()] | None = None
    tolerance: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.0
    discount: Annotated[Float[Array, ""] | float, PROBABILITY] = 1.0


class _Search(NamedTuple):
    key: PRNGKeyArray
    memory: PyTree
    query: Int[Array, ""]
    weights: Float[Array, "query objective"]
    values: Float[Array, " query"]
    points: Float[Array, "query objective"]
    policies: Int[Array, "query time state"]
    steps: Int[Array, ""]
    next_weights: Float[Array, " objective"]
    gap: Float[Array, ""]


def optimistic_linear_support(environment: Environment, config: OLSConfig = OLSConfig()) -> Tabular:
    """Finds the convex coverage set of two or three objectives, with a bound on what any weights still gain.

    V(w) = max_v w·v over the points found is convex and piecewise linear, so the most that is missing
    anywhere, max_w V*(w) − V(w), is missing at one of its corner weights. After the corners of the
    simplex, the corner weights with the largest optimistic improvement V̄(w) − V(w) are solved next,
    V̄ being the linear-programming bound of `corner_weights.upper_bound`. The search ends when no
    improvement exceeds `tolerance`, or at `max_queries`; `diagnostics["gap"]` is the largest left,
    a guarantee for exact solvers. Every query is an iteration. Roijers et al., AAMAS 2014; Roijers, 2016, algorithm 5.

    Everything runs in one compiled program, corner weights and bounds too. Points between two others
    in a concave stretch of the front are in no convex coverage set: see `ipro_2d` or `pareto_q_learning`.

    With `solver="q_learning"` each query goes on from the tables of the one before (Roijers et al.,
    2015) with ε starting afresh, and its point is one greedy episode's discounted return; the
    gap then rests on what was learned and guarantees nothing. With `value_iteration`, `steps`
    is constant: the transitions that were tabulated.

    Args:
        environment: finite, with two or three objectives and a time limit; without randomness for
            `value_iteration`.
        config: static settings.

    Raises:
        ValueError: for another kind of environment or number of objectives, or sizes out of range.
        UnknownNameError: for an unknown solver.
    """
    name, spec = "optimistic_linear_support", environment.spec
    require_name("solver", config.solver, _SOLVERS)
    width = require_objectives(spec, name, 2, 3)
    if config.max_queries <= width:
        raise ValueError(f"max_queries must exceed the {width} corners of the simplex, got {config.max_queries}")
    require_finite(spec, name, config.max_states)
    model = tabulate(environment, name, config.max_states) if config.solver == "value_iteration" else None
    defaults = OLSHyperparameters(reference_point(spec), (), ())
    if model is None:
        # The last step of a query is one episode of its policy.
        length = _steps_per_query(config, spec.time_limit)
        iteration_steps = np.full(config.max_queries, length + spec.time_limit)
        learner = QLearningHyperparameters((), (), (), discount=())
        defaults = defaults._replace(environment=environment.params, learner=learner)
    else:
        length = 0
        require_steps(name, model.num_steps, config.total_steps, "to fill its tables")
        iteration_steps = np.append(model.num_steps, np.zeros(config.max_queries - 1, int))
    return Tabular(
        init=partial(_init, environment, config, model),
        step=partial(_iterate, environment, config, model, length),
        steps=lambda search: search.steps,
        front=partial(_found, config),
        policy=lambda search, _, index: search.policies[index][None],
        agent=by_tables(spec),
        environment=environment,
        hyperparameters=as_arrays(defaults),
        config=config,
        iteration_steps=iteration_steps,
        diagnostics=("gap", "queries"),
    )


def _steps_per_query(config: OLSConfig, time_limit: int) -> int:
    """Of learning; an episode of the policy learnt follows."""
    if config.total_steps is None:
        return _STEPS_PER_QUERY
    needed = config.max_queries * (time_limit + 1)
    reason = f"for {config.max_queries} queries that learn and play one episode each"
    require_steps("optimistic_linear_support", needed, config.total_steps, reason)
    return config.total_steps // config.max_queries - time_limit


def _init(
    environment: Environment,
    config: OLSConfig,
    model: Model | None,
    key: PRNGKeyArray,
    hyperparameters: OLSHyperparameters,
) -> _Search:
    count, width = config.max_queries, environment.spec.num_objectives
    states = num_states(environment.spec.observation)
    memory, horizon = (), environment.spec.time_limit
    if model is None:
        memory, horizon = QTables(jnp.zeros((states, environment.spec.action.n, width)), jnp.zeros(width)), 1
    nothing = jnp.zeros((count, width))
    return _Search(
        key=key,
        memory=memory,
        query=jnp.int32(0),
        weights=nothing,
        values=jnp.full(count, jnp.inf),
        points=nothing,
        policies=jnp.zeros((count, horizon, states), jnp.int32),
        steps=jnp.int32(0 if model is None else model.num_steps),
        next_weights=jnp.eye(width)[0],
        gap=jnp.float32(jnp.inf),
    )


def _iterate(
    environment: Environment,
    config: OLSConfig,
    model: Model | None,
    length: int,
    search: _Search,
    hyperparameters: OLSHyperparameters,
    index: Int[Array, ""],
) -> tuple[_Search, dict[str, Array]]:
    """One query, where any weights may gain more than the tolerance."""
    if model is None:
        solve = partial(_learn, environment, length, hyperparameters)
    else:
        solve = partial(_plan, model, hyperparameters.discount, environment.spec.time_limit)

    def unfinished(search: _Search) -> Bool[Array, ""]:
        return (search.query < config.max_queries) & (search.gap > hyperparameters.tolerance)

    search = at_most_once(unfinished, partial(_ask, solve), search)
    return search, {"gap": search.gap, "queries": search.query}


def _found(config: OLSConfig, search: _Search, hyperparameters: OLSHyperparameters) -> Found:
    asked = jnp.arange(config.max_queries) < search.query
    return Found(search.points, non_dominated(search.points, asked), search.weights)


def _ask(solve: _Solver, search: _Search) -> _Search:
    """Solves the next weights, then looks for the ones after them."""
    corners = jnp.eye(search.points.shape[-1])
    key, solver_key = jax.random.split(search.key)
    point, policy, steps, memory = solve(solver_key, search.next_weights, search.memory)
    query = search.query
    weights = search.weights.at[query].set(search.next_weights)
    values = search.values.at[query].set(search.next_weights @ point)
    points = search.points.at[query].set(point)
    known = jnp.arange(values.size) <= query
    candidates, valid = corner_weights(points, non_dominated(points, known))
    reached = jnp.max(jnp.where(known, candidates @ points.T, -jnp.inf), axis=-1)
    distance = jnp.max(jnp.abs(candidates[:, None] - weights[None]), axis=-1)
    fresh = valid & ~jnp.any(known & (distance < _SAME_WEIGHTS), axis=-1)
    bounds = upper_bound(candidates, weights, values, known)
    improvement = jnp.where(fresh, jnp.maximum(bounds - reached, 0.0), -jnp.inf)
    best = jnp.argmax(improvement)
    # The simplex's own corners come first: the bound rests on them.
    started = query + 1 >= corners.shape[0]
    gap = jnp.where(started, jnp.maximum(improvement[best], 0.0), jnp.inf)
    onward = jnp.where(started, candidates[best], corners[jnp.minimum(query + 1, corners.shape[0] - 1)])
    policies, taken = search.policies.at[query].set(policy), search.steps + steps
    return _Search(key, memory, query + 1, weights, values, points, policies, taken, onward, gap)


def _plan(
    model: Model, discount: Float[Array, ""], horizon: int, key: PRNGKeyArray, weights: Array, memory: PyTree
) -> tuple[Array, Array, Array, PyTree]:
    del key  # Planning is not random.
    values, actions = value_iteration(model_expectation(model), model.reward, weights, discount, horizon)
    return values[model.start], actions, jnp.int32(0), memory


def _learn(
    environment: Environment,
    length: int,
    hyperparameters: OLSHyperparameters,
    key: PRNGKeyArray,
    weights: Float[Array, " objective"],
    memory: QTables,
) -> tuple[Array, Array, Array, QTables]:
    discount, params = hyperparameters.discount, hyperparameters.environment
    learner = hyperparameters.learner._replace(weights=weights, discount=discount, environment=params)
    reset_key, learn_key, evaluation_key = jax.random.split(key, 3)
    state, observation = environment.reset(reset_key, params)
    start = learn_key, state, state_index(environment.spec.observation)(observation), memory
    tables = learn(environment, "linear", length, learner, start, jnp.arange(length))[-1]
    actions = jnp.argmax(tables.values @ weights, axis=-1)[None]
    episode = play(environment, evaluation_key, by_tables(environment.spec), actions[None], discount, params)
    return episode.discounted_returns, actions, length + episode.length, tables
