"""What a policy does in every task of a merged family, and how its log-probabilities lean there."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.on_policy_parts import OnPolicyState, Parts
from jaxrl.agents.on_policy_update import prepare
from jaxrl.multitask.grouping.gradients import projected_gradients
from jaxrl.multitask.grouping.projection import Projection
from jaxrl.multitask.grouping.samples import TaskSamples, task_samples
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree
from jaxrl.validity import kept

__all__ = ["Experience", "gather", "log_probability", "parts_of", "policy_parameters", "policy_samples", "with_policy"]


class Experience(NamedTuple):
    """Transitions of one policy in every task, each task with as many (while gathered, leading axes `time` and `env`).

    Attributes:
        observation: as the network sees it.
        raw_action: the raw sample of the policy's distribution.
        advantage: generalised advantage in the task's own reward.
        valid: whether anything may be learned from it (see `Rollout.valid`); None where all are.
    """

    observation: PyTree
    raw_action: Array
    advantage: Float[Array, "*batch sample"]
    valid: Bool[Array, "*batch sample"] | None = None


def parts_of(trainer: Trainer) -> Parts:
    """What an on-policy trainer of a merged family is put together of.

    Raises:
        ValueError: for an agent of another kind, an environment without tasks, or a recurrent network.
    """
    found = getattr(trainer.agent.update, "args", (None,))[0]
    if not isinstance(found, Parts):
        raise ValueError(f"task grouping needs an on-policy agent such as ppo or a2c, got {trainer.agent_name!r}")
    if not trainer.environment.spec.num_tasks:
        raise ValueError(f"{trainer.environment.spec.name} has no tasks; merge a family (jaxrl.multitask.merge)")
    if found.network.recurrent:
        network = found.config.network
        raise ValueError(f"gradients of single transitions need a feed-forward network, got network={network!r}")
    return found


def gather(trainer: Trainer, key: PRNGKeyArray, agent: OnPolicyState, hyperparameters: PyTree) -> Experience:
    """One iteration of acting in every task, from fresh starts, with the agent's own number of copies and steps.

    Of a suite, whose copies have their own tasks, one iteration serves all tasks.
    """
    environment, num_tasks = trainer.environment, trainer.environment.spec.num_tasks

    def one(key: PRNGKeyArray, task: Array) -> Experience:
        params = environment.task_params(hyperparameters.environment, task)
        return _act(trainer, key, agent, hyperparameters._replace(environment=params))

    if environment.blocks:
        # Copies of a task are consecutive.
        split = lambda leaf: leaf.reshape(leaf.shape[0], num_tasks, -1, *leaf.shape[2:]).swapaxes(0, 1)  # noqa: E731
        seen = jax.tree.map(split, _act(trainer, key, agent, hyperparameters))
    else:
        seen = jax.vmap(one)(jax.random.split(key, num_tasks), jnp.arange(num_tasks))
    return jax.tree.map(lambda leaf: leaf.reshape(num_tasks, -1, *leaf.shape[3:]), seen)


def _act(trainer: Trainer, key: PRNGKeyArray, agent: OnPolicyState, hyperparameters: PyTree) -> Experience:
    """One iteration from fresh starts, axes `time` and `env`."""
    start_key, act_key = jax.random.split(key)
    state = trainer.init(start_key, hyperparameters)._replace(agent=agent)
    _, rollout, _ = trainer.collect(act_key, state, hyperparameters)
    batch, _ = prepare(parts_of(trainer), agent, rollout, hyperparameters)
    # Other tasks' advantages are zero.
    return Experience(batch.observation, batch.raw_action, batch.advantage.sum(axis=-1), batch.valid)


def policy_parameters(params: PyTree) -> PyTree:
    """Those of the policy; a critic that shares no layers with it is left out."""
    return {name: leaf for name, leaf in params.items() if not name.startswith("critic")}


def with_policy(agent: OnPolicyState, policy: PyTree) -> OnPolicyState:
    """The agent with other parameters of its policy."""
    return agent._replace(params={**agent.params, **policy})


def log_probability(parts: Parts, params: PyTree, policy: PyTree, sample: tuple[PyTree, Array]) -> Float[Array, ""]:
    """log π(a|o) of one transition under `policy`, of which `params` has the rest of the network."""
    observation, raw_action = sample
    weights, start = jnp.ones(parts.spec.num_objectives), jnp.zeros((), bool)
    distribution, _ = parts.network.act({**params, **policy}, observation, weights, (), start)
    return parts.distribution.log_prob(distribution, raw_action)


def policy_samples(
    trainer: Trainer,
    agent: OnPolicyState,
    experience: Experience,
    projection: Projection,
    key: PRNGKeyArray,
    chunk: int = 256,
) -> TaskSamples:
    """g̃ = Pᵀ∇ log π(a|o) of every transition, with its advantage, standardised within each task.

    The first-order policy of PolicyGradEx (arXiv 2511.12779, section 4): log r ≈ g·(θ - θ*), so that adapting to a
    set of tasks is a logistic regression on the signs of their advantages, weighted by their size.
    """
    function, policy = partial(log_probability, parts_of(trainer), agent.params), policy_parameters(agent.params)

    def one(samples: tuple[Array, Array]) -> Float[Array, "sample feature"]:
        return projected_gradients(function, policy, samples, projection, key, chunk).features

    features = jax.lax.map(one, (experience.observation, experience.raw_action))
    centred = experience.advantage - experience.advantage.mean(axis=1, keepdims=True)
    centred = kept(experience.valid, centred)
    return task_samples(features, centred / jnp.maximum(centred.std(axis=1, keepdims=True), 1e-8))
