"""Decomposition: one member per preference weight, with cooperation between neighbours and moving weights.

MORL/D and the plain population of weights are settings of one method.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.configs import check_config
from jaxrl.environments.base import Environment
from jaxrl.errors import require_name
from jaxrl.morl.population import Method, Phase, periodically
from jaxrl.morl.population_state import Assignment, PopulationState, assign_members
from jaxrl.morl.problem import Problem
from jaxrl.morl.schedule import study_of_members
from jaxrl.morl.study import Study, StudyHyperparameters
from jaxrl.numerics.archive import Archive
from jaxrl.numerics.weights import equally_spaced
from jaxrl.ranges import COUNT, NOT_NEGATIVE
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = [
    "DecompositionConfig",
    "DecompositionHyperparameters",
    "WeightPopulationConfig",
    "morl_d",
    "weight_population",
]

_SCALARISATIONS = ("linear", "chebyshev", "smooth_chebyshev")


@dataclass(frozen=True, kw_only=True)
class DecompositionConfig:
    """Static settings; the defaults are MORL/D's."""

    member_agent: str = "ppo"
    """Agent of the members."""
    num_members: Annotated[int, COUNT] = 6
    """Members, each with a weight; evenly spaced at first."""
    scalarisation: str = "linear"
    """linear (weighted sum), chebyshev or smooth_chebyshev (distance to the best return of any member)."""
    weight_adaptation: str = "psa"
    """psa (Pareto simulated annealing: away from the nearest archived point) or none."""
    cooperation: str = "transfer"
    """transfer (go on from a neighbour's policy where it serves the own weight better) or none."""
    neighbourhood: Annotated[int, COUNT] = 2
    """Nearest members by weight that cooperate."""
    evaluations_per_exchange: Annotated[int, COUNT] = 1
    """Evaluations between two exchanges."""
    archive_capacity: Annotated[int, COUNT] = 200
    """Most policies in the archive."""

    __post_init__ = check_config


@dataclass(frozen=True, kw_only=True)
class WeightPopulationConfig(DecompositionConfig):
    """Static settings of the plain population of weights."""

    num_members: Annotated[int, COUNT] = 16
    """Members, each with a weight; evenly spaced."""
    weight_adaptation: str = "none"
    """psa (Pareto simulated annealing: away from the nearest archived point) or none."""


class DecompositionHyperparameters(NamedTuple):
    """Traced settings.

    Attributes:
        adaptation_rate: δ of the weight adaptation, where it is on: entries grow or shrink by 1 + δ.
    """

    adaptation_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.1


def morl_d(
    environment: Environment,
    problem: Problem,
    config: DecompositionConfig,
    hyperparameters: DecompositionHyperparameters,
    settings: dict[str, Any],
) -> Study:
    """Builds MORL/D: decomposition with cooperating members (Felten et al., 2024, JAIR 79, section 4).

    Member i maximises a scalarisation g(J, wᵢ). At every exchange the weights adapt (section 4.4, PSA of Czyzżak and
    Jaszkiewicz, 1998): with y the nearest other archived point, wᵢₖ grows by 1 + δ where the member is no worse than y
    in objective k and shrinks by 1 + δ where it is worse, then sums to 1 again; and a member goes on from the policy
    of the neighbour that serves its weight best, if that is not its own. Every evaluated policy goes to an archive.

    Members learn on-policy, so that they share policies but no experience, which the paper's off-policy members also
    do.

    Arguments are those of `study_of_members`.

    Raises:
        UnknownNameError: for an unknown scalarisation, adaptation or cooperation.
        ValueError: for sizes out of range.
    """
    require_name("scalarisation", config.scalarisation, _SCALARISATIONS)
    require_name("weight adaptation", config.weight_adaptation, ("psa", "none"))
    require_name("cooperation", config.cooperation, ("transfer", "none"))
    num_objectives = environment.spec.num_objectives
    if config.num_members < num_objectives:
        raise ValueError(f"num_members={config.num_members} is less than one for each of {num_objectives} objectives")
    settings = {**settings, "aggregator": config.scalarisation}
    method = partial(_method, config, num_objectives)
    shares = [(config.num_members, 1.0)]
    return study_of_members(environment, problem, config, hyperparameters, settings, shares, method)


def weight_population(
    environment: Environment,
    problem: Problem,
    config: WeightPopulationConfig,
    hyperparameters: DecompositionHyperparameters,
    settings: dict[str, Any],
) -> Study:
    """Builds a population of fixed weights that warm-start from their neighbours.

    As `morl_d` without moving weights: member i maximises g(J, wᵢ), and at every exchange goes on from the best of its
    neighbours' policies under wᵢ. With a Chebyshev scalarisation the utopia point is the best return of any member.
    Arguments and errors are those of `morl_d`.
    """
    return morl_d(environment, problem, config, hyperparameters, settings)


def _method(config: DecompositionConfig, num_objectives: int, trainer: Trainer, phases: tuple[Phase, ...]) -> Method:
    exchange = periodically(0, config.evaluations_per_exchange, partial(_exchange, config, trainer))

    def select(key: PRNGKeyArray, state: PopulationState, *rest: Any) -> PopulationState:
        return exchange(key, _share_utopia(config, state), *rest)

    return Method(phases, partial(_assign, config, num_objectives), select)


