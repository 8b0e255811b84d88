"""Families of tasks: one environment under many parameters, and all of them as one environment."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.goals import GoalParams, weighted, with_goal
from jaxrl.environments.spaces import Box, Dict, Discrete, MultiDiscrete, Space
from jaxrl.environments.tasks import TASK
from jaxrl.ranges import Range
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = [
    "MergedParams",
    "MergedState",
    "TaskFamily",
    "draw_task",
    "make_family",
    "merge",
    "merged_params",
    "mixture",
    "named_observation",
    "named_space",
    "objectives_as_tasks",
    "only_task",
    "select",
]


class TaskFamily(NamedTuple):
    """Tasks that share their spaces and differ in the environment's parameters.

    Attributes:
        environment: of a single task, with a scalar reward.
        params: of all tasks, leading axis `task`, those to train on first.
        names: of the tasks.
        num_held_out: of the tasks, the last ones, kept for evaluation.
    """

    environment: Environment
    params: PyTree
    names: tuple[str, ...]
    num_held_out: int = 0

    @property
    def num_tasks(self) -> int:
        """How many tasks there are, held-out ones included."""
        return len(self.names)

    @property
    def train(self) -> "TaskFamily":
        """The tasks to train on."""
        return select(self, range(self.num_tasks - self.num_held_out))

    @property
    def held_out(self) -> "TaskFamily":
        """The tasks kept for evaluation.

        Raises:
            ValueError: if there are none.
        """
        if not self.num_held_out:
            raise ValueError(f"no task of {self.environment.spec.name} is held out; give num_held_out")
        return select(self, range(self.num_tasks - self.num_held_out, self.num_tasks))


class MergedParams(NamedTuple):
    """Parameters of a merged family.

    Attributes:
        tasks: parameters of every task, leading axis `task`.
        probabilities: with which an episode is about each task; 0 leaves a task out.
    """

    tasks: PyTree
    probabilities: Float[Array, " task"]


class MergedState(NamedTuple):
    """The state of one episode and the task that it is about."""

    task: Int[Array, ""]
    inner: PyTree


def make_family(
    environment: Environment, params: Sequence[PyTree] | PyTree, names: Sequence[str] = (), num_held_out: int = 0
) -> TaskFamily:
    """Builds a family.

    Args:
        environment: of a single task, with one objective.
        params: a sequence of parameters, or one pytree with a leading axis `task`.
        names: of the tasks; default their numbers.
        num_held_out: of the tasks, the last ones, kept for evaluation.

    Raises:
        ValueError: for an environment with several objectives, parameters that are not the environment's, or counts
            that do not fit.
    """
    if environment.spec.num_objectives != 1:
        raise ValueError(
            f"tasks have one objective each, {environment.spec.name} has {environment.spec.num_objectives}; see "
            "objectives_as_tasks and transforms.utility_reward"
        )
    if isinstance(params, list | tuple) and not hasattr(params, "_fields"):
        params = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *params)
    expected, got = jax.tree.structure(environment.params), jax.tree.structure(params)
    if expected != got:
        raise ValueError(f"parameters of {environment.spec.name} are {expected}, got {got}")
    params = jax.tree.map(lambda leaf, like: jnp.asarray(leaf, jnp.asarray(like).dtype), params, environment.params)
    count = {leaf.shape[0] for leaf in jax.tree.leaves(params)}
    if len(count) != 1:
        raise ValueError(f"every parameter needs one entry per task, got leading axes {sorted(count)}")
    number = count.pop()
    names = tuple(names) or tuple(f"task_{i}" for i in range(number))
    if len(names) != number:
        raise ValueError(f"{len(names)} names for {number} tasks: {names}")
    Range(integer=True).check("num_held_out", num_held_out)
    if not 0 <= num_held_out < number:
        raise ValueError(f"num_held_out={num_held_out} must lie between 0 and {number - 1}")
    return TaskFamily(environment, params, names, num_held_out)


def select(family: TaskFamily, tasks: Sequence[int] | range) -> TaskFamily:
    """The family of some of the tasks, none of them held out."""
    chosen = np.asarray(list(tasks), int)
    params = jax.tree.map(lambda leaf: leaf[chosen], family.params)
    return TaskFamily(family.environment, params, tuple(family.names[i] for i in chosen))


def merge(family: TaskFamily) -> Environment:
    """All tasks of a family as one environment, in which every episode is about one of them and pays that one alone.

    The reward has one objective per task, so that everything that works on objectives works on tasks: weights,
    multipliers and bounds, a value per task, an evaluation per task. Observations end with the task, one-hot; discrete
    ones begin with its number, and a `Dict` has a part `task`. Training on a subset is a matter of `probabilities`,
    which are traced.

    Raises:
        ValueError: for observations that are neither vectors nor discrete, nor a `Dict`.
    """
    environment, count = family.environment, family.num_tasks
    spec = environment.spec
    merged = EnvironmentSpec(
        name=f"{spec.name} x {count}",
        observation=named_space(spec, count),
        action=spec.action,
        num_objectives=count,
        time_limit=spec.time_limit,
        objective_names=family.names,
        discount=spec.discount,
        costly_reset=spec.costly_reset,
        num_tasks=count,
        action_mask=spec.action_mask,
    )
    observe = partial(named_observation, spec.observation, count)
    return Environment(
        reset=partial(_reset, environment, observe),
        step=partial(_step, environment, observe, lambda task, reward: reward * jax.nn.one_hot(task, count)),
        params=merged_params(family),
        spec=merged,
        task_params=only_task,
    )


def mixture(family: TaskFamily) -> Environment:
    """A family as one environment with one objective: every episode is one of its tasks, which is not named.

    For variations of one task, such as places of its goal. `params` are those of `merge`, so that the odds of each are
    traced.
    """
    same = lambda _, seen: seen  # noqa: E731
    return Environment(
        reset=partial(_reset, family.environment, same),
        step=partial(_step, family.environment, same, same),
        params=merged_params(family),
        spec=family.environment.spec,
    )


def named_space(spec: EnvironmentSpec, count: int) -> Space:
    """The space of observations that name one of `count` tasks.

    Raises:
        ValueError: for observations that are neither vectors nor discrete, nor a `Dict`.
    """
    space = spec.observation
    if isinstance(space, Discrete):
        return MultiDiscrete((count, space.n))
    if isinstance(space, MultiDiscrete):
        return MultiDiscrete((count, *space.sizes))
    if isinstance(space, Dict):
        if TASK in dict(space.parts):
            raise ValueError(f"observations of {spec.name} have a part {TASK!r} already, which would name the task")
        return Dict((*space.parts, (TASK, Discrete(count))))
    if not isinstance(space, Box) or len(space.shape) != 1:
        raise ValueError(
            f"observations of tasks must be vectors, discrete or a Dict, {spec.name} has {space}; flatten them"
        )
    low, high = (np.broadcast_to(np.asarray(bound), space.shape) for bound in (space.low, space.high))
    return Box.from_arrays(
        np.append(low, np.zeros(count)), np.append(high, np.ones(count)), (space.shape[0] + count,), space.dtype
    )


def named_observation(space: Space, count: int, task: Int[Array, ""], observation: PyTree) -> PyTree:
    """An observation that names its task: one-hot after vectors, by its number before discrete ones or as a part."""
    if isinstance(space, Dict):
        return {**observation, TASK: jnp.asarray(task, jnp.int32)}
    if isinstance(space, Discrete | MultiDiscrete):
        return jnp.append(task, observation)
    return jnp.concatenate([observation, jax.nn.one_hot(task, count, dtype=observation.dtype)])


def merged_params(family: TaskFamily) -> MergedParams:
    """All tasks, with equal chances."""
    return MergedParams(family.params, jnp.full(family.num_tasks, 1.0 / family.num_tasks))


def draw_task(key: PRNGKeyArray, params: MergedParams) -> tuple[Int[Array, ""], PyTree]:
    """A task by its probability, and its parameters."""
    task = jax.random.categorical(key, jnp.log(params.probabilities)).astype(jnp.int32)
    return task, _of(params, task)


def _of(params: MergedParams, task: Int[Array, ""]) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[task], params.tasks)


def _reset(
    environment: Environment, observe: Callable[..., PyTree], key: PRNGKeyArray, params: MergedParams
) -> tuple[MergedState, PyTree]:
    task_key, reset_key = jax.random.split(key)
    task, own = draw_task(task_key, params)
    inner, observation = environment.reset(reset_key, own)
    return MergedState(task, inner), observe(task, observation)


def _step(
    environment: Environment,
    observe: Callable[..., PyTree],
    pay: Callable[..., Array],
    key: PRNGKeyArray,
    state: MergedState,
    action: Array,
    params: MergedParams,
) -> tuple[MergedState, Timestep]:
    inner, timestep = environment.step(key, state.inner, action, _of(params, state.task))
    reward, observation = pay(state.task, timestep.reward), observe(state.task, timestep.observation)
    return MergedState(state.task, inner), timestep._replace(reward=reward, observation=observation)


def only_task(params: MergedParams, task: Int[Array, ""] | int) -> MergedParams:
    """Parameters under which every episode is about one task."""
    return params._replace(probabilities=jax.nn.one_hot(task, params.probabilities.shape[0]))


def objectives_as_tasks(environment: Environment) -> TaskFamily:
    """Every objective of an environment as a task of its own, of which the reward is that objective."""
    count = environment.spec.num_objectives
    single = with_goal(environment, weighted, jnp.full(count, 1.0 / count))
    params = [GoalParams(environment.params, weights) for weights in jnp.eye(count)]
    return make_family(single, params, environment.spec.objective_names)
