"""Environments that are paid for a goal, which is a traced parameter."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp

from jaxrl.environments.base import Environment, Timestep
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["GoalParams", "weighted", "with_goal"]


class GoalParams(NamedTuple):
    """The wrapped environment's parameters, and the goal, which observations do not show."""

    inner: PyTree
    goal: Array


def with_goal(environment: Environment, reward: Callable[..., Array], goal: Array) -> Environment:
    """Pays `reward(state, next state, own reward vector, action, goal)`, a scalar, in place of the own reward.

    Args:
        environment: without optional members that tell of rewards.
        reward: a pure function.
        goal: the default of `params.goal`.
    """

    def reset(key: PRNGKeyArray, params: GoalParams) -> tuple[PyTree, PyTree]:
        return environment.reset(key, params.inner)

    def step(key: PRNGKeyArray, state: PyTree, action: Array, params: GoalParams) -> tuple[PyTree, Timestep]:
        following, timestep = environment.step(key, state, action, params.inner)
        paid = reward(state, following, timestep.reward, action, params.goal)
        return following, timestep._replace(reward=jnp.asarray(paid, jnp.float32).reshape(1))

    spec = replace(environment.spec, num_objectives=1, objective_names=("reward",), reference_point=None)
    return Environment(reset, step, GoalParams(environment.params, goal), spec)


def weighted(
    state: PyTree,
    following: PyTree,
    rewards: Float[Array, " objective"],
    action: Array,
    weights: Float[Array, " objective"],
) -> Float[Array, ""]:
    """w·r, for environments with several objectives of which the goal is to weigh them so."""
    return weights @ rewards
