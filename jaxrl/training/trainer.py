"""The trainer: environment + agent + schedule as three pure functions."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import hyperparameters as named
from jaxrl.agents import Agent, Progress, Rollout, agent_entry
from jaxrl.aggregation import ReturnSummary
from jaxrl.environments.base import Environment, EnvironmentSpec
from jaxrl.environments.batching import BatchedEnvironment, vectorise
from jaxrl.environments.check import check_structure
from jaxrl.environments.registry import make
from jaxrl.errors import require_name
from jaxrl.training.evaluation import Evaluation, evaluation_columns, evaluator, return_columns
from jaxrl.training.loop import Result, evaluate_where, evaluation_due, evaluation_iterations, scan_steps
from jaxrl.training.program import Player, complete_program, num_bytes
from jaxrl.training.rollouts import RunState, collect, num_episodes, start_run
from jaxrl.types import Array, Int, Key, PRNGKeyArray, PyTree

__all__ = [
    "RunState",
    "Trainer",
    "TrainerConfig",
    "trainer",
]


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """The schedule of a run; static."""

    total_steps: int = 500_000
    """Environment steps over all copies, rounded down to whole iterations."""
    num_evaluations: int = 10
    """Evaluations at equal intervals, the last one at the end."""
    evaluation_episodes: int = 16
    """Episodes of each evaluation."""
    evaluation_steps: int = 1000
    """Steps after which an episode without a time limit is cut in evaluation."""
    evaluation_explores: bool = False
    """Sample actions in evaluation instead of taking the most likely."""
    auto_reset: str | None = None
    """fresh (a new start per copy and step), pool (a few starts per step, for costly resets) or
    None: what suits the environment."""
    pool_size: int | None = None
    """Starts per step in mode pool; default num_envs / 16."""


@complete_program
class Trainer(NamedTuple):
    """One training program.

    Attributes:
        init: `(key, hyperparameters) -> RunState`.
        step: `(RunState, hyperparameters, index) -> (RunState, (metrics, Evaluation))`: collect,
            update, and evaluate where due (else NaN). `index` counts iterations and stays outside
            the vmapped state, so that the branch stays a branch.
        learn: `(RunState, hyperparameters, index, horizon) -> (RunState, metrics)`: `step` without evaluation, in a
            run of `horizon` iterations, which may be traced.
        collect: `(key, RunState, hyperparameters) -> (RunState, Rollout, ReturnSummary)`: one iteration's acting.
        run: `(key, hyperparameters) -> Result`: a scan of `step`, one program.
        train_on: `(RunState, hyperparameters) -> Result`: another run's worth of iterations from a
            state, under fresh random numbers.
        evaluate: `(key, agent_state, hyperparameters) -> Evaluation`.
        rebuild: `(**settings) -> Trainer`, the same trainer with some settings changed.
        hyperparameters: traced defaults.
        environment: the environment, not batched.
        agent: the agent.
        config: the schedule.
        agent_name: the registered name, or `custom`.
        settings: what differs from the defaults, by name.
        num_iterations: iterations of a run.
        steps_per_iteration: environment steps of one iteration.
    """

    init: Callable[[PRNGKeyArray, PyTree], RunState]
    step: Callable[[RunState, PyTree, Int[Array, ""]], tuple[RunState, tuple[dict[str, Array], Evaluation]]]
    learn: Callable[[RunState, PyTree, Int[Array, ""], Int[Array, ""]], tuple[RunState, dict[str, Array]]]
    collect: Callable[[PRNGKeyArray, RunState, PyTree], tuple[RunState, Rollout, ReturnSummary]]
    run: Callable[[PRNGKeyArray, PyTree], Result]
    train_on: Callable[[RunState, PyTree], Result]
    evaluate: Callable[[PRNGKeyArray, PyTree, PyTree], Evaluation]
    rebuild: Callable[..., "Trainer"]
    hyperparameters: Any
    environment: Environment
    agent: Agent
    config: TrainerConfig
    agent_name: str
    settings: dict[str, Any]
    num_iterations: int
    steps_per_iteration: int

    def evaluator(self, num_episodes: int, explore: bool | None = None) -> Callable[..., Evaluation]:
        """`(key, agent_state, hyperparameters) -> Evaluation` over that many episodes; else as in training."""
        explore = self.config.evaluation_explores if explore is None else explore
        return evaluator(self.environment, self.agent, num_episodes, self.config.evaluation_steps, explore)

    @property
    def static_names(self) -> set[str]:
        """Names of static settings."""
        return {f.name for config in (TrainerConfig, type(self.agent.config)) for f in fields(config) if f.init}

    @property
    def curves(self) -> tuple[str, ...]:
        """Returns are drawn."""
        return tuple(return_columns(self.environment.spec))

    def columns(self, evaluation: Evaluation) -> dict[str, np.ndarray]:
        """Returns, lengths and, where it is reported, success."""
        return evaluation_columns(evaluation, self.environment.spec)

    def actor(self, state: RunState, hyperparameters: Any) -> Player:
        """The agent as it is after a run."""
        return Player(self.agent, state.agent, hyperparameters)

    def experience_bytes(self) -> int:
        """Bytes of one rollout."""
        key = jax.random.key(0)
        state = jax.eval_shape(self.init, key, self.hyperparameters)
        return num_bytes(jax.eval_shape(self.collect, key, state, self.hyperparameters)[1])


def trainer(agent: str | Callable[..., Agent], environment: str | Environment, **settings: Any) -> Trainer:
    """Builds a training program.

    Args:
        agent: a name of `jaxrl list agents`, or a builder `spec -> Agent`.
        environment: an environment or its name.
        settings: static settings of the schedule (`TrainerConfig`) and of the agent (such as
            `OnPolicyConfig`), and defaults of traced hyperparameters, all by name.

    Raises:
        UnknownNameError: for an unknown agent, environment or setting, with the nearest match.
        ValueError: for values that do not fit each other or the environment.
        EnvironmentContractError: for an environment that breaks the contract.
    """
    environment = make(environment) if isinstance(environment, str) else environment
    check_structure(environment)
    schedule_names = {field.name for field in fields(TrainerConfig)}
    schedule = TrainerConfig(**{k: v for k, v in settings.items() if k in schedule_names})
    rest = {k: v for k, v in settings.items() if k not in schedule_names}
    if isinstance(agent, str):
        entry, name = agent_entry(agent), agent
        agent_names = {field.name for field in fields(entry.config) if field.init}
        config = replace(entry.config, **{k: named.hashable(rest.pop(k)) for k in list(rest) if k in agent_names})
        built = entry.build(environment.spec, config)
    else:
        built, name, agent_names = agent(environment.spec), "custom", set()
    defaults = built.hyperparameters._replace(environment=jax.tree.map(jnp.asarray, environment.params))
    paths = named.leaves(defaults)
    known = schedule_names | agent_names | set(paths) | {path.rsplit(".", 1)[-1] for path in paths}
    for setting in rest:
        require_name("setting", setting, known)
    return _assemble(
        environment,
        built,
        schedule,
        hyperparameters=named.replace(defaults, rest),
        agent_name=name,
        settings=settings,
        rebuild=lambda **changes: trainer(agent, environment, **{**settings, **changes}),
    )


class Parts(NamedTuple):
    """What a trainer is put together of; static."""

    environment: BatchedEnvironment
    agent: Agent
    config: TrainerConfig
    evaluate: Callable[[PRNGKeyArray, PyTree, PyTree], Evaluation]
    num_iterations: int
    steps_per_iteration: int


def _assemble(environment: Environment, agent: Agent, config: TrainerConfig, **rest: Any) -> Trainer:
    parts = _parts(environment, agent, config)
    return Trainer(
        init=partial(_init, parts),
        step=partial(_step, parts),
        learn=partial(_learn, parts),
        collect=partial(_collect, parts),
        run=partial(_run, parts),
        train_on=partial(_train_on, parts),
        evaluate=parts.evaluate,
        environment=environment,
        agent=agent,
        config=config,
        num_iterations=parts.num_iterations,
        steps_per_iteration=parts.steps_per_iteration,
        **rest,
    )


def _parts(environment: Environment, agent: Agent, config: TrainerConfig) -> Parts:
    per_iteration = agent.config.num_envs * agent.config.num_steps
    num_iterations = config.total_steps // per_iteration
    if num_iterations < 1:
        raise ValueError(
            f"total_steps={config.total_steps} is less than one iteration of num_envs * num_steps = {per_iteration}"
        )
    if not 1 <= config.num_evaluations <= num_iterations:
        raise ValueError(
            f"num_evaluations={config.num_evaluations} must lie between 1 and the number of iterations {num_iterations}"
        )
    auto_reset = config.auto_reset or ("pool" if environment.spec.costly_reset else "fresh")
    return Parts(
        environment=vectorise(environment, agent.config.num_envs, auto_reset, config.pool_size),
        agent=agent,
        config=config,
        evaluate=evaluator(
            environment, agent, config.evaluation_episodes, config.evaluation_steps, config.evaluation_explores
        ),
        num_iterations=num_iterations,
        steps_per_iteration=per_iteration,
    )


def _init(parts: Parts, key: PRNGKeyArray, hyperparameters: Any) -> RunState:
    _check_shapes(hyperparameters, parts.environment.spec)
    return start_run(key, parts.agent, parts.environment, hyperparameters)


def _step(
    parts: Parts, state: RunState, hyperparameters: Any, index: Int[Array, ""]
) -> tuple[RunState, tuple[dict[str, Array], Evaluation]]:
    state, metrics = _learn(parts, state, hyperparameters, index, parts.num_iterations)
    due = evaluation_due(index, parts.config.num_evaluations, parts.num_iterations)
    key = _iteration_keys(state, index)[2]
    evaluation = evaluate_where(due, parts.evaluate, key, state.agent, hyperparameters)
    return state, (metrics, evaluation._replace(steps=(index + 1.0) * parts.steps_per_iteration))


def _iteration_keys(state: RunState, index: Int[Array, ""]) -> Key[Array, "3"]:
    """Of acting, of updating and of evaluating."""
    return jax.random.split(jax.random.fold_in(state.key, index), 3)


def _collect(
    parts: Parts, key: PRNGKeyArray, state: RunState, hyperparameters: Any
) -> tuple[RunState, Rollout, ReturnSummary]:
    return collect(key, state, parts.agent, parts.environment, hyperparameters)


def _learn(
    parts: Parts, state: RunState, hyperparameters: Any, index: Int[Array, ""], horizon: Int[Array, ""] | int
) -> tuple[RunState, dict[str, Array]]:
    act_key, update_key, _ = _iteration_keys(state, index)
    state, rollout, summary = _collect(parts, act_key, state, hyperparameters)
    progress = Progress(index / horizon, jnp.asarray(horizon, jnp.float32))
    agent_state, metrics = parts.agent.update(update_key, state.agent, rollout, summary, hyperparameters, progress)
    return state._replace(agent=agent_state), {
        **metrics,
        "episode_return": jnp.where(summary.count > 0, summary.returns, jnp.nan),
        "episode_discounted_return": jnp.where(summary.count > 0, summary.discounted_returns, jnp.nan),
        "episode_length": jnp.where(jnp.any(summary.count > 0), summary.length, jnp.nan),
        "episodes": num_episodes(parts.environment.spec, summary),
    }


def _run(parts: Parts, key: PRNGKeyArray, hyperparameters: Any) -> Result:
    return _finish(parts, _init(parts, key, hyperparameters), hyperparameters)


def _train_on(parts: Parts, state: RunState, hyperparameters: Any) -> Result:
    key = jax.random.fold_in(state.key, parts.num_iterations)
    return _finish(parts, state._replace(key=key), hyperparameters)


def _finish(parts: Parts, state: RunState, hyperparameters: Any) -> Result:
    rows = evaluation_iterations(parts.config.num_evaluations, parts.num_iterations)
    return scan_steps(partial(_step, parts), state, hyperparameters, parts.num_iterations, rows)


def _check_shapes(hyperparameters: Any, spec: EnvironmentSpec) -> None:
    """Shapes are known while tracing, so that wrong weights are an error even under vmap."""
    shape = jnp.shape(hyperparameters.weights)
    if shape != (spec.num_objectives,):
        raise ValueError(
            f"weights have shape {shape}; {spec.name} has {spec.num_objectives} objectives: {spec.objective_names}"
        )