def _assign(
    config: DecompositionConfig, num_objectives: int, key: PRNGKeyArray, hyperparameters: StudyHyperparameters
) -> Assignment:
    weights = equally_spaced(num_objectives, config.num_members)
    utopia = jnp.full((config.num_members, num_objectives), -jnp.inf)
    return Assignment(weights, {} if config.scalarisation == "linear" else {"utopia": utopia})


def _share_utopia(config: DecompositionConfig, state: PopulationState) -> PopulationState:
    """The best training return of any member becomes every member's utopia point."""
    if config.scalarisation == "linear":
        return state
    best = jnp.nanmax(jnp.where(jnp.isnan(state.estimate), -jnp.inf, state.estimate), axis=0)
    utopia = jnp.maximum(state.assignment.aggregator["utopia"], best)
    return state._replace(assignment=state.assignment._replace(aggregator={"utopia": utopia}))


def _exchange(
    config: DecompositionConfig,
    trainer: Trainer,
    key: PRNGKeyArray,
    state: PopulationState,
    hyperparameters: StudyHyperparameters,
) -> PopulationState:
    """Adapts weights, then lets each member go on from the neighbour that serves its weight best."""
    weights = state.assignment.weights
    if config.weight_adaptation == "psa":
        weights = jax.vmap(_adapt, in_axes=(0, 0, None, None))(
            weights, state.points, state.archive, hyperparameters.algorithm.adaptation_rate
        )
    assignment = state.assignment._replace(weights=weights)
    own = jnp.arange(config.num_members)
    parents = own
    if config.cooperation == "transfer":
        utility = _utilities(config, state.points, weights)
        utility = jnp.where(_neighbours(weights, config.neighbourhood), utility, -jnp.inf)
        best = jnp.argmax(utility, axis=1)
        # A member gives up its own policy only for a better one.
        better = jnp.take_along_axis(utility, best[:, None], axis=1)[:, 0] > utility[own, own]
        parents = jnp.where(better, best, own)
    return _go_on(trainer, key, state, parents, assignment, hyperparameters)


def _go_on(
    trainer: Trainer,
    key: PRNGKeyArray,
    state: PopulationState,
    parents: Int[Array, " member"],
    assignment: Assignment,
    hyperparameters: StudyHyperparameters,
) -> PopulationState:
    """Members whose policy is replaced begin anew from it; the others only get their new weights."""
    moved = parents != jnp.arange(parents.shape[0])
    policies = jax.tree.map(lambda leaf: leaf[parents], state.members.agent)
    fresh = assign_members(trainer, key, state, policies, assignment, hyperparameters)
    pick = lambda new, old: jnp.where(moved.reshape(-1, *(1,) * (new.ndim - 1)), new, old)  # noqa: E731
    weights = jnp.broadcast_to(assignment.weights[:, None], state.members.weights.shape)
    kept = state.members._replace(weights=weights, key=fresh.members.key)
    return fresh._replace(
        members=jax.tree.map(pick, fresh.members._replace(key=()), kept._replace(key=()))._replace(key=kept.key),
        estimate=pick(fresh.estimate, state.estimate),
    )


def _adapt(
    weights: Float[Array, " objective"], point: Float[Array, " objective"], archive: Archive, rate: Float[Array, ""]
) -> Float[Array, " objective"]:
    """One member's weights, moved away from the nearest other archived point."""
    distance = jnp.linalg.norm(archive.points - point, axis=-1)
    other = archive.mask & (distance > 0.0)
    nearest = archive.points[jnp.argmin(jnp.where(other, distance, jnp.inf))]
    # Zero entries would stay zero for ever.
    moved = jnp.maximum(weights, 1e-3) * jnp.where(point >= nearest, 1.0 + rate, 1.0 / (1.0 + rate))
    return jnp.where(jnp.any(other), moved / moved.sum(), weights)


def _utilities(
    config: DecompositionConfig, points: Float[Array, "member objective"], weights: Float[Array, "member objective"]
) -> Float[Array, "member member"]:
    """What each policy (column) is worth under each member's weights (row)."""
    finite = jnp.all(jnp.isfinite(points), axis=-1)
    points = jnp.where(finite[:, None], points, 0.0)
    if config.scalarisation == "linear":
        utilities = weights @ points.T
    else:
        utopia = jnp.max(points, axis=0, where=finite[:, None], initial=-jnp.inf)
        utilities = -jnp.max(weights[:, None] * (utopia - points)[None], axis=-1)
    return jnp.where(finite, utilities, -jnp.inf)


def _neighbours(weights: Float[Array, "member objective"], count: int) -> Bool[Array, "member member"]:
    """Which members are among the `count` nearest by weight, oneself included in addition."""
    distance = jnp.linalg.norm(weights[:, None] - weights[None], axis=-1)
    rank = jnp.argsort(jnp.argsort(distance, axis=1), axis=1)
    return rank <= count
