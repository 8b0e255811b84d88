"""The trainer: environment + agent + schedule as three pure functions."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import hyperparameters as named
from jaxrl.agents import Agent, AgentEntry, Rollout, agent_entry
from jaxrl.agents.check import check_agent
from jaxrl.agents.defaults import complete
from jaxrl.agents.entries import entry_of
from jaxrl.aggregation import ReturnSummary
from jaxrl.configs import field_names
from jaxrl.environments.base import Environment, require_compiled
from jaxrl.environments.check import check_structure
from jaxrl.environments.registry import make
from jaxrl.environments.step_transforms import action_repeat
from jaxrl.errors import require_name
from jaxrl.ranges import Range
from jaxrl.training import assembly
from jaxrl.training.evaluation import Evaluation, evaluation_columns, evaluator, return_columns
from jaxrl.training.loop import Result
from jaxrl.training.program import Player, complete_program
from jaxrl.training.rollouts import RunState
from jaxrl.training.schedule import Default, TrainerConfig, fit_config, fit_schedule
from jaxrl.types import Array, Int, PRNGKeyArray, PyTree

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

    @property
    def num_copies(self) -> int:
        """Copies of the environment that act side by side."""
        return self.agent.collects.num_envs

    def copy_axes(self, state: RunState) -> RunState:
        """0 at leaves with an axis of copies of the environment, which devices may divide, None at others."""
        axes, none = ([jax.tree.map(lambda _, axis=axis: axis, leaf) for leaf in state] for axis in (0, None))
        copies = RunState(*axes)
        return RunState(*none)._replace(
            environment=copies.environment, observation=copies.observation, start=0, memory=copies.memory, weights=0,
            episode=copies.episode,
        )  # fmt: skip

    def actor(self, state: RunState, hyperparameters: Any) -> Player:
        """What acts of the agent as it is after a run."""
        return Player(self.agent, self.agent.actor(state.agent), hyperparameters)


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
        ValueError: for values that do not fit each other or the environment, or one that is only to be evaluated on.
        EnvironmentContractError: for an environment that breaks the contract.
        AgentContractError: for an agent of one's own that breaks the contract.
    """
    given_environment = make(environment) if isinstance(environment, str) else environment
    check_structure(given_environment)
    require_compiled(given_environment.spec)
    entry, name = _entry(agent)
    given = {k: value for k, value in settings.items() if not isinstance(value, Default)}
    plain = {**{k: value.value for k, value in settings.items() if isinstance(value, Default)}, **given}
    schedule_names, agent_names = field_names(TrainerConfig()), field_names(entry.config)
    schedule = TrainerConfig(**{k: v for k, v in plain.items() if k in schedule_names})
    environment = action_repeat(given_environment, schedule.action_repeat)
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
        named.require_present(type(defaults), paths, setting)
        require_name("setting", setting, known)
    return _assemble(
        environment,
        built,
        fit_schedule(schedule, built.collects, frozenset(given)),
        hyperparameters=named.replace(defaults, rest, ranges=built.ranges),
        agent_name=name,
        settings=plain,
        rebuild=lambda **changes: trainer(agent, given_environment, **{**settings, **changes}),
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


def _assemble(environment: Environment, agent: Agent, config: TrainerConfig, **rest: Any) -> Trainer:
    parts = assembly.parts_of(environment, agent, config)
    return Trainer(
        init=partial(assembly.init, parts),
        step=partial(assembly.step, parts),
        learn=partial(assembly.learn, parts),
        collect=partial(assembly.collect_once, parts),
        run=partial(assembly.run, parts),
        train_on=partial(assembly.train_on, parts),
        evaluate=parts.evaluate,
        environment=environment,
        agent=agent,
        config=config,
        num_iterations=parts.num_iterations,
        steps_per_iteration=parts.steps_per_iteration,
        **rest,
    )
