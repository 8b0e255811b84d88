"""Optimistic linear support: the convex coverage set by asking for the best policy at corner weights."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment
from jaxrl.errors import require_name
from jaxrl.morl.pareto import non_dominated
from jaxrl.morl.tabular.base import Episode, Result, Tabular, as_arrays, follow, measured, reference_point
from jaxrl.morl.tabular.corner_weights import corner_weights, upper_bound
from jaxrl.morl.tabular.model import (
    Model,
    num_states,
    require_finite,
    require_objectives,
    require_sizes,
    state_index,
    tabulate,
)
from jaxrl.morl.tabular.planning import model_expectation, value_iteration
from jaxrl.morl.tabular.q_learning import QLearningHyperparameters, QTables, learn
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = ["OLSConfig", "OLSHyperparameters", "optimistic_linear_support"]

# Weights nearer than this count as one.
_SAME_WEIGHTS = 1e-5
_SOLVERS = ("q_learning", "value_iteration")

# From a key, weights and what the solver remembers: a return vector, the action by steps taken and
# state, the environment steps it took, and what it remembers now.
_Solver = Callable[[PRNGKeyArray, Array, PyTree], tuple[Array, Array, Array, PyTree]]


@dataclass(frozen=True)
class OLSConfig:
    """Static settings."""

    solver: str = "value_iteration"
    """value_iteration (exact, on tables of the environment) or q_learning (from steps)."""
    max_queries: int = 32
    """Weights that are solved at most, the corners of the simplex included."""
    solver_steps: int = 50_000
    """Environment steps of each query, q_learning only."""
    max_states: int = 20_000
    """More observations than this are an error."""


class OLSHyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
        reference: lower corner for hypervolumes; the environment's by default.
        learner: of the q_learning solver, without the weights and the discount, which the search
            sets; None for value_iteration.
        tolerance: stop as soon as no weights can gain more.
        discount: γ in [0, 1].
    """

    reference: Float[Array, " objective"]
    learner: QLearningHyperparameters | None
    tolerance: Float[Array, ""] | float = 0.0
    discount: Float[Array, ""] | float = 1.0


class _Search(NamedTuple):
    key: PRNGKeyArray
    memory: PyTree
    query: Int[Array, ""]
    weights: Float[Array, "query objective"]
    values: Float[Array, " query"]
    points: Float[Array, "query objective"]
    policies: Int[Array, "query time state"]
    steps: Int[Array, " query"]
    next_weights: Float[Array, " objective"]
    gap: Float[Array, ""]
    gaps: Float[Array, " query"]


