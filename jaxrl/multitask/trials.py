"""Trials: several episodes of one hidden task as one long episode, so that a recurrent agent learns to learn."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.base import Agent
from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.batching import vectorise
from jaxrl.environments.family import MergedParams, TaskFamily, draw_task, merged_params, only_task
from jaxrl.environments.masks import beside_mask, beside_mask_space, seen, seen_space
from jaxrl.environments.parts import zeros
from jaxrl.environments.spaces import Box, Discrete, MultiDiscrete, encode
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray, PyTree

__all__ = ["Recall", "TrialState", "adaptation_curve", "trials"]


class Recall(NamedTuple):
    """What the last step of a trial was; all zero before the first.

    Attributes:
        action: encoded as observations are, integers one-hot.
        reward: that it earned.
        done: 1 if it ended an episode.
    """

    action: Float[Array, " feature"]
    reward: Float[Array, ""]
    done: Float[Array, ""]


class TrialState(NamedTuple):
    """The state of a trial.

    Attributes:
        task: which the trial is about.
        inner: state of the running episode.
        starts: state and observation that each episode begins with, leading axis `episode`.
        episode: how many have ended.
        returns: of each episode so far.
    """

    task: Int[Array, ""]
    inner: PyTree
    starts: tuple[PyTree, PyTree]
    episode: Int[Array, ""]
    returns: Float[Array, " episode"]


def trials(family: TaskFamily, num_episodes: int) -> Environment:
    """`num_episodes` episodes of one drawn task as one, the task hidden (RL², arXiv 1611.02779, section 2).

    Observations are the task's own, then the last action, the last reward and whether the last step ended an episode,
    as one vector (integers one-hot), beside the mask of legal actions where there is one.
    `jaxrl.trainer("ppo", trials(family, 3), network="gru")` is RL²: memory is kept from one episode to the next and
    lost with the trial, and what is maximised is the trial's return. The end of the last episode ends the trial, with
    that episode's own flag: a time limit cuts it, so that what follows has value.

    `params` are those of `merge`, of any number of tasks: the held-out ones are
    `params._replace(tasks=held_out.params, probabilities=...)`. `info["episode_returns"]` holds the return of every
    inner episode so far.

    Args:
        family: the tasks.
        num_episodes: of a trial, at least 1.

    Raises:
        ValueError: for fewer than 1 episode.
    """
    if num_episodes < 1:
        raise ValueError(f"a trial needs at least 1 episode, got num_episodes={num_episodes}")
    environment, spec = family.environment, family.environment.spec
    own = seen_space(spec)
    size = jax.eval_shape(lambda: encode(own, zeros(own))).size + _action_size(spec) + 2
    trial = EnvironmentSpec(
        name=f"{spec.name} x {num_episodes} episodes",
        observation=beside_mask_space(spec, Box(-jnp.inf, jnp.inf, (size,))),
        action=spec.action,
        action_mask=spec.action_mask,
        time_limit=None if spec.time_limit is None else num_episodes * spec.time_limit,
        discount=spec.discount,
        costly_reset=spec.costly_reset,
    )
    params = merged_params(family)
    return Environment(
        partial(_reset, environment, num_episodes), partial(_step, environment, num_episodes), params, trial
    )


def _action_size(spec: EnvironmentSpec) -> int:
    return jax.eval_shape(partial(encode, spec.action), jnp.zeros(spec.action.shape, spec.action.dtype)).size


def _observe(spec: EnvironmentSpec, observation: PyTree, recall: Recall) -> PyTree:
    own = encode(seen_space(spec), seen(spec, observation))
    vector = jnp.concatenate([own, recall.action, recall.reward[None], recall.done[None]])
    return beside_mask(spec, vector, observation)


def _encode_action(spec: EnvironmentSpec, action: Array) -> Float[Array, " feature"]:
    """Bounded actions in [-1, 1], as policies see them."""
    if isinstance(spec.action, Discrete | MultiDiscrete) or not spec.action.bounded:
        return encode(spec.action, action)
    low, high = jnp.asarray(spec.action.low), jnp.asarray(spec.action.high)
    return encode(spec.action, 2.0 * (action - low) / (high - low) - 1.0)


def _reset(
    environment: Environment, num_episodes: int, key: PRNGKeyArray, params: MergedParams
) -> tuple[TrialState, PyTree]:
    task_key, reset_key = jax.random.split(key)
    task, own = draw_task(task_key, params)
    starts = jax.vmap(environment.reset, in_axes=(0, None))(jax.random.split(reset_key, num_episodes), own)
    inner, observation = jax.tree.map(lambda leaf: leaf[0], starts)
    nothing = Recall(jnp.zeros(_action_size(environment.spec)), jnp.zeros(()), jnp.zeros(()))
    state = TrialState(task, inner, starts, jnp.zeros((), jnp.int32), jnp.zeros(num_episodes))
    return state, _observe(environment.spec, observation, nothing)


def _step(
    environment: Environment,
    num_episodes: int,
    key: PRNGKeyArray,
    state: TrialState,
    action: Array,
    params: MergedParams,
) -> tuple[TrialState, Timestep]:
    own = jax.tree.map(lambda leaf: leaf[state.task], params.tasks)
    inner, timestep = environment.step(key, state.inner, action, own)
    done = timestep.terminated | timestep.truncated
    reward = timestep.reward[0]
    episode = state.episode + done
    over = episode >= num_episodes
    start = jax.tree.map(lambda leaf: leaf[jnp.minimum(episode, num_episodes - 1)], state.starts)
    again: Bool[Array, ""] = done & ~over
    inner, observation = jax.tree.map(
        lambda fresh, old: jnp.where(again, fresh, old), start, (inner, timestep.observation)
    )
    returns = state.returns.at[state.episode].add(reward)
    recall = Recall(_encode_action(environment.spec, action), reward, done.astype(jnp.float32))
    following = Timestep(
        _observe(environment.spec, observation, recall),
        reward[None],
        timestep.terminated & over,
        timestep.truncated & over,
        {"episode_returns": returns},
    )
    return TrialState(state.task, inner, state.starts, episode, returns), following


def adaptation_curve(
    environment: Environment, agent: Agent, num_trials: int, max_steps: int = 1000, explore: bool = True
) -> Callable[[PRNGKeyArray, PyTree, PyTree], Float[Array, "task episode"]]:
    """Builds `(key, agent_state, hyperparameters) -> mean return of each episode of a trial`, of every task.

    Tasks are those of `hyperparameters.environment`, each in as many trials.

    Args:
        environment: from `trials`.
        agent: that acts in it.
        num_trials: of each task, at least 1.
        max_steps: steps after which a trial without a time limit is cut.
        explore: sample actions, as in training, instead of taking the most likely.
    """
    if num_trials < 1:
        raise ValueError(f"num_trials must be at least 1, got {num_trials}")
    copies = vectorise(environment, num_trials, auto_reset="none")
    num_steps = environment.spec.time_limit or max_steps

    def of_task(key: PRNGKeyArray, agent_state: PyTree, hyperparameters: PyTree) -> Float[Array, " episode"]:
        reset_key, steps_key = jax.random.split(key)
        agent_state = agent.actor(agent_state)
        params = hyperparameters.environment
        state, observation = copies.reset(reset_key, params)

        def body(carry: tuple, key: PRNGKeyArray) -> tuple[tuple, None]:
            state, observation, memory, done, returns = carry
            act_key, step_key = jax.random.split(key)
            action, memory = agent.act(act_key, agent_state, observation, memory, hyperparameters, explore)
            draws = jax.tree.map(lambda leaf: leaf[0], copies.draw(step_key, 1, params))
            state, timestep = copies.step(draws, state, action, params)
            over = done | timestep.info["faulty"]
            returns = jnp.where(over[:, None], returns, timestep.info["episode_returns"])
            done = done | timestep.terminated | timestep.truncated
            return (state, timestep.observation, memory, done, returns), None

        carry = (state, observation, agent.memory((num_trials,)), jnp.zeros(num_trials, bool), state.returns)
        (*_, returns), _ = jax.lax.scan(body, carry, jax.random.split(steps_key, num_steps))
        return returns.mean(axis=0)

    def curve(key: PRNGKeyArray, agent_state: PyTree, hyperparameters: PyTree) -> Float[Array, "task episode"]:
        tasks = hyperparameters.environment
        count = tasks.probabilities.shape[0]

        def one(key: PRNGKeyArray, task: Array) -> Float[Array, " episode"]:
            return of_task(key, agent_state, hyperparameters._replace(environment=only_task(tasks, task)))

        return jax.vmap(one)(jax.random.split(key, count), jnp.arange(count))

    return curve
