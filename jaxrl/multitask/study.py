"""PolicyGradEx (arXiv 2511.12779) stage by stage: train on all tasks, estimate, group, train the groups."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.on_policy_parts import OnPolicyState
from jaxrl.configs import check_config
from jaxrl.errors import require_name
from jaxrl.multitask.experience import gather, parts_of, policy_parameters, policy_samples, with_policy
from jaxrl.multitask.grouping import adaptation
from jaxrl.multitask.grouping.clustering import Clustering, ClusteringConfig, make_clustering
from jaxrl.multitask.grouping.estimation import EstimatorConfig, make_estimator
from jaxrl.multitask.grouping.projection import Projection, ProjectionConfig, random_projection
from jaxrl.multitask.grouping.samples import TaskSamples
from jaxrl.multitask.grouping.similarity import Evidence, make_affinity
from jaxrl.multitask.grouping.subsets import random_subsets, subsets_for_coverage
from jaxrl.ranges import COUNT, NOT_NEGATIVE, SOME
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["AffinityConfig", "GroupStudy", "TaskAffinity", "group_study"]

PERFORMANCES = ("surrogate", "rollouts")
AFFINITIES = ("estimated", "cosine", "random")


@dataclass(frozen=True, kw_only=True)
class AffinityConfig:
    """How tasks are compared; static."""

    affinity: str = "estimated"
    """estimated (performance after adapting to subsets that hold both tasks), cosine (of their policy gradients) or
    random."""
    performance: str = "surrogate"
    """What adapting to a subset is judged by: surrogate (first order, on the transitions at hand) or rollouts (fresh
    episodes of the adapted policies)."""
    subset_size: Annotated[int, COUNT] = 3
    """Tasks of a subset."""
    num_subsets: Annotated[int, SOME] = 0
    """Random subsets; 0 draws three times as many as hold every pair with probability 0.99."""
    relative_distance: Annotated[float, NOT_NEGATIVE] = 0.01
    """Length of an adaptation relative to the policy's parameters: how far the first order is trusted."""
    l2_weight: Annotated[float, NOT_NEGATIVE] = 0.1
    """Of the regression that adapts, relative to advantages of unit deviation."""
    per_task: bool = True
    """Affinity of i to j is how i fares with j, not how the whole subset does."""
    gradient_chunk: Annotated[int, COUNT] = 256
    """Transitions whose gradients exist at a time."""

    def __post_init__(self) -> None:
        check_config(self)
        require_name("affinity", self.affinity, AFFINITIES)
        require_name("performance", self.performance, PERFORMANCES)


class TaskAffinity(NamedTuple):
    """How well tasks go together.

    Attributes:
        affinity: symmetric, larger is better.
        performance: of every task after adapting to each subset; NaN for affinities that adapt to none.
        subsets: tasks of each.
        gradients: projected policy gradient of every task, of unit-deviation advantages.
    """

    affinity: Float[Array, "task task"]
    performance: Float[Array, "subset task"]
    subsets: Array
    gradients: Float[Array, "task feature"]


class GroupStudy(NamedTuple):
    """The stages between training on all tasks and training groups of them, as pure functions.

    Attributes:
        estimate: `(key, agent state, hyperparameters) -> TaskAffinity`: `sample`, then `compare`.
        sample: `(key, agent state, hyperparameters) -> TaskSamples`: transitions of every task, as projected gradients
            and advantages.
        compare: `(key, TaskSamples, agent state, hyperparameters) -> TaskAffinity`, under the same key.
        group: `affinity -> Clustering`. Use `jax.lax.map` over several, not vmap.
        trainer: of the merged family.
        config: of the affinity.
        clustering: of the groups.
    """

    estimate: Callable[[PRNGKeyArray, OnPolicyState, PyTree], TaskAffinity]
    sample: Callable[[PRNGKeyArray, OnPolicyState, PyTree], TaskSamples]
    compare: Callable[[PRNGKeyArray, TaskSamples, OnPolicyState, PyTree], TaskAffinity]
    group: Callable[[Float[Array, "task task"]], Clustering]
    trainer: Trainer
    config: AffinityConfig
    clustering: ClusteringConfig


class _Parts(NamedTuple):
    trainer: Trainer
    config: AffinityConfig
    projection: Projection
    adapt: Callable[..., Any]
    num_subsets: int


