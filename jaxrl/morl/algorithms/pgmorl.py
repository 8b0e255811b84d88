"""PGMORL: an evolving population whose next tasks a prediction of improvement chooses."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.configs import check_config
from jaxrl.environments.base import Environment
from jaxrl.morl import pareto
from jaxrl.morl.improvement_model import History, empty_history, predict, record
from jaxrl.morl.performance_buffer import PerformanceBuffer, empty_buffer, fill
from jaxrl.morl.population import Method, Phase, periodically
from jaxrl.morl.population_state import Assignment, Checkpoint, PopulationState, assign_members
from jaxrl.morl.problem import Problem
from jaxrl.morl.schedule import CONTROL_SETTINGS, study_of_members
from jaxrl.morl.study import Study, StudyHyperparameters
from jaxrl.numerics.weights import equally_spaced
from jaxrl.ranges import COUNT, NOT_NEGATIVE, NUMBER, Range
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Float, Int, PRNGKeyArray

__all__ = ["TRAINING", "PGMORLConfig", "PGMORLHyperparameters", "pgmorl"]

TRAINING = {**CONTROL_SETTINGS, "num_envs": 4}


@dataclass(frozen=True, kw_only=True)
class PGMORLConfig:
    """Static settings; the defaults are the paper's for two objectives."""

    member_agent: str = "ppo"
    """Agent of the members."""
    num_members: Annotated[int, COUNT] = 6
    """Tasks of every generation."""
    warm_up_share: Annotated[float, Range(0, 1, low_open=True, high_open=True)] = 0.25
    """Share of all evaluations before the first selection."""
    evaluations_per_generation: Annotated[int, COUNT] = 2
    """Evaluations of a generation."""
    num_directions: Annotated[int, COUNT] = 50
    """Bins of the performance buffer, evenly spaced directions of return."""
    bin_size: Annotated[int, COUNT] = 2
    """Policies in a bin, the furthest out from the reference point."""
    num_candidate_weights: Annotated[int, COUNT] = 11
    """Evenly spaced weights that are considered for every policy."""
    archive_capacity: Annotated[int, COUNT] = 100
    """Most policies in the archive."""

    __post_init__ = check_config


class PGMORLHyperparameters(NamedTuple):
    """Traced settings.

    Attributes:
        sparsity_coefficient: α, what a unit of sparsity costs in units of hypervolume.
        neighbourhood: distance of returns, as a share of the archive's range, within which records teach a model.
        cone: largest angle in degrees between a policy's direction of return and its candidate weights.
    """

    sparsity_coefficient: Annotated[Float[Array, ""] | float, NUMBER] = 1.0
    neighbourhood: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.1
    cone: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 45.0


class Memory(NamedTuple):
    """What PGMORL remembers: candidate policies, past improvements, and returns when the generation began."""

    buffer: PerformanceBuffer
    history: History
    before: Float[Array, "member objective"]


def pgmorl(
    environment: Environment,
    problem: Problem,
    config: PGMORLConfig,
    hyperparameters: PGMORLHyperparameters,
    settings: dict[str, Any],
) -> Study:
    """Builds prediction-guided MORL (Xu et al., 2020, ICML, sections 3.1 to 3.4).

    After a warm-up under evenly spaced weights, every generation chooses `num_members` pairs of a policy and a weight,
    one after the other, to maximise HV(F ∪ {J + Δ(w)}) − α S(F ∪ {J + Δ(w)}), where F is the archive with what was
    chosen before and Δ the predicted improvement (`improvement_model`). Policies come from a performance buffer, which
    keeps in every direction those furthest from the reference point; weights lie within `cone` of the policy's
    direction.

    Directions and distances are taken in units of the archive's extent above the reference point, so that objectives
    of different scale count alike; the paper's tasks have one scale.

    Arguments are those of `study_of_members`.

    Raises:
        ValueError: for more than three objectives, whose hypervolume is too costly to predict with, or sizes below 1.
    """
    num_objectives = environment.spec.num_objectives
    if num_objectives > 3:
        raise ValueError(f"pgmorl takes 2 or 3 objectives, {environment.spec.name} has {num_objectives}")
    if config.num_members < num_objectives or config.num_candidate_weights < num_objectives:
        raise ValueError(f"num_members and num_candidate_weights must be at least {num_objectives}, one per objective")
    method = partial(_method, config, problem)
    shares = [(config.num_members, 1.0)]
    return study_of_members(environment, problem, config, hyperparameters, settings, shares, method)


def _method(config: PGMORLConfig, problem: Problem, trainer: Trainer, phases: tuple[Phase, ...]) -> Method:
    warm_up = max(1, round(config.warm_up_share * trainer.config.num_evaluations))
    begin = partial(_begin_generation, config, trainer, problem)
    generations = periodically(warm_up, config.evaluations_per_generation, begin)

    def select(key: PRNGKeyArray, state: PopulationState, *rest: Any) -> PopulationState:
        return generations(key, _recorded(config, problem, state), *rest)

    return Method(
        phases=phases,
        assign=lambda key, _: Assignment(equally_spaced(problem.num_objectives, config.num_members), {}),
        select=select,
        memory=partial(_memory, config, trainer.config.num_evaluations, problem.num_objectives),
    )


