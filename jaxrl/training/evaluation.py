"""Whole episodes of an agent, inside the program: raw returns per objective and lengths."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents.base import Actor, Agent
from jaxrl.environments.base import Environment, EnvironmentSpec
from jaxrl.environments.batching import BatchedEnvironment, select_batch, vectorise
from jaxrl.environments.episodes import EpisodeStatistics, accumulate, start_episode
from jaxrl.environments.tasks import paying
from jaxrl.numerics.copies import divided
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["Evaluation", "evaluation_columns", "evaluator", "return_columns"]


class Evaluation(NamedTuple):
    """Means over the episodes of one evaluation; a whole run stacks them on a leading axis.

    An episode that comes to a step that is not finite is cut there and counts with what it gathered.
    Where objectives are tasks, each one's mean is over its own episodes; NaN if it had none.

    Attributes:
        returns: Σ rₜ of the environment's own rewards, per objective.
        deviation: standard deviation of those returns over episodes.
        discounted_returns: Σ γᵗ rₜ with γ of `spec.discount`.
        length: steps per episode.
        success: share of episodes in which `info["success"]` was true, per objective; NaN where none is reported.
        steps: environment steps of training before this evaluation.
    """

    returns: Float[Array, "*batch objective"]
    deviation: Float[Array, "*batch objective"]
    discounted_returns: Float[Array, "*batch objective"]
    length: Float[Array, "*batch"]
    success: Float[Array, "*batch objective"]
    steps: Float[Array, "*batch"]


def return_columns(spec: EnvironmentSpec) -> list[str]:
    """`return` for one objective, else `return_<objective>` for each."""
    return ["return"] if spec.num_objectives == 1 else [f"return_{name}" for name in spec.objective_names]


def evaluation_columns(evaluation: Evaluation, spec: EnvironmentSpec) -> dict[str, np.ndarray]:
    """Named columns of evaluations, whose leading axes are flattened to rows: steps, returns, their standard deviations
    over episodes, lengths, and success where it is reported."""
    columns: dict[str, np.ndarray] = {"steps": np.nan_to_num(evaluation.steps).ravel().astype(np.int64)}
    for prefix, values in (("", evaluation.returns), ("discounted_", evaluation.discounted_returns)):
        flat = np.asarray(values).reshape(-1, spec.num_objectives)
        columns |= {prefix + name: flat[:, i] for i, name in enumerate(return_columns(spec))}
    deviation = np.asarray(evaluation.deviation).reshape(-1, spec.num_objectives)
    columns |= {name.replace("return", "deviation", 1): deviation[:, i] for i, name in enumerate(return_columns(spec))}
    columns["length"] = np.asarray(evaluation.length).ravel()
    success = np.asarray(evaluation.success).reshape(-1, spec.num_objectives)
    if np.isfinite(success).any():
        columns |= {name.replace("return", "success", 1): success[:, i] for i, name in enumerate(return_columns(spec))}
    return columns


def evaluator(
    environment: Environment, agent: Agent | Actor, num_episodes: int, max_steps: int, explore: bool = False
) -> Callable[[PRNGKeyArray, PyTree, PyTree], Evaluation]:
    """Builds `(key, agent_state, hyperparameters) -> Evaluation`.

    Episodes run in the training's own `hyperparameters.environment` and under its normalisation
    statistics until all of them have ended. Where objectives are tasks, each has as many episodes.

    Args:
        environment: without auto-reset.
        agent: whose `act` is used.
        num_episodes: episodes run side by side, at least 1; of each of the environment's blocks.
        max_steps: steps after which an episode without a time limit is cut.
        explore: sample actions instead of taking the most likely.
    """
    if num_episodes < 1:
        raise ValueError(f"evaluation_episodes must be at least 1, got {num_episodes}")
    blocks = max(1, len(environment.blocks))
    copies = vectorise(environment, num_episodes * blocks, auto_reset="none")
    bound = jnp.iinfo(jnp.int32).max if environment.spec.time_limit else max_steps
    parts = _Parts(copies, agent, bound, explore)
    play = partial(_play, parts)
    if environment.blocks or not environment.task_params:
        return play

    def each_task(key: PRNGKeyArray, agent_state: PyTree, hyperparameters: PyTree) -> Evaluation:
        def of_task(key: PRNGKeyArray, task: Array) -> Evaluation:
            params = environment.task_params(hyperparameters.environment, task)
            return play(key, agent_state, hyperparameters._replace(environment=params))

        count = environment.spec.num_tasks
        each = jax.vmap(of_task)(jax.random.split(key, count), jnp.arange(count))
        # Row i is of task i, which pays objective i alone.
        own = jax.tree.map(lambda leaf: jnp.diagonal(leaf) if leaf.ndim == 2 else leaf, each)
        return own._replace(length=each.length.mean(), steps=jnp.zeros(()))

    return each_task


class _Parts(NamedTuple):
    copies: BatchedEnvironment
    agent: Agent | Actor
    bound: int | Array
    explore: bool


def _play(parts: _Parts, key: PRNGKeyArray, agent_state: PyTree, hyperparameters: PyTree) -> Evaluation:
    """One episode of every copy."""
    copies, agent, spec = parts.copies, parts.agent, parts.copies.spec
    agent_state = agent.actor(agent_state)
    reset_key, steps_key = jax.random.split(key)
    discount = jnp.asarray(spec.discount)

    def unfinished(carry: tuple) -> Array:
        *_, done, step = carry
        return ~jnp.all(done) & (step < parts.bound)

    def body(carry: tuple) -> tuple:
        state, observation, memory, episode, success, done, step = carry
        act_key, step_key = jax.random.split(jax.random.fold_in(steps_key, step))
        action, memory = agent.act(act_key, agent_state, observation, memory, hyperparameters, parts.explore)
        draws = jax.tree.map(lambda leaf: leaf[0], copies.draw(step_key, 1, hyperparameters.environment))
        state, timestep = copies.step(draws, state, action, hyperparameters.environment)
        episode = select_batch(done, episode, accumulate(episode, timestep.reward, discount))
        reached = jnp.asarray(timestep.info.get("success", jnp.nan), jnp.float32)
        success = jnp.where(done | timestep.info["faulty"], success, jnp.maximum(success, reached))
        done = done | timestep.terminated | timestep.truncated
        return state, timestep.observation, memory, episode, success, done, step + 1

    state, observation = divided(copies.reset(reset_key, hyperparameters.environment))
    count = copies.num_envs
    episode = start_episode((count,), spec.num_objectives)
    done, success = jnp.zeros(count, bool), jnp.zeros(count)
    carry = (state, observation, agent.memory((count,)), episode, success, done, jnp.zeros((), jnp.int32))
    episode, success = jax.lax.while_loop(unfinished, body, carry)[3:5]
    return _summary(episode, success, _counted(spec, observation))


def _counted(spec: EnvironmentSpec, observation: PyTree) -> Float[Array, "env objective"]:
    """1 where an episode counts for an objective: for all of them, or for the task that it is about alone."""
    paid = paying(spec, observation)
    return jnp.ones((jax.tree.leaves(observation)[0].shape[0], spec.num_objectives)) if paid is None else paid


def _summary(
    episode: EpisodeStatistics, success: Float[Array, " env"], counted: Float[Array, "env objective"]
) -> Evaluation:
    mean = lambda values: (counted * values).sum(axis=0) / counted.sum(axis=0)  # noqa: E731
    returns = mean(episode.returns)
    return Evaluation(
        returns=returns,
        deviation=jnp.sqrt(mean((episode.returns - returns) ** 2)),
        discounted_returns=mean(episode.discounted_returns),
        length=episode.length.mean(),
        success=mean(success[:, None]),
        steps=jnp.zeros(()),
    )