def group_study(trainer: Trainer, **settings: Any) -> GroupStudy:
    """Builds a study of which tasks of a merged family belong together.

    Args:
        trainer: on-policy, feed-forward, of `jaxrl.multitask.merge(family)`.
        settings: of `AffinityConfig`, `ProjectionConfig`, `EstimatorConfig` and `ClusteringConfig`, by name.

    Raises:
        UnknownNameError: for an unknown setting or choice, with the nearest match.
        ValueError: for another kind of trainer, or sizes that do not fit the number of tasks.
    """
    parts_of(trainer)
    classes = (AffinityConfig, ProjectionConfig, EstimatorConfig, ClusteringConfig)
    names = {field.name for kind in classes for field in fields(kind)}
    for name in settings:
        require_name("setting", name, names)
    config, projection, estimator, clustering = (
        kind(**{field.name: settings[field.name] for field in fields(kind) if field.name in settings})
        for kind in classes
    )
    estimator = replace(estimator, largest_subset=estimator.largest_subset or config.subset_size)
    num_tasks = trainer.environment.spec.num_tasks
    if not 2 <= config.subset_size <= num_tasks:
        raise ValueError(f"subset_size must lie between 2 and the {num_tasks} tasks, got {config.subset_size}")
    num_subsets = config.num_subsets or 3 * subsets_for_coverage(num_tasks, config.subset_size)
    state = jax.eval_shape(trainer.init, jax.random.key(0), trainer.hyperparameters)
    project = random_projection(policy_parameters(state.agent.params), projection)
    parts = _Parts(trainer, config, project, make_estimator(estimator), num_subsets)
    stages = (partial(stage, parts) for stage in (_estimate, _sample, _compare))
    return GroupStudy(*stages, make_clustering(clustering), trainer, config, clustering)


def _estimate(parts: _Parts, key: PRNGKeyArray, agent: OnPolicyState, hyperparameters: PyTree) -> TaskAffinity:
    return _compare(parts, key, _sample(parts, key, agent, hyperparameters), agent, hyperparameters)


def _keys(key: PRNGKeyArray) -> tuple[PRNGKeyArray, ...]:
    """Of acting, of the projection, of subsets, of evaluating and of chance."""
    return tuple(jax.random.split(key, 5))


def _sample(parts: _Parts, key: PRNGKeyArray, agent: OnPolicyState, hyperparameters: PyTree) -> TaskSamples:
    act_key, projection_key, *_ = _keys(key)
    experience = gather(parts.trainer, act_key, agent, hyperparameters)
    chunk = parts.config.gradient_chunk
    return policy_samples(parts.trainer, agent, experience, parts.projection, projection_key, chunk)


def _compare(
    parts: _Parts, key: PRNGKeyArray, samples: TaskSamples, agent: OnPolicyState, hyperparameters: PyTree
) -> TaskAffinity:
    config, num_tasks = parts.config, parts.trainer.environment.spec.num_tasks
    _, projection_key, subset_key, evaluate_key, chance_key = _keys(key)
    subsets = random_subsets(subset_key, num_tasks, parts.num_subsets, config.subset_size)
    gradients = jnp.einsum("tsf,ts->tf", samples.features, samples.advantage) / samples.count[:, None]
    if config.affinity == "estimated":
        policy = policy_parameters(agent.params)
        x = parts.adapt(samples, subsets, config.l2_weight).x
        x = adaptation.rescaled(x, policy, parts.projection, projection_key, config.relative_distance)
        if config.performance == "surrogate":
            performance = adaptation.surrogate_performance(samples, x)
        else:
            evaluate = partial(_returns_of, parts, evaluate_key, agent, hyperparameters)
            performance = adaptation.evaluated_performance(evaluate, policy, parts.projection, projection_key, x)
    else:
        performance = jnp.full(subsets.shape, jnp.nan)
    rest = {"per_task": config.per_task} if config.affinity == "estimated" else {}
    evidence = Evidence(performance, subsets, gradients, num_tasks=num_tasks)
    affinity = make_affinity(config.affinity, **rest)(chance_key, evidence)
    return TaskAffinity(affinity, performance, subsets, gradients)


def _returns_of(
    parts: _Parts, key: PRNGKeyArray, agent: OnPolicyState, hyperparameters: PyTree, policy: PyTree
) -> Float[Array, " task"]:
    return parts.trainer.evaluate(key, with_policy(agent, policy), hyperparameters).returns
