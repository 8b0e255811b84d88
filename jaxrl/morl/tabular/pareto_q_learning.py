"""Pareto Q-learning: sets of return vectors learned from steps, whatever the front's shape."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.configs import check_config
from jaxrl.environments.base import Environment
from jaxrl.errors import require_name
from jaxrl.morl.pareto import hypervolume, non_dominated
from jaxrl.morl.tabular.acting import Tracked, by_tracking
from jaxrl.morl.tabular.base import (
    MAX_HYPERVOLUME_OBJECTIVES,
    Found,
    Tabular,
    as_arrays,
    epsilon,
    interact,
    reference_point,
)
from jaxrl.morl.tabular.model import require_finite, require_objectives, require_sizes, require_steps, state_index
from jaxrl.morl.tabular.return_sets import ReturnSets, q_sets, state_set
from jaxrl.ranges import COUNT, PROBABILITY
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray, PyTree

__all__ = ["ParetoQLearningConfig", "ParetoQLearningHyperparameters", "pareto_q_learning"]

_SELECTIONS = ("cardinality", "hypervolume", "pareto")


@dataclass(frozen=True)
class ParetoQLearningConfig:
    """Static settings."""

    total_steps: Annotated[int, COUNT] = 100_000
    """Environment steps, rounded down to whole iterations."""
    num_evaluations: Annotated[int, COUNT] = 25
    """Iterations: how often the start's front is measured."""
    capacity: Annotated[int, COUNT] = 16
    """Return vectors that a set holds."""
    selection: str = "hypervolume"
    """How actions are scored: hypervolume, cardinality or pareto."""
    max_states: Annotated[int, COUNT] = 20_000
    """More observations than this are an error."""

    __post_init__ = check_config


class ParetoQLearningHyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
        reference: lower corner for hypervolumes; the environment's by default.
        environment: its parameters.
        discount: γ in [0, 1].
        epsilon_start: probability of a uniform action at first.
        epsilon_end: the same at last.
        exploration_fraction: share of the run over which ε falls, linearly.
    """

    reference: Float[Array, " objective"] | None = None
    environment: PyTree = None
    discount: Annotated[Float[Array, ""] | float, PROBABILITY] = 1.0
    epsilon_start: Annotated[Float[Array, ""] | float, PROBABILITY] = 1.0
    epsilon_end: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.5
    exploration_fraction: Annotated[Float[Array, ""] | float, PROBABILITY] = 1.0


class _Run(NamedTuple):
    key: PRNGKeyArray
    state: PyTree
    start: Int[Array, ""]
    number: Int[Array, ""]
    steps: Int[Array, ""]
    sets: ReturnSets
    counts: Int[Array, "state action"]
    evicted: Int[Array, ""]


def pareto_q_learning(environment: Environment, config: ParetoQLearningConfig = ParetoQLearningConfig()) -> Tabular:
    """Learns the whole Pareto front of a finite environment, concave parts included.

    Q(s, a) = r̄(s, a) ⊕ γ ND ∪ₐ′ Q(s′, a′), with r̄ the mean reward, both updated after every step.
    Van Moffaert and Nowé, JMLR 2014, algorithm 2; actions by the score of their set, section 4.2:
    its hypervolume, how many of its vectors are non-dominated in the state (cardinality), or
    whether any is (Pareto); ties at random, and uniform with probability ε.

    Four choices are ours. An action that was never taken in a state is the greedy one. Sets hold
    `capacity` vectors; beyond, the most crowded goes, extremes last, and `diagnostics["evicted"]`
    counts how many went: while it is 0, nothing was lost. A set is empty until some end of an episode
    is known behind it, so that every vector stands for steps that were really taken; where no episode
    ends by itself, sets stay empty. Of several successors of one state and action the last one
    seen counts, so random transitions need another algorithm.

    `result.points` are the vectors of the first state of the run; their policies track one of them each.

    Args:
        environment: with `Discrete` actions, finitely many observations and a time limit.
        config: static settings.

    Raises:
        ValueError: for another kind of environment, fewer than two objectives, sizes out of range,
            or, with `selection="hypervolume"`, more than three objectives or no reference point.
        UnknownNameError: for an unknown selection.
    """
    name, spec = "pareto_q_learning", environment.spec
    require_name("action selection", config.selection, _SELECTIONS)
    most = MAX_HYPERVOLUME_OBJECTIVES if config.selection == "hypervolume" else None
    label = f"{name} with selection='hypervolume'" if most else name
    require_objectives(spec, label, 2, most)
    if most and spec.reference_point is None:
        raise ValueError(f"{label} needs a reference point, {spec.name} names none in its spec")
    sizes = require_finite(spec, name, config.max_states)
    require_sizes(num_evaluations=config.num_evaluations, capacity=config.capacity)
    require_steps(name, config.num_evaluations, config.total_steps, "for one in each iteration")
    length = config.total_steps // config.num_evaluations
    defaults = ParetoQLearningHyperparameters(reference_point(spec), environment.params)
    return Tabular(
        init=partial(_init, environment, config, sizes),
        step=partial(_iterate, environment, config, length),
        steps=lambda run: run.steps,
        front=lambda run, hp: Found(*state_set(run.sets, run.start, hp.discount)[:2], None),
        policy=_policy,
        agent=by_tracking(spec),
        environment=environment,
        hyperparameters=as_arrays(defaults),
        config=config,
        iteration_steps=np.full(config.num_evaluations, length),
        diagnostics=("evicted", "visited"),
    )


def _init(
    environment: Environment,
    config: ParetoQLearningConfig,
    sizes: tuple[int, int],
    key: PRNGKeyArray,
    hyperparameters: ParetoQLearningHyperparameters,
) -> _Run:
    shape = (*sizes, config.capacity)
    width = environment.spec.num_objectives
    reset_key, key = jax.random.split(key)
    state, observation = environment.reset(reset_key, hyperparameters.environment)
    start = state_index(environment.spec.observation)(observation)
    sets = ReturnSets(jnp.zeros((*sizes, width)), jnp.zeros((*shape, width)), jnp.zeros(shape, bool))
    return _Run(key, state, start, start, jnp.int32(0), sets, jnp.zeros(sizes, jnp.int32), jnp.int32(0))


def _iterate(
    environment: Environment,
    config: ParetoQLearningConfig,
    length: int,
    run: _Run,
    hyperparameters: ParetoQLearningHyperparameters,
    index: Int[Array, ""],
) -> tuple[_Run, dict[str, Array]]:
    steps = index * length + jnp.arange(length)
    run, _ = jax.lax.scan(partial(_step, environment, config, hyperparameters), run, steps)
    return run, {"evicted": run.evicted, "visited": jnp.sum(run.counts > 0)}


def _policy(run: _Run, hyperparameters: ParetoQLearningHyperparameters, index: Int[Array, ""] | int) -> Tracked:
    target = state_set(run.sets, run.start, hyperparameters.discount)[0][index]
    return Tracked(run.sets, target, hyperparameters.discount)


def _step(
    environment: Environment,
    config: ParetoQLearningConfig,
    hyperparameters: ParetoQLearningHyperparameters,
    run: _Run,
    step: Int[Array, ""],
) -> tuple[_Run, None]:
    key, score_key, explore_key, step_key = jax.random.split(run.key, 4)
    points, mask = q_sets(run.sets, run.number, hyperparameters.discount)
    scores = _scores(config.selection, points, mask, hyperparameters.reference)
    scores = jnp.where(run.counts[run.number] == 0, jnp.inf, scores)
    greedy = jnp.argmax(jnp.where(scores == jnp.max(scores), jax.random.uniform(score_key, scores.shape), -1.0))
    draw, uniform = jax.random.uniform(explore_key, (2,))
    explore = draw < epsilon(hyperparameters, step / config.total_steps)
    action = jnp.where(explore, (uniform * scores.shape[0]).astype(jnp.int32), greedy)
    state, onward, reached, reward, terminated = interact(
        environment, step_key, run.state, action, hyperparameters.environment
    )
    here = run.number, action
    counts = run.counts.at[here].add(1)
    mean = run.sets.reward[here] + (reward - run.sets.reward[here]) / counts[here]
    after, filled, evicted = state_set(run.sets, reached, hyperparameters.discount)
    after, filled = jnp.where(terminated, 0.0, after), jnp.where(terminated, jnp.arange(filled.size) == 0, filled)
    sets = ReturnSets(
        run.sets.reward.at[here].set(mean),
        run.sets.continuation.at[here].set(after),
        run.sets.mask.at[here].set(filled),
    )
    evicted = run.evicted + jnp.where(terminated, 0, evicted)
    return _Run(key, state, run.start, onward, run.steps + 1, sets, counts, evicted), None


def _scores(
    selection: str,
    points: Float[Array, "action capacity objective"],
    mask: Bool[Array, "action capacity"],
    reference: Float[Array, " objective"],
) -> Float[Array, " action"]:
    """The worth of every action's set (Van Moffaert and Nowé, 2014, section 4.2)."""
    if selection == "hypervolume":
        return jax.vmap(hypervolume, (0, None, 0))(points, reference, mask)
    best = non_dominated(points.reshape(-1, points.shape[-1]), mask.reshape(-1)).reshape(mask.shape)
    if selection == "pareto":
        return jnp.any(best, axis=-1).astype(jnp.float32)
    return jnp.sum(best, axis=-1).astype(jnp.float32)
