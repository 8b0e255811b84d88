"""C-MORL: a front is initialised by scalarised members, then extended by constrained optimisation."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.configs import check_config
from jaxrl.environments.base import Environment
from jaxrl.errors import require_name
from jaxrl.morl.pareto import crowding_distance
from jaxrl.morl.population import Method, Phase, periodically
from jaxrl.morl.population_state import Assignment, PopulationState, assign_members
from jaxrl.morl.problem import Problem
from jaxrl.morl.schedule import CONTROL_SETTINGS, study_of_members
from jaxrl.morl.study import Study, StudyHyperparameters
from jaxrl.numerics.archive import Archive, extent
from jaxrl.numerics.weights import equally_spaced
from jaxrl.ranges import COUNT, NUMBER, Range
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["TRAINING", "CMORLConfig", "CMORLHyperparameters", "c_morl"]

TRAINING = {**CONTROL_SETTINGS, "num_envs": 8}

# The least size of a return, as a share of the archive's extent, that bounds are relaxed by a share of.
_LEAST_SHARE = 0.1

_AGGREGATORS = {"log_barrier": "log_barrier", "lagrangian": "lagrangian", "none": "linear"}


@dataclass(frozen=True, kw_only=True)
class CMORLConfig:
    """Static settings; the defaults are the paper's for two objectives."""

    member_agent: str = "ppo"
    """Agent of the members."""
    num_initial: Annotated[int, COUNT] = 6
    """Members of the initialisation, under evenly spaced weights."""
    num_selected: Annotated[int, COUNT] = 5
    """Policies that each round extends, once towards every objective."""
    initial_share: Annotated[float, Range(0, 1, low_open=True)] = 2 / 3
    """Share of all environment steps that the initialisation takes; 1 leaves no extension."""
    evaluations_per_round: Annotated[int, COUNT] = 2
    """Evaluations until the extension selects anew."""
    constraint: str = "log_barrier"
    """log_barrier (interior-point), lagrangian, or none: extension by plain single-objective training."""
    selection: str = "crowding"
    """What is extended: crowding (the sparsest of the archive) or random (any of it)."""
    keep_all: bool = True
    """Archive the policies of every evaluation; else only those at the end of a phase."""
    archive_capacity: Annotated[int, COUNT] = 200
    """Most policies in the archive."""

    __post_init__ = check_config


class CMORLHyperparameters(NamedTuple):
    """Traced settings.

    Attributes:
        beta: share of the parent's return in the other objectives that an extension must keep, in [0, 1].
    """

    beta: Annotated[Float[Array, ""] | float, NUMBER] = 0.9


def c_morl(
    environment: Environment,
    problem: Problem,
    config: CMORLConfig,
    hyperparameters: CMORLHyperparameters,
    settings: dict[str, Any],
) -> Study:
    """Builds C-MORL (Liu et al., 2025, arXiv 2410.02236, sections 4.1 and 4.2).

    Initialisation: `num_initial` members maximise w·G under evenly spaced weights. Extension, round after round: of the
    archived policies not extended yet, the `num_selected` with the largest crowding distance go on, once for every
    objective l, to solve

        max G_l  subject to  G_j ≥ G_j(parent) − (1 − β) max(|G_j(parent)|, ρ_j / 10)  for j ≠ l

    with ρ_j the extent of the archive in objective j. For positive returns that is the paper's G_j ≥ β G_j(parent);
    for negative ones the paper's would ask for more than the parent has, and at 0 for as much, where the barrier is
    infinite. With `log_barrier` the objective is G_l + (1/t) Σ log(G_j − bound), t = `sharpness`; with `lagrangian`
    dual ascent. All evaluated policies go to an archive of non-dominated ones, thinned by crowding.

    G is the discounted return of training episodes, of the parent and of the member alike. What the authors' code does
    instead of the paper (constraining the maximised objective too; starting objective 2 from the result of objective
    1; counting an eighth of the steps) is not reproduced.

    The study's state has the bounds of the round in progress, `[member, objective]`, as its `memory`, whatever the
    constraint.

    Arguments are those of `study_of_members`.

    Raises:
        ValueError: for a share outside (0, 1], or sizes below 1.
        UnknownNameError: for an unknown constraint or selection.
    """
    require_name("constraint", config.constraint, _AGGREGATORS)
    require_name("selection", config.selection, ("crowding", "random"))
    num_objectives = environment.spec.num_objectives
    extended = config.num_selected * num_objectives
    shares = [(config.num_initial, config.initial_share), (extended, 1.0 - config.initial_share)]
    shares = [share for share in shares if share[1] > 0.0]
    settings = {**settings, "aggregator": _AGGREGATORS[config.constraint]}
    method = partial(_method, config, num_objectives)
    return study_of_members(environment, problem, config, hyperparameters, settings, shares, method)