def optimistic_linear_support(environment: Environment, config: OLSConfig = OLSConfig()) -> Tabular:
    """Finds the convex coverage set of two or three objectives, with a bound on what any weights still gain.

    V(w) = max_v w·v over the points found is convex and piecewise linear, so the most that is missing
    anywhere, max_w V*(w) − V(w), is missing at one of its corner weights. After the corners of the
    simplex, the corner weights with the largest optimistic improvement V̄(w) − V(w) are solved next,
    V̄ being the linear-programming bound of `corner_weights.upper_bound`. The search ends when no
    improvement exceeds `tolerance`, or at `max_queries`; `diagnostics["gap"]` is the largest left,
    a guarantee for exact solvers. Roijers et al., AAMAS 2014; Roijers, 2016, algorithm 5.

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
    require_sizes(solver_steps=config.solver_steps)
    if config.max_queries <= width:
        raise ValueError(f"max_queries must exceed the {width} corners of the simplex, got {config.max_queries}")
    require_finite(spec, name, config.max_states)
    model = tabulate(environment, name, config.max_states) if config.solver == "value_iteration" else None
    reference = reference_point(spec)
    learner = None
    if model is None:
        learner = QLearningHyperparameters(None, reference, environment.params)._replace(discount=None)
    defaults = as_arrays(OLSHyperparameters(reference, learner))
    return Tabular(partial(_run, environment, config, model), partial(_execute, environment), defaults, config)


def _run(
    environment: Environment,
    config: OLSConfig,
    model: Model | None,
    key: PRNGKeyArray,
    hyperparameters: OLSHyperparameters,
) -> Result:
    count, width = config.max_queries, environment.spec.num_objectives
    states = num_states(environment.spec.observation)
    if model is None:
        solve, horizon = partial(_learn, environment, config, hyperparameters), 1
        memory = QTables(jnp.zeros((states, environment.spec.action.n, width)), jnp.zeros(width))
    else:
        horizon, memory = environment.spec.time_limit, ()
        solve = partial(_plan, model, hyperparameters.discount, horizon)
    corners = jnp.eye(width)
    nothing = jnp.zeros((count, width))
    policies = jnp.zeros((count, horizon, states), jnp.int32)
    infinite = jnp.full(count, jnp.inf)
    steps = jnp.zeros(count, jnp.int32)
    first = _Search(
        key,
        memory,
        jnp.int32(0),
        nothing,
        infinite,
        nothing,
        policies,
        steps,
        corners[0],
        jnp.float32(jnp.inf),
        infinite,
    )
    search = jax.lax.while_loop(
        lambda search: (search.query < count) & (search.gap > hyperparameters.tolerance),
        partial(_ask, solve, corners),
        first,
    )
    asked = jnp.arange(count)
    mask = non_dominated(search.points, asked < search.query)

    def known(last: Array) -> Array:
        return measured(search.points, mask & (asked <= last), hyperparameters.reference)

    taken = jnp.cumsum(search.steps) if model is None else jnp.full(count, model.num_steps)
    diagnostics = {"gap": search.gap, "gaps": search.gaps, "queries": search.query, "weights": search.weights}
    return Result(search.points, mask, jax.vmap(known)(asked), taken, search.policies, diagnostics)


def _ask(solve: _Solver, corners: Float[Array, "objective objective"], search: _Search) -> _Search:
    """Solves the next weights, then looks for the ones after them."""
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
    gaps = jnp.where(jnp.arange(values.size) >= query, gap, search.gaps)
    policies, taken = search.policies.at[query].set(policy), search.steps.at[query].set(steps)
    return _Search(key, memory, query + 1, weights, values, points, policies, taken, onward, gap, gaps)


def _plan(
    model: Model, discount: Float[Array, ""], horizon: int, key: PRNGKeyArray, weights: Array, memory: PyTree
) -> tuple[Array, Array, Array, PyTree]:
    del key  # Planning is not random.
    values, actions = value_iteration(model_expectation(model), model.reward, weights, discount, horizon)
    return values[model.start], actions, jnp.int32(0), memory


def _learn(
    environment: Environment,
    config: OLSConfig,
    hyperparameters: OLSHyperparameters,
    key: PRNGKeyArray,
    weights: Float[Array, " objective"],
    memory: QTables,
) -> tuple[Array, Array, Array, QTables]:
    learner = hyperparameters.learner._replace(weights=weights, discount=hyperparameters.discount)
    reset_key, learn_key, evaluation_key = jax.random.split(key, 3)
    state, observation = environment.reset(reset_key, learner.environment)
    start = learn_key, state, state_index(environment.spec.observation)(observation), memory
    steps = jnp.arange(config.solver_steps)
    tables = learn(environment, "linear", config.solver_steps, learner, start, steps)[-1]
    actions = jnp.argmax(tables.values @ weights, axis=-1)[None]
    episode = follow(environment, evaluation_key, actions, hyperparameters.discount, learner.environment)
    return episode.discounted_returns, actions, config.solver_steps + episode.length, tables


def _execute(
    environment: Environment,
    key: PRNGKeyArray,
    result: Result,
    index: Int[Array, ""] | int,
    hyperparameters: OLSHyperparameters,
) -> Episode:
    learner = hyperparameters.learner
    params = environment.params if learner is None else learner.environment
    return follow(environment, key, result.policy[index], hyperparameters.discount, params)