def _memory(
    config: PGMORLConfig,
    num_evaluations: int,
    num_objectives: int,
    hyperparameters: StudyHyperparameters,
    example: Checkpoint,
) -> Memory:
    return Memory(
        buffer=empty_buffer(config.num_directions, config.bin_size, num_objectives, example),
        history=empty_history(num_evaluations * config.num_members, num_objectives),
        before=jnp.full((config.num_members, num_objectives), jnp.nan),
    )


def _recorded(config: PGMORLConfig, problem: Problem, state: PopulationState) -> PopulationState:
    """With the members' policies in the buffer, and what they gained in the history."""
    weights, reference = state.assignment.weights, jnp.asarray(problem.reference_point)
    policies = Checkpoint(state.members.agent, weights, state.estimate, jnp.zeros(config.num_members, bool))
    memory = state.memory
    memory = Memory(
        buffer=fill(memory.buffer, state.points, policies, reference, _extent(state, reference)),
        history=record(memory.history, memory.before, weights, state.points - memory.before),
        before=state.points,
    )
    return state._replace(memory=memory)


def _extent(state: PopulationState, reference: Float[Array, " objective"]) -> Float[Array, " objective"]:
    """How far the archive reaches above the reference point, per objective."""
    best = jnp.max(jnp.where(state.archive.mask[:, None], state.archive.points, -jnp.inf), axis=0)
    return jnp.where(best > reference, best - reference, 1.0)


def _begin_generation(
    config: PGMORLConfig,
    trainer: Trainer,
    problem: Problem,
    key: PRNGKeyArray,
    state: PopulationState,
    hyperparameters: StudyHyperparameters,
) -> PopulationState:
    """Every member begins a predicted-best pair of a policy and a weight."""
    reference = jnp.asarray(problem.reference_point)
    scale = _extent(state, reference)
    buffer, algorithm = state.memory.buffer, hyperparameters.algorithm
    weights = equally_spaced(problem.num_objectives, config.num_candidate_weights)
    gains = predict(state.memory.history, buffer.points, weights, scale, algorithm.neighbourhood)
    predicted = buffer.points[:, None] + gains
    allowed = buffer.mask[:, None] & _within_cone((buffer.points - reference) / scale, weights, algorithm.cone)
    chosen = _greedy(config, state, predicted, allowed, reference, algorithm.sparsity_coefficient)
    policy, weight = chosen // len(weights), chosen % len(weights)
    parents = jax.tree.map(lambda leaf: leaf[policy], buffer.payload)
    assignment = Assignment(weights[weight], {})
    state = state._replace(memory=state.memory._replace(before=buffer.points[policy]))
    return assign_members(trainer, key, state, parents.agent, assignment, hyperparameters)


def _within_cone(
    directions: Float[Array, "policy objective"], weights: Float[Array, "weight objective"], degrees: Float[Array, ""]
) -> Array:
    """Pairs whose angle is at most `degrees`, and for each policy its nearest weight at any rate."""
    unit = lambda vectors: vectors / jnp.maximum(jnp.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)  # noqa: E731
    cosine = unit(directions) @ unit(weights).T
    return (cosine >= jnp.cos(jnp.deg2rad(degrees))) | (cosine >= cosine.max(axis=1, keepdims=True))


def _greedy(
    config: PGMORLConfig,
    state: PopulationState,
    predicted: Float[Array, "policy weight objective"],
    allowed: Array,
    reference: Float[Array, " objective"],
    sparsity_coefficient: Float[Array, ""],
) -> Int[Array, " member"]:
    """Indices of pairs, each the best after those before it were added to the archive."""
    count, num_objectives = config.num_members, reference.shape[0]
    candidates = predicted.reshape(-1, num_objectives)
    free = allowed.reshape(-1)
    points = jnp.concatenate([state.archive.points, jnp.zeros((count, num_objectives))])
    mask = jnp.concatenate([state.archive.mask, jnp.zeros(count, bool)])
    place = state.archive.mask.shape[0]

    def quality(point: Array, points: Array, mask: Array, index: Array) -> Array:
        points, mask = points.at[place + index].set(point), mask.at[place + index].set(True)
        spread = pareto.sparsity(points, pareto.non_dominated(points, mask))
        return pareto.hypervolume(points, reference, mask) - sparsity_coefficient * spread

    def choose(index: Array, carry: tuple) -> tuple:
        points, mask, free, chosen = carry
        # Batches bound the memory of a non-dominated filter per candidate.
        values = jax.lax.map(lambda point: quality(point, points, mask, index), candidates, batch_size=64)
        # With no pair left free, the best one is trained again.
        best = jnp.argmax(jnp.where(free | ~jnp.any(free), values, -jnp.inf))
        points, mask = points.at[place + index].set(candidates[best]), mask.at[place + index].set(True)
        return points, mask, free.at[best].set(False), chosen.at[index].set(best)

    return jax.lax.fori_loop(0, count, choose, (points, mask, free, jnp.zeros(count, jnp.int32)))[3]
