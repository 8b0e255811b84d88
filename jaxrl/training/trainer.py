"""The trainer: environment + agent + schedule as three pure functions."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import hyperparameters as named
from jaxrl.agents import Agent, AgentEntry, Progress, Rollout, agent_entry
from jaxrl.agents.check import check_agent
from jaxrl.agents.defaults import complete, lost
from jaxrl.agents.entries import entry_of
from jaxrl.aggregation import ReturnSummary
from jaxrl.configs import field_names
from jaxrl.environments.base import Environment, EnvironmentSpec
from jaxrl.environments.batching import BatchedEnvironment, vectorise
from jaxrl.environments.check import check_structure
from jaxrl.environments.registry import make
from jaxrl.errors import require_name
from jaxrl.ranges import LARGEST_INTEGER, Range
from jaxrl.training.evaluation import Evaluation, evaluation_columns, evaluator, return_columns
from jaxrl.training.loop import Result, evaluate_where, evaluation_due, evaluation_iterations, scan_steps
from jaxrl.training.program import Player, complete_program, num_bytes
from jaxrl.training.rollouts import RunState, collect, num_episodes, start_run
from jaxrl.training.schedule import Default, TrainerConfig, fit_config, fit_schedule
from jaxrl.types import Array, Int, Key, PRNGKeyArray, PyTree

__all__ = [
    "Default",
    "RunState",
    "Trainer",
    "TrainerConfig",
    "trainer",
]


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
        collect: `(key, RunState, hyperparameters, progress=the end) -> (RunState, Rollout, ReturnSummary)`: one
            iteration's acting; no rollout where the agent collects nothing.
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
    collect: Callable[..., tuple[RunState, Rollout | None, ReturnSummary]]
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
    def ranges(self) -> dict[str, Range]:
        """What leaves of the hyperparameters may be, where their class does not say it."""
        return dict(self.agent.ranges)

    @property
    def static_names(self) -> set[str]:
        """Names of static settings."""
        return field_names(self.config) | field_names(self.agent.config)

    @property
    def curves(self) -> tuple[str, ...]:
        """Returns are drawn."""
        return tuple(return_columns(self.environment.spec))

    def columns(self, evaluation: Evaluation) -> dict[str, np.ndarray]:
        """Returns, lengths and, where it is reported, success."""
        return evaluation_columns(evaluation, self.environment.spec)

    def actor(self, state: RunState, hyperparameters: Any) -> Player:
        """What acts of the agent as it is after a run."""
        return Player(self.agent, self.agent.actor(state.agent), hyperparameters)

    def experience_bytes(self) -> int:
        """Bytes of one rollout."""
        key = jax.random.key(0)
        state = jax.eval_shape(self.init, key, self.hyperparameters)
        return num_bytes(jax.eval_shape(self.collect, key, state, self.hyperparameters)[1])


def trainer(agent: str | Agent | Callable[..., Agent], environment: str | Environment, **settings: Any) -> Trainer:
    """Builds a training program.

    Args:
        agent: a name of `jaxrl list agents`, an agent, or a builder `spec -> Agent` or `(spec, config) -> Agent`, whose
            static settings are the frozen dataclass that is the default of its second argument.
        environment: an environment or its name.
        settings: static settings of the schedule (`TrainerConfig`) and of the agent (such as
            `OnPolicyConfig`), and defaults of traced hyperparameters, all by name. What is left out gives way to what
            is given: fewer evaluations and shorter iterations where `total_steps` is small, minibatches that divide.

    Raises:
        UnknownNameError: for an unknown agent, environment or setting, with the nearest match.
        ValueError: for values that do not fit each other or the environment.
        EnvironmentContractError: for an environment that breaks the contract.
        AgentContractError: for an agent of one's own that breaks the contract.
    """
    environment = make(environment) if isinstance(environment, str) else environment
    check_structure(environment)
    entry, name = _entry(agent)
    given = {k: value for k, value in settings.items() if not isinstance(value, Default)}
    plain = {**{k: value.value for k, value in settings.items() if isinstance(value, Default)}, **given}
    schedule_names, agent_names = field_names(TrainerConfig()), field_names(entry.config)
    schedule = TrainerConfig(**{k: v for k, v in plain.items() if k in schedule_names})
    config = replace(entry.config, **{k: v for k, v in plain.items() if k in agent_names})
    config = fit_config(config, entry, frozenset(given), environment, schedule)
    built = entry.build(environment.spec, config)
    if not entry.build.__module__.startswith("jaxrl."):
        check_agent(built, environment)
    built = complete(built if built.config is not None else built._replace(config=config))
    defaults = built.hyperparameters._replace(environment=jax.tree.map(jnp.asarray, environment.params))
    rest = {k: v for k, v in plain.items() if k not in schedule_names | agent_names}
    paths = named.leaves(defaults)
    known = schedule_names | agent_names | set(paths) | {path.rsplit(".", 1)[-1] for path in paths}
    for setting in rest:
        require_name("setting", setting, known)
    return _assemble(
        environment,
        built,
        fit_schedule(schedule, built.collects, frozenset(given)),
        hyperparameters=named.replace(defaults, rest, ranges=built.ranges),
        agent_name=name,
        settings=plain,
        rebuild=lambda **changes: trainer(agent, environment, **{**settings, **changes}),
    )


def _entry(agent: Any) -> tuple[AgentEntry, str]:
    """How an agent is built, and the name that a run directory records."""
    if isinstance(agent, str):
        return agent_entry(agent), agent
    if isinstance(agent, Agent):
        return AgentEntry(lambda spec, config: agent), "custom"
    if not callable(agent):
        raise ValueError(f"agent takes a name or a builder, got {agent!r} of type {type(agent).__name__}")
    return entry_of(agent), "custom"


class Parts(NamedTuple):
    """What a trainer is put together of; static."""

    environment: BatchedEnvironment | None
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


def _init(parts: Parts, key: PRNGKeyArray, hyperparameters: Any) -> RunState:
    _check_shapes(hyperparameters, parts.agent.spec)
    return start_run(key, parts.agent, parts.environment, hyperparameters)


def _step(
    parts: Parts, state: RunState, hyperparameters: Any, index: Int[Array, ""]
) -> tuple[RunState, tuple[dict[str, Array], Evaluation]]:
    state, metrics = _learn(parts, state, hyperparameters, index, parts.num_iterations)
    due = evaluation_due(index, parts.config.num_evaluations, parts.num_iterations)
    key = _iteration_keys(state, index)[2]
    evaluation = evaluate_where(due, parts.evaluate, key, parts.agent.actor(state.agent), hyperparameters)
    return state, (metrics, evaluation._replace(steps=(index + 1.0) * parts.steps_per_iteration))


def _iteration_keys(state: RunState, index: Int[Array, ""]) -> Key[Array, "3"]:
    """Of acting, of updating and of evaluating."""
    return jax.random.split(jax.random.fold_in(state.key, index), 3)


def _collect(
    parts: Parts, key: PRNGKeyArray, state: RunState, hyperparameters: Any, progress: Progress | None = None
) -> tuple[RunState, Rollout | None, ReturnSummary]:
    return collect(key, state, parts.agent, parts.environment, hyperparameters, progress)


def _learn(
    parts: Parts, state: RunState, hyperparameters: Any, index: Int[Array, ""], horizon: Int[Array, ""] | int
) -> tuple[RunState, dict[str, Array]]:
    act_key, update_key, _ = _iteration_keys(state, index)
    progress = Progress(index / horizon, jnp.asarray(horizon, jnp.float32))
    state, rollout, summary = _collect(parts, act_key, state, hyperparameters, progress)
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
