"""Several environments as one, each a task: as `merge`, where tasks are programs of their own and not parameters."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.family import named_observation, named_space
from jaxrl.environments.parts import has_parts
from jaxrl.types import Array, Int, PRNGKeyArray, PyTree

__all__ = ["SuiteState", "suite"]


class SuiteState(NamedTuple):
    """The state of one episode.

    Attributes:
        task: which it is about.
        inner: a state of every environment, of which the task's own is in use.
    """

    task: Int[Array, ""]
    inner: tuple[PyTree, ...]


def suite(environments: Sequence[Environment], names: Sequence[str] = ()) -> Environment:
    """One environment with a task and an objective for each of `environments`.

    Copies are shared out evenly and keep their task (`Environment.blocks`), so that a step costs each copy its own
    environment's program and no other's. Observations, rewards, evaluation and statistics by task are those of `merge`;
    `params` is a tuple of the environments' own. A single copy, without batching, draws its task at every reset.

    Args:
        environments: with one objective, equal observation and action spaces, and the same entries of `info`.
        names: of the tasks; default the environments'.

    Raises:
        ValueError: for environments that do not fit each other.
    """
    names = tuple(names) or tuple(environment.spec.name for environment in environments)
    spec = _shared_spec(environments, names)
    count = len(environments)
    blocks = tuple(_block(environment, task, count, spec) for task, environment in enumerate(environments))
    return Environment(
        reset=partial(_reset, blocks),
        step=partial(_step, blocks),
        params=tuple(environment.params for environment in environments),
        spec=spec,
        blocks=blocks,
    )


def _shared_spec(environments: Sequence[Environment], names: tuple[str, ...]) -> EnvironmentSpec:
    if not environments or len(set(names)) != len(environments):
        raise ValueError(f"a suite needs environments and one name for each, got {len(environments)} and {names}")
    first = environments[0].spec
    for spec in (environment.spec for environment in environments):
        if spec.num_objectives != 1:
            raise ValueError(f"tasks have one objective each, {spec.name} has {spec.num_objectives}")
        if (spec.action, spec.action_mask, _form(spec)) != (first.action, first.action_mask, _form(first)):
            raise ValueError(
                f"{spec.name} has actions {spec.action} and observations {spec.observation}, unlike {first.name} with "
                f"{first.action} and {first.observation}"
            )
    limits = [environment.spec.time_limit for environment in environments]
    return EnvironmentSpec(
        name=" + ".join(names),
        observation=named_space(first, len(names)),
        action=first.action,
        num_objectives=len(names),
        time_limit=None if None in limits else max(limits),
        objective_names=names,
        discount=first.discount,
        costly_reset=any(environment.spec.costly_reset for environment in environments),
        num_tasks=len(names),
        action_mask=first.action_mask,
    )


def _form(spec: EnvironmentSpec) -> Any:
    """What observations of environments must share: shapes, and of several parts their spaces."""
    return spec.observation if has_parts(spec.observation) else spec.observation.shape


def _block(environment: Environment, task: int, count: int, spec: EnvironmentSpec) -> Environment:
    """One environment with the task's name in its observations and the suite's vector of rewards."""
    observe = partial(named_observation, environment.spec.observation, count, jnp.int32(task))

    def reset(key: PRNGKeyArray, params: PyTree) -> tuple[PyTree, PyTree]:
        state, observation = environment.reset(key, params)
        return state, observe(observation)

    def step(key: PRNGKeyArray, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep]:
        state, timestep = environment.step(key, state, action, params)
        reward = timestep.reward * jax.nn.one_hot(task, count)
        return state, timestep._replace(reward=reward, observation=observe(timestep.observation))

    return Environment(reset, step, environment.params, spec)


def _reset(blocks: tuple[Environment, ...], key: PRNGKeyArray, params: tuple[PyTree, ...]) -> tuple[SuiteState, PyTree]:
    task_key, *keys = jax.random.split(key, len(blocks) + 1)
    task = jax.random.randint(task_key, (), 0, len(blocks))
    started = [block.reset(*inputs) for block, *inputs in zip(blocks, keys, params, strict=True)]
    states, observations = zip(*started, strict=True)
    return SuiteState(task, states), jax.tree.map(lambda *leaves: jnp.stack(leaves)[task], *observations)


def _step(
    blocks: tuple[Environment, ...],
    key: PRNGKeyArray,
    state: SuiteState,
    action: Array,
    params: tuple[PyTree, ...],
) -> tuple[SuiteState, Timestep]:
    def branch(task: int, states: tuple[PyTree, ...]) -> tuple[tuple[PyTree, ...], Timestep]:
        own, timestep = blocks[task].step(key, states[task], action, params[task])
        return (*states[:task], own, *states[task + 1 :]), timestep

    branches = [partial(branch, task) for task in range(len(blocks))]
    inner, timestep = jax.lax.switch(state.task, branches, state.inner)
    return SuiteState(state.task, inner), timestep
