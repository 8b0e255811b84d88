"""The pure functions of a trainer, from its parts."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents import Agent, Progress, Rollout
from jaxrl.agents.defaults import lost
from jaxrl.aggregation import ReturnSummary
from jaxrl.environments.base import Environment, EnvironmentSpec
from jaxrl.environments.batching import BatchedEnvironment, vectorise
from jaxrl.ranges import LARGEST_INTEGER
from jaxrl.training.evaluation import Evaluation, evaluator
from jaxrl.training.loop import Result, evaluate_where, evaluation_due, evaluation_iterations, scan_steps
from jaxrl.training.rollouts import RunState, collect, num_episodes, start_run
from jaxrl.training.schedule import TrainerConfig
from jaxrl.types import Array, Int, Key, PRNGKeyArray, PyTree

__all__ = ["Parts", "collect_once", "init", "learn", "parts_of", "run", "step", "train_on"]


class Parts(NamedTuple):
    """What a trainer is put together of; static."""

    environment: BatchedEnvironment | None
    agent: Agent
    config: TrainerConfig
    evaluate: Callable[[PRNGKeyArray, PyTree, PyTree], Evaluation]
    num_iterations: int
    steps_per_iteration: int


def parts_of(environment: Environment, agent: Agent, config: TrainerConfig) -> Parts:
    """Parts that fit each other.

    Raises:
        ValueError: for a schedule shorter than one iteration, or longer than can be counted, or with more evaluations.
    """
    collects = agent.collects
    per_iteration = collects.steps_per_iteration
    num_iterations = config.total_steps // per_iteration
    if num_iterations < 1:
        raise ValueError(
            f"total_steps={config.total_steps} is less than one iteration of num_envs * num_steps = {per_iteration}"
        )
    if num_iterations > LARGEST_INTEGER:
        raise ValueError(f"total_steps={config.total_steps} is more than {LARGEST_INTEGER} iterations")
    if not 1 <= config.num_evaluations <= num_iterations:
        raise ValueError(
            f"num_evaluations={config.num_evaluations} must lie between 1 and the number of iterations {num_iterations}"
        )
    auto_reset = config.auto_reset or ("pool" if environment.spec.costly_reset or config.pool_size else "fresh")
    return Parts(
        environment=vectorise(environment, collects.num_envs, auto_reset, config.pool_size)
        if collects.num_steps
        else None,
        agent=agent,
        config=config,
        evaluate=evaluator(
            environment, agent, config.evaluation_episodes, config.evaluation_steps, config.evaluation_explores
        ),
        num_iterations=num_iterations,
        steps_per_iteration=per_iteration,
    )


def init(parts: Parts, key: PRNGKeyArray, hyperparameters: Any) -> RunState:
    """The state before the first iteration."""
    _check_shapes(hyperparameters, parts.agent.spec)
    return start_run(key, parts.agent, parts.environment, hyperparameters)


def step(
    parts: Parts, state: RunState, hyperparameters: Any, index: Int[Array, ""]
) -> tuple[RunState, tuple[dict[str, Array], Evaluation]]:
    """One iteration, and its evaluation where one is due, else NaN."""
    state, metrics = learn(parts, state, hyperparameters, index, parts.num_iterations)
    due = evaluation_due(index, parts.config.num_evaluations, parts.num_iterations)
    key = _iteration_keys(state, index)[2]
    evaluation = evaluate_where(due, parts.evaluate, key, parts.agent.actor(state.agent), hyperparameters)
    return state, (metrics, evaluation._replace(steps=(index + 1.0) * parts.steps_per_iteration))


def _iteration_keys(state: RunState, index: Int[Array, ""]) -> Key[Array, "3"]:
    """Of acting, of updating and of evaluating."""
    return jax.random.split(jax.random.fold_in(state.key, index), 3)


def collect_once(
    parts: Parts, key: PRNGKeyArray, state: RunState, hyperparameters: Any, progress: Progress | None = None
) -> tuple[RunState, Rollout | None, ReturnSummary]:
    """One iteration's acting."""
    return collect(key, state, parts.agent, parts.environment, hyperparameters, progress)


def learn(
    parts: Parts, state: RunState, hyperparameters: Any, index: Int[Array, ""], horizon: Int[Array, ""] | int
) -> tuple[RunState, dict[str, Array]]:
    """One iteration without evaluation, in a run of `horizon` iterations."""
    act_key, update_key, _ = _iteration_keys(state, index)
    progress = Progress(index / horizon, jnp.asarray(horizon, jnp.float32))
    state, rollout, summary = collect_once(parts, act_key, state, hyperparameters, progress)
    agent_state, metrics = parts.agent.update(update_key, state.agent, rollout, summary, hyperparameters, progress)
    if "non_finite" not in metrics:
        metrics = {**metrics, "non_finite": lost(parts.agent.actor(agent_state))}
    return state._replace(agent=agent_state), {
        **metrics,
        "episode_return": jnp.where(summary.count > 0, summary.returns, jnp.nan),
        "episode_discounted_return": jnp.where(summary.count > 0, summary.discounted_returns, jnp.nan),
        "episode_length": jnp.where(jnp.any(summary.count > 0), summary.length, jnp.nan),
        "episodes": num_episodes(parts.agent.spec, summary),
        "faulty_steps": jnp.zeros(()) if rollout is None else jnp.sum(~rollout.valid, dtype=jnp.float32),
    }


def run(parts: Parts, key: PRNGKeyArray, hyperparameters: Any) -> Result:
    """A whole run."""
    return _finish(parts, init(parts, key, hyperparameters), hyperparameters)


def train_on(parts: Parts, state: RunState, hyperparameters: Any) -> Result:
    """Another run's worth of iterations from a state, under fresh random numbers."""
    key = jax.random.fold_in(state.key, parts.num_iterations)
    return _finish(parts, state._replace(key=key), hyperparameters)


def _finish(parts: Parts, state: RunState, hyperparameters: Any) -> Result:
    rows = evaluation_iterations(parts.config.num_evaluations, parts.num_iterations)
    return scan_steps(partial(step, parts), state, hyperparameters, parts.num_iterations, rows)


def _check_shapes(hyperparameters: Any, spec: EnvironmentSpec) -> None:
    """Shapes are known while tracing, so that wrong weights are an error even under vmap."""
    shape = jnp.shape(hyperparameters.weights)
    if shape != (spec.num_objectives,):
        raise ValueError(
            f"weights have shape {shape}; {spec.name} has {spec.num_objectives} objectives: {spec.objective_names}"
        )
