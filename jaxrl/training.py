"""The trainer: environment + agent + schedule as three pure functions."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import hyperparameters as named
from jaxrl.agents import Agent, Rollout, agent_entry
from jaxrl.aggregation import ReturnSummary
from jaxrl.environments.base import Environment, EnvironmentSpec
from jaxrl.environments.batching import AutoReset, BatchedEnvironment, vectorise
from jaxrl.environments.episodes import EpisodeStatistics, accumulate, restart_where, start_episode
from jaxrl.environments.registry import make
from jaxrl.errors import require_name
from jaxrl.evaluation import Evaluation, evaluator
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray, PyTree

__all__ = ["Result", "RunState", "Trainer", "TrainerConfig", "trainer"]


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
    auto_reset: AutoReset | None = None
    """fresh (a new start per copy and step), pool (a few starts per step, for costly resets) or
    None: what suits the environment."""
    pool_size: int | None = None
    """Starts per step in mode pool; default num_envs / 16."""


class RunState(NamedTuple):
    """The complete state of a run; saving it and continuing equals never having stopped.

    Attributes:
        agent: the agent's state.
        environment: environment states, leading axis `env`.
        observation: what the agent sees next.
        start: whether that observation begins an episode.
        memory: the agent's memory.
        weights: preference weights in force.
        episode: sums of the running episodes.
        key: base key; iteration i uses fold_in(key, i).
    """

    agent: PyTree
    environment: PyTree
    observation: PyTree
    start: Bool[Array, " env"]
    memory: PyTree
    weights: Float[Array, "env objective"]
    episode: EpisodeStatistics
    key: PRNGKeyArray


class Result(NamedTuple):
    """What a whole run returns.

    Attributes:
        state: the final `RunState`.
        evaluation: `returns` has shape [num_evaluations, num_objectives].
        metrics: by name, one entry per iteration.
    """

    state: RunState
    evaluation: Evaluation
    metrics: dict[str, Array]


class Trainer(NamedTuple):
    """One training program.

    Attributes:
        init: `(key, hyperparameters) -> RunState`.
        step: `(RunState, hyperparameters, index) -> (RunState, (metrics, Evaluation))`: collect,
            update, and evaluate where due (else NaN). `index` counts iterations and stays outside
            the vmapped state, so that the branch stays a branch.
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

    @property
    def evaluation_iterations(self) -> np.ndarray:
        """Indices of the iterations that end with an evaluation."""
        index = np.arange(self.num_iterations)
        return index[_evaluation_due(index, self.config.num_evaluations, self.num_iterations)]


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
    """
    environment = make(environment) if isinstance(environment, str) else environment
    schedule_names = {field.name for field in fields(TrainerConfig)}
    schedule = TrainerConfig(**{k: v for k, v in settings.items() if k in schedule_names})
    rest = {k: v for k, v in settings.items() if k not in schedule_names}
    if isinstance(agent, str):
        entry, name = agent_entry(agent), agent
        agent_names = {field.name for field in fields(entry.config)}
        config = replace(entry.config, **{k: _hashable(rest.pop(k)) for k in list(rest) if k in agent_names})
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
        named.replace(defaults, rest),
        name,
        settings,
        lambda **changes: trainer(agent, environment, **{**settings, **changes}),
    )


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _assemble(
    environment: Environment,
    agent: Agent,
    config: TrainerConfig,
    defaults: Any,
    name: str,
    settings: dict[str, Any],
    rebuild: Callable[..., Trainer],
) -> Trainer:
    num_envs, num_steps = agent.config.num_envs, agent.config.num_steps
    per_iteration = num_envs * num_steps
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
    batched = vectorise(environment, num_envs, auto_reset, config.pool_size)
    evaluate = evaluator(
        environment, agent, config.evaluation_episodes, config.evaluation_steps, config.evaluation_explores
    )

    def init(key: PRNGKeyArray, hyperparameters: Any) -> RunState:
        _check_shapes(hyperparameters, environment.spec)
        agent_key, reset_key, run_key = jax.random.split(key, 3)
        state, observation = batched.reset(reset_key, hyperparameters.environment)
        return RunState(
            agent=agent.init(agent_key, hyperparameters),
            environment=state,
            observation=observation,
            start=jnp.ones(num_envs, bool),
            memory=agent.memory((num_envs,)),
            weights=jnp.broadcast_to(hyperparameters.weights, (num_envs, environment.spec.num_objectives)),
            episode=start_episode((num_envs,), environment.spec.num_objectives),
            key=run_key,
        )

    def step(
        state: RunState, hyperparameters: Any, index: Int[Array, ""]
    ) -> tuple[RunState, tuple[dict[str, Array], Evaluation]]:
        collect_key, update_key, evaluate_key = jax.random.split(jax.random.fold_in(state.key, index), 3)
        state, rollout, summary = collect(collect_key, state, agent, batched, hyperparameters)
        progress = index / num_iterations
        agent_state, metrics = agent.update(update_key, state.agent, rollout, summary, hyperparameters, progress)
        state = state._replace(agent=agent_state)
        metrics = {
            **metrics,
            "episode_return": jnp.where(summary.count > 0, summary.returns, jnp.nan),
            "episode_length": jnp.where(summary.count > 0, summary.length, jnp.nan),
            "episodes": summary.count,
        }
        due = _evaluation_due(index, config.num_evaluations, num_iterations)
        evaluation = _evaluate_where(due, evaluate, evaluate_key, agent_state, hyperparameters)
        return state, (metrics, evaluation._replace(steps=(index + 1.0) * per_iteration))

    def finish(state: RunState, hyperparameters: Any) -> Result:
        state, (metrics, evaluation) = jax.lax.scan(
            lambda state, index: step(state, hyperparameters, index), state, jnp.arange(num_iterations)
        )
        rows = assembled.evaluation_iterations
        return Result(state, jax.tree.map(lambda leaf: leaf[rows], evaluation), metrics)

    def run(key: PRNGKeyArray, hyperparameters: Any) -> Result:
        return finish(init(key, hyperparameters), hyperparameters)

    def train_on(state: RunState, hyperparameters: Any) -> Result:
        return finish(state._replace(key=jax.random.fold_in(state.key, num_iterations)), hyperparameters)

    assembled = Trainer(
        init=init,
        step=step,
        run=run,
        train_on=train_on,
        evaluate=evaluate,
        rebuild=rebuild,
        hyperparameters=defaults,
        environment=environment,
        agent=agent,
        config=config,
        agent_name=name,
        settings=settings,
        num_iterations=num_iterations,
        steps_per_iteration=per_iteration,
    )
    return assembled


def _evaluation_due(index: Any, num_evaluations: int, num_iterations: int) -> Any:
    """True for `num_evaluations` iterations at equal intervals, the last one included."""
    return (index + 1) * num_evaluations // num_iterations > index * num_evaluations // num_iterations


def _evaluate_where(
    due: Bool[Array, ""], evaluate: Callable, key: PRNGKeyArray, agent_state: PyTree, hyperparameters: PyTree
) -> Evaluation:
    shapes = jax.eval_shape(evaluate, key, agent_state, hyperparameters)

    def skipped(*_: Any) -> Evaluation:
        return jax.tree.map(lambda leaf: jnp.full(leaf.shape, jnp.nan, leaf.dtype), shapes)

    return jax.lax.cond(due, evaluate, skipped, key, agent_state, hyperparameters)


def _check_shapes(hyperparameters: Any, spec: EnvironmentSpec) -> None:
    """Shapes are known while tracing, so that wrong weights are an error even under vmap."""
    shape = jnp.shape(hyperparameters.weights)
    if shape != (spec.num_objectives,):
        raise ValueError(
            f"weights have shape {shape}; {spec.name} has {spec.num_objectives} objectives: {spec.objective_names}"
        )


def collect(
    key: PRNGKeyArray, state: RunState, agent: Agent, environment: BatchedEnvironment, hyperparameters: Any
) -> tuple[RunState, Rollout, ReturnSummary]:
    """Acts for one iteration; all random numbers are drawn before the loop."""
    num_steps, num_objectives = agent.config.num_steps, environment.spec.num_objectives
    draw_key, noise_key, weights_key = jax.random.split(key, 3)
    draws = environment.draw(draw_key, num_steps, hyperparameters.environment)
    noise = agent.noise(noise_key, (num_steps, environment.num_envs))
    weights = state.weights
    if agent.config.condition_on_weights:
        shares = jax.random.exponential(weights_key, weights.shape)
        weights = shares / shares.sum(axis=-1, keepdims=True)

    def body(carry: tuple, inputs: tuple) -> tuple[tuple, tuple]:
        env_state, observation, start, memory, episode, finished = carry
        raw, memory = agent.explore(state.agent, observation, memory, start, weights, inputs[1], hyperparameters)
        env_state, timestep = environment.step(inputs[0], env_state, agent.action(raw), hyperparameters.environment)
        episode = accumulate(episode, timestep.reward, hyperparameters.discount)
        done = timestep.terminated | timestep.truncated
        finished = _add_finished(finished, episode, done)
        seen = (
            observation,
            raw,
            timestep.reward,
            timestep.terminated,
            timestep.truncated,
            timestep.info["final_observation"],
            start,
        )
        return (env_state, timestep.observation, done, memory, restart_where(done, episode), finished), seen

    nothing = ReturnSummary(jnp.zeros(num_objectives), jnp.zeros(num_objectives), jnp.zeros(()), jnp.zeros(()))
    carry = (state.environment, state.observation, state.start, state.memory, state.episode, nothing)
    carry, seen = jax.lax.scan(body, carry, (draws, noise))
    env_state, observation, start, memory, episode, finished = carry
    rollout = Rollout(*seen, memory=state.memory, weights=weights)
    count = jnp.maximum(finished.count, 1.0)
    summary = ReturnSummary(
        finished.returns / count, finished.discounted_returns / count, finished.length / count, finished.count
    )
    state = RunState(state.agent, env_state, observation, start, memory, weights, episode, state.key)
    return state, rollout, summary


def _add_finished(finished: ReturnSummary, episode: EpisodeStatistics, done: Bool[Array, " env"]) -> ReturnSummary:
    mask = done.astype(jnp.float32)
    return ReturnSummary(
        finished.returns + mask @ episode.returns,
        finished.discounted_returns + mask @ episode.discounted_returns,
        finished.length + mask @ episode.length,
        finished.count + mask.sum(),
    )
