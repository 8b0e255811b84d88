"""One iteration of acting: the state of a run, and `collect`."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.base import Agent, Progress, Rollout
from jaxrl.aggregation import ReturnSummary
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.batching import BatchedEnvironment, select_batch
from jaxrl.environments.episodes import EpisodeStatistics, accumulate, restart_where, start_episode
from jaxrl.environments.tasks import paying
from jaxrl.numerics.copies import divided
from jaxrl.numerics.weights import preferences
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = ["RunState", "collect", "num_episodes", "start_run"]


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


def start_run(
    key: PRNGKeyArray, agent: Agent, environment: BatchedEnvironment | None, hyperparameters: Any
) -> RunState:
    """The state before the first iteration; of an agent that collects nothing there is no environment."""
    agent_key, reset_key, run_key = jax.random.split(key, 3)
    state, observation, num_envs, num_objectives = (), (), 0, agent.spec.num_objectives
    if environment is not None:
        state, observation = environment.reset(reset_key, hyperparameters.environment)
        num_envs = environment.num_envs
    return RunState(
        agent=agent.init(agent_key, hyperparameters),
        environment=state,
        observation=observation,
        start=jnp.ones(num_envs, bool),
        memory=agent.memory((num_envs,)),
        weights=jnp.broadcast_to(hyperparameters.weights, (num_envs, num_objectives)),
        episode=start_episode((num_envs,), num_objectives),
        key=run_key,
    )


def collect(
    key: PRNGKeyArray,
    state: RunState,
    agent: Agent,
    environment: BatchedEnvironment | None,
    hyperparameters: Any,
    progress: Progress | None = None,
) -> tuple[RunState, Rollout | None, ReturnSummary]:
    """Acts for one iteration, at the end of training by default; all random numbers are drawn before the loop."""
    collects, num_objectives = agent.collects, agent.spec.num_objectives
    progress = progress or Progress(jnp.ones(()), jnp.ones(()))
    discount = jnp.asarray(getattr(hyperparameters, "discount", 1.0))
    zeros = jnp.zeros(num_objectives)
    nothing = ReturnSummary(zeros, zeros, jnp.zeros(()), zeros)
    if environment is None:
        return state, None, nothing
    num_steps = collects.num_steps
    if collects.group_size:
        state = _restart_groups(jax.random.fold_in(key, 0), state, agent, environment, hyperparameters)
    draw_key, noise_key, weights_key = jax.random.split(key, 3)
    draws = divided(environment.draw(draw_key, num_steps, hyperparameters.environment), axis=1)
    noise = divided(agent.noise(noise_key, (num_steps, environment.num_envs)), axis=1)
    weights = state.weights
    if collects.condition_on_weights:
        weights = _preferences(weights_key, agent, environment.num_envs, hyperparameters)
        if collects.weights_last:
            # Its episode is not older than the last iteration.
            begun = state.episode.length < num_steps
            weights = jnp.where(begun[:, None], weights, state.weights)

    def body(carry: tuple, inputs: tuple) -> tuple[tuple, dict]:
        env_state, observation, start, memory, episode, finished = carry
        raw, memory, *extras = agent.explore(
            state.agent, observation, memory, start, weights, inputs[1], hyperparameters, progress
        )
        env_state, timestep = environment.step(inputs[0], env_state, agent.action(raw), hyperparameters.environment)
        episode = accumulate(episode, timestep.reward, discount)
        done, faulty = timestep.terminated | timestep.truncated, timestep.info["faulty"]
        # What a fault cuts off has not come to its end.
        finished = _add_finished(finished, episode, done & ~faulty, paying(environment.spec, observation))
        seen = {
            "observation": observation,
            "raw_action": raw,
            "reward": timestep.reward,
            "terminated": timestep.terminated,
            "truncated": timestep.truncated,
            "final_observation": select_batch(faulty, observation, timestep.info["final_observation"]),
            "start": start,
            "info": timestep.info,
        }
        seen = {name: seen[name] for name in agent.records} | dict(zip(["extras"], extras)) | {"valid": ~faulty}
        return (env_state, timestep.observation, done, memory, restart_where(done, episode), finished), seen

    copies = divided((state.environment, state.observation, state.start, state.memory, state.episode))
    carry, seen = jax.lax.scan(body, (*copies, nothing), (draws, noise))
    env_state, observation, start, memory, episode, finished = carry
    rollout = Rollout(**seen, memory=state.memory, weights=weights)
    count = jnp.maximum(finished.count, 1.0)
    length = finished.length / jnp.maximum(num_episodes(environment.spec, finished), 1.0)
    summary = ReturnSummary(finished.returns / count, finished.discounted_returns / count, length, finished.count)
    state = RunState(state.agent, env_state, observation, start, memory, weights, episode, state.key)
    return state, rollout, summary


def _preferences(key: PRNGKeyArray, agent: Agent, num_envs: int, hyperparameters: Any) -> Float[Array, "env objective"]:
    if agent.preferences is not None:
        return agent.preferences(key, num_envs, hyperparameters)
    return preferences(key, num_envs, agent.spec.num_objectives, agent.collects.num_preferences)


def _restart_groups(
    key: PRNGKeyArray, state: RunState, agent: Agent, environment: BatchedEnvironment, hyperparameters: Any
) -> RunState:
    """Fresh episodes, those of a group from the same start."""
    inner, observation = environment.reset(key, hyperparameters.environment, agent.collects.group_size)
    num_envs = environment.num_envs
    return state._replace(
        environment=inner,
        observation=observation,
        start=jnp.ones(num_envs, bool),
        memory=agent.memory((num_envs,)),
        episode=start_episode((num_envs,), environment.spec.num_objectives),
    )


def num_episodes(spec: EnvironmentSpec, summary: ReturnSummary) -> Float[Array, ""]:
    """Episodes that ended: those of all tasks, or those that paid all objectives."""
    return summary.count.sum() if spec.num_tasks else summary.count[0]


def _add_finished(
    finished: ReturnSummary,
    episode: EpisodeStatistics,
    done: Bool[Array, " env"],
    paid: Float[Array, "env objective"] | None,
) -> ReturnSummary:
    mask = done.astype(jnp.float32)
    return ReturnSummary(
        finished.returns + mask @ episode.returns,
        finished.discounted_returns + mask @ episode.discounted_returns,
        finished.length + mask @ episode.length,
        finished.count + (mask.sum() if paid is None else mask @ paid),
    )
