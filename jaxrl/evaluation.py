"""Whole episodes of an agent, inside the program: raw returns per objective and lengths."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.base import Agent
from jaxrl.environments.base import Environment
from jaxrl.environments.batching import select_batch, vectorise
from jaxrl.environments.episodes import accumulate, start_episode
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["Evaluation", "evaluator"]


class Evaluation(NamedTuple):
    """Means over the episodes of one evaluation; a whole run stacks them on a leading axis.

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


def evaluator(
    environment: Environment, agent: Agent, num_episodes: int, max_steps: int, explore: bool = False
) -> Callable[[PRNGKeyArray, PyTree, PyTree], Evaluation]:
    """Builds `(key, agent_state, hyperparameters) -> Evaluation`.

    Episodes run in the training's own `hyperparameters.environment` and under its normalisation
    statistics until all of them have ended. Where objectives are tasks, each has as many episodes.

    Args:
        environment: without auto-reset.
        agent: whose `act` is used.
        num_episodes: episodes run side by side, at least 1.
        max_steps: steps after which an episode without a time limit is cut.
        explore: sample actions instead of taking the most likely.
    """
    if num_episodes < 1:
        raise ValueError(f"evaluation_episodes must be at least 1, got {num_episodes}")
    copies = vectorise(environment, num_episodes, auto_reset="none")
    bound = jnp.iinfo(jnp.int32).max if environment.spec.time_limit else max_steps
    discount = jnp.asarray(environment.spec.discount)

    def evaluate_one(key: PRNGKeyArray, agent_state: PyTree, hyperparameters: PyTree) -> Evaluation:
        reset_key, steps_key = jax.random.split(key)
        state, observation = copies.reset(reset_key, hyperparameters.environment)
        episode = start_episode((num_episodes,), environment.spec.num_objectives)
        done, success = jnp.zeros(num_episodes, bool), jnp.zeros(num_episodes)
        memory = agent.memory((num_episodes,))

        def unfinished(carry: tuple) -> Array:
            *_, done, step = carry
            return ~jnp.all(done) & (step < bound)

        def body(carry: tuple) -> tuple:
            state, observation, memory, episode, success, done, step = carry
            act_key, step_key = jax.random.split(jax.random.fold_in(steps_key, step))
            action, memory = agent.act(act_key, agent_state, observation, memory, hyperparameters, explore)
            draws = jax.tree.map(lambda leaf: leaf[0], copies.draw(step_key, 1, hyperparameters.environment))
            state, timestep = copies.step(draws, state, action, hyperparameters.environment)
            episode = select_batch(done, episode, accumulate(episode, timestep.reward, discount))
            reached = jnp.asarray(timestep.info.get("success", jnp.nan), jnp.float32)
            success = jnp.where(done, success, jnp.maximum(success, reached))
            done = done | timestep.terminated | timestep.truncated
            return state, timestep.observation, memory, episode, success, done, step + 1

        carry = (state, observation, memory, episode, success, done, jnp.zeros((), jnp.int32))
        episode, success = jax.lax.while_loop(unfinished, body, carry)[3:5]
        return Evaluation(
            returns=episode.returns.mean(axis=0),
            deviation=episode.returns.std(axis=0),
            discounted_returns=episode.discounted_returns.mean(axis=0),
            length=episode.length.mean(),
            success=jnp.broadcast_to(success.mean(), (environment.spec.num_objectives,)),
            steps=jnp.zeros(()),
        )

    def evaluate_tasks(key: PRNGKeyArray, agent_state: PyTree, hyperparameters: PyTree) -> Evaluation:
        def of_task(key: PRNGKeyArray, task: Array) -> Evaluation:
            params = environment.task_params(hyperparameters.environment, task)
            return evaluate_one(key, agent_state, hyperparameters._replace(environment=params))

        count = environment.spec.num_tasks
        each = jax.vmap(of_task)(jax.random.split(key, count), jnp.arange(count))
        # Row i is of task i, which pays objective i alone.
        own = jax.tree.map(lambda leaf: jnp.diagonal(leaf) if leaf.ndim == 2 else leaf, each)
        return own._replace(length=each.length.mean(), steps=jnp.zeros(()))

    return evaluate_tasks if environment.task_params else evaluate_one
