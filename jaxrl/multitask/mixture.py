"""A family as one environment with one objective: every episode is one of its tasks, which is not named."""

from functools import partial
from typing import NamedTuple

import jax

from jaxrl.environments.base import Environment, Timestep
from jaxrl.multitask.family import MergedParams, TaskFamily, draw_task, merged_params
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["MixtureState", "mixture"]


class MixtureState(NamedTuple):
    """The state of one episode and the parameters that it runs under."""

    params: PyTree
    inner: PyTree


def mixture(family: TaskFamily) -> Environment:
    """An environment whose parameters are drawn anew for every episode: variations of one task, such as its goals.

    `params` are those of `merge`, so that the odds of each variation are traced.
    """
    environment = family.environment
    return Environment(
        reset=partial(_reset, environment),
        step=partial(_step, environment),
        params=merged_params(family),
        spec=environment.spec,
    )


def _reset(environment: Environment, key: PRNGKeyArray, params: MergedParams) -> tuple[MixtureState, PyTree]:
    task_key, reset_key = jax.random.split(key)
    _, own = draw_task(task_key, params)
    inner, observation = environment.reset(reset_key, own)
    return MixtureState(own, inner), observation


def _step(
    environment: Environment, key: PRNGKeyArray, state: MixtureState, action: Array, params: MergedParams
) -> tuple[MixtureState, Timestep]:
    del params  # the episode keeps those that it began with
    inner, timestep = environment.step(key, state.inner, action, state.params)
    return MixtureState(state.params, inner), timestep