def _method(config: CMORLConfig, num_objectives: int, trainer: Trainer, phases: tuple[Phase, ...]) -> Method:
    rounds = periodically(phases[0].num_evaluations, config.evaluations_per_round, partial(_extend, config, trainer))
    return Method(
        phases=phases,
        assign=partial(_assign, config, max(phase.num_members for phase in phases), num_objectives),
        select=rounds if len(phases) > 1 else _keep,
        memory=partial(_free, config.num_selected * num_objectives, num_objectives),
        keep=None if config.keep_all else partial(_at_end, phases),
    )


def _at_end(phases: tuple[Phase, ...], completed: Int[Array, ""]) -> Bool[Array, ""]:
    """Whether a phase ends with this evaluation."""
    ends = jnp.cumsum(jnp.asarray([phase.num_evaluations for phase in phases]))
    return jnp.any(completed == ends)


def _free(
    num_members: int, num_objectives: int, hyperparameters: StudyHyperparameters | None = None, checkpoint: Any = None
) -> Float[Array, "member objective"]:
    """No bounds."""
    return jnp.full((num_members, num_objectives), -jnp.inf)


def _assign(
    config: CMORLConfig, num_members: int, num_objectives: int, key: PRNGKeyArray, hyperparameters: StudyHyperparameters
) -> Assignment:
    """Evenly spaced weights without constraints; members that only the extension needs wait under the last."""
    weights = equally_spaced(num_objectives, config.num_initial)
    rows = jnp.minimum(jnp.arange(num_members), config.num_initial - 1)
    return Assignment(weights[rows], _bounded(config, _free(num_members, num_objectives)))


def _bounded(config: CMORLConfig, bounds: Float[Array, "member objective"]) -> dict[str, Array]:
    """Leaves of the members' aggregators."""
    return {} if config.constraint == "none" else {"thresholds": bounds}


def _keep(key: PRNGKeyArray, state: PopulationState, *_: Any) -> PopulationState:
    """There is no extension."""
    return state


def _extend(
    config: CMORLConfig,
    trainer: Trainer,
    key: PRNGKeyArray,
    state: PopulationState,
    hyperparameters: StudyHyperparameters,
) -> PopulationState:
    """Every member goes on from a selected policy, for one objective, with bounds on the others."""
    num_objectives = state.points.shape[-1]
    choice_key, restart_key = jax.random.split(key)
    chosen = _choose(config, choice_key, state.archive)
    parents = jnp.repeat(chosen, num_objectives)
    objective = jnp.tile(jnp.arange(num_objectives), config.num_selected)
    weights = jax.nn.one_hot(objective, num_objectives)
    policies = jax.tree.map(lambda leaf: leaf[parents], state.archive.payload)
    least = _LEAST_SHARE * extent(state.archive)
    kept = jnp.maximum(jnp.abs(policies.estimate), least)
    bounds = policies.estimate - (1.0 - hyperparameters.algorithm.beta) * kept
    # A parent whose training episodes never ended has no estimate, and its children no bounds.
    bounds = jnp.where((weights > 0.0) | jnp.isnan(bounds), -jnp.inf, bounds)
    assignment = Assignment(weights, _bounded(config, bounds))
    extended = state.archive.payload.extended.at[chosen].set(True)
    archive = state.archive._replace(payload=state.archive.payload._replace(extended=extended))
    state = state._replace(archive=archive, memory=bounds)
    return assign_members(trainer, restart_key, state, policies.agent, assignment, hyperparameters)


def _choose(config: CMORLConfig, key: PRNGKeyArray, archive: Archive) -> Int[Array, " selected"]:
    """Places in the archive: first those not extended yet, by crowding distance or at random, then again the others."""
    if config.selection == "crowding":
        rank = crowding_distance(archive.points, archive.mask)
        # The extremes are infinitely far apart from all others: random order among them.
        rank = jnp.where(jnp.isposinf(rank), 1e6 + jax.random.uniform(key, rank.shape), rank)
    else:
        rank = jax.random.uniform(key, archive.mask.shape)
    rank = jnp.where(archive.payload.extended, rank - 1e7, rank)
    count = jnp.maximum(archive.mask.sum(), 1)
    order = jnp.argsort(-jnp.where(archive.mask, rank, -jnp.inf))
    # Fewer archived policies than wanted: they are extended more than once.
    return order[jnp.arange(config.num_selected) % count]
