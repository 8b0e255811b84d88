"""What every tabular algorithm returns, and how it steps an environment whose states are numbered."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment, EnvironmentSpec
from jaxrl.morl.pareto import hypervolume
from jaxrl.morl.tabular.model import state_index
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray, PyTree

__all__ = [
    "MAX_HYPERVOLUME_OBJECTIVES",
    "Episode",
    "Result",
    "Tabular",
    "as_arrays",
    "epsilon",
    "follow",
    "interact",
    "measured",
    "reference_point",
    "rollout",
]

# What compiled code can measure exactly.
MAX_HYPERVOLUME_OBJECTIVES = 3


class Result(NamedTuple):
    """What a run found.

    Attributes:
        points: return vectors from the start, discounted as the run was; zeros outside `mask`.
        mask: which entries are on the front found.
        hypervolume: of what was known at each record, above the reference point; NaN for more
            than three objectives, which compiled code cannot measure.
        steps: environment steps taken until each record, all that the algorithm used.
        policy: what `execute` needs; entry `i` of `points` is policy `i`.
        diagnostics: named arrays of the algorithm's own.
    """

    points: Float[Array, "capacity objective"]
    mask: Bool[Array, " capacity"]
    hypervolume: Float[Array, " record"]
    steps: Int[Array, " record"]
    policy: PyTree
    diagnostics: dict[str, Array]


class Episode(NamedTuple):
    """One episode: its return vector, the same discounted, and its length."""

    returns: Float[Array, " objective"]
    discounted_returns: Float[Array, " objective"]
    length: Int[Array, ""]


class Tabular(NamedTuple):
    """A tabular multi-objective algorithm on one environment.

    Attributes:
        run: `(key, hyperparameters) -> Result`, pure: jit it, and vmap it over keys and leaves.
        execute: `(key, result, index, hyperparameters) -> Episode`: one episode of the policy
            behind `result.points[index]`; pure too.
        hyperparameters: traced defaults.
        config: the static settings.
    """

    run: Callable[[PRNGKeyArray, PyTree], Result]
    execute: Callable[[PRNGKeyArray, Result, Int[Array, ""] | int, PyTree], Episode]
    hyperparameters: PyTree
    config: Any


def as_arrays(hyperparameters: PyTree) -> PyTree:
    """Python numbers as float32 arrays, so that every default can be traced."""
    return jax.tree.map(lambda leaf: jnp.float32(leaf) if isinstance(leaf, float | int) else leaf, hyperparameters)


def epsilon(hyperparameters: PyTree, progress: Float[Array, ""]) -> Float[Array, ""]:
    """ε falls linearly from `epsilon_start` to `epsilon_end` over the first `exploration_fraction` of a run."""
    fraction = jnp.clip(progress / jnp.maximum(hyperparameters.exploration_fraction, 1e-6), 0.0, 1.0)
    return hyperparameters.epsilon_start + fraction * (hyperparameters.epsilon_end - hyperparameters.epsilon_start)


def measured(
    points: Float[Array, "batch objective"], mask: Bool[Array, " batch"], reference: Float[Array, " objective"]
) -> Float[Array, ""]:
    """The hypervolume where compiled code can measure it, else NaN."""
    if points.shape[-1] > MAX_HYPERVOLUME_OBJECTIVES:
        return jnp.float32(jnp.nan)
    return jnp.where(jnp.any(jnp.isnan(reference)), jnp.nan, hypervolume(points, reference, mask))


def reference_point(spec: EnvironmentSpec) -> Float[Array, " objective"]:
    """The environment's reference point, NaN where it names none."""
    point = spec.reference_point
    return jnp.full(spec.num_objectives, jnp.nan) if point is None else jnp.asarray(point, jnp.float32)


def interact(
    environment: Environment, key: PRNGKeyArray, state: PyTree, action: Int[Array, ""], params: PyTree
) -> tuple[PyTree, Int[Array, ""], Int[Array, ""], Float[Array, " objective"], Bool[Array, ""]]:
    """One step, with a fresh start where the episode is over.

    Returns:
        The state to go on from and its number; the number of the state just reached, which is the
        one to learn from; the reward; whether the task ended.
    """
    step_key, reset_key = jax.random.split(key)
    number = state_index(environment.spec.observation)
    state, timestep = environment.step(step_key, state, action, params)
    done = timestep.terminated | timestep.truncated
    reached = number(timestep.observation)
    fresh, observation = environment.reset(reset_key, params)
    state = jax.tree.map(lambda new, old: jnp.where(done, new, old), fresh, state)
    onward = jnp.where(done, number(observation), reached)
    return state, onward, reached, timestep.reward, timestep.terminated


def rollout(
    environment: Environment,
    key: PRNGKeyArray,
    choose: Callable[[PyTree, Int[Array, ""], Int[Array, ""]], tuple[Int[Array, ""], PyTree]],
    memory: PyTree,
    discount: Float[Array, ""],
    params: PyTree,
) -> Episode:
    """One episode of `choose(memory, state number, steps taken) -> (action, memory)`."""
    number = state_index(environment.spec.observation)
    reset_key, key = jax.random.split(key)
    state, observation = environment.reset(reset_key, params)
    nothing = jnp.zeros(environment.spec.num_objectives)

    def body(carry: PyTree) -> PyTree:
        state, observation, memory, episode, weight, _ = carry
        action, memory = choose(memory, number(observation), episode.length)
        step_key = jax.random.fold_in(key, episode.length)
        state, timestep = environment.step(step_key, state, action, params)
        episode = Episode(
            episode.returns + timestep.reward,
            episode.discounted_returns + weight * timestep.reward,
            episode.length + 1,
        )
        done = timestep.terminated | timestep.truncated
        return state, timestep.observation, memory, episode, weight * discount, done

    start = state, observation, memory, Episode(nothing, nothing, jnp.int32(0)), jnp.float32(1.0), jnp.array(False)
    return jax.lax.while_loop(lambda carry: ~carry[-1], body, start)[3]


def follow(
    environment: Environment,
    key: PRNGKeyArray,
    actions: Int[Array, "time state"],
    discount: Float[Array, ""],
    params: PyTree,
) -> Episode:
    """One episode of a table of actions by steps taken and state; its last row goes on for ever."""

    def choose(memory: PyTree, state: Array, steps: Array) -> tuple[Array, PyTree]:
        return actions[jnp.minimum(steps, actions.shape[0] - 1), state], memory

    return rollout(environment, key, choose, (), discount, params)
