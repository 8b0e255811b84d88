"""How the policies of tabular algorithms act: by tables of actions, or by tracking a return vector."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.base import Actor
from jaxrl.environments.base import Environment, EnvironmentSpec
from jaxrl.morl.tabular.model import state_index
from jaxrl.morl.tabular.return_sets import ReturnSets, q_sets
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = ["Acting", "Episode", "Tracked", "by_tables", "by_tracking", "play"]


class Acting(NamedTuple):
    """Everything traced in an evaluation.

    Attributes:
        environment: its parameters.
    """

    environment: PyTree


class Episode(NamedTuple):
    """One episode: its return vector, the same discounted, and its length."""

    returns: Float[Array, " objective"]
    discounted_returns: Float[Array, " objective"]
    length: Int[Array, ""]


class Tracked(NamedTuple):
    """A policy given by what it will return.

    Attributes:
        sets: return vectors of every state and action.
        target: the one wanted from the start.
        discount: γ of the sets.
    """

    sets: ReturnSets
    target: Float[Array, " objective"]
    discount: Float[Array, ""]


def by_tables(spec: EnvironmentSpec) -> Actor:
    """An actor whose state is a set of tables `[table, time, state]` of actions.

    One table is drawn uniformly at the start of an episode; its last row goes on for ever.
    """

    def memory(batch_shape: tuple[int, ...]) -> tuple[Array, Array]:
        return jnp.zeros(batch_shape, jnp.int32), jnp.zeros(batch_shape, jnp.int32)

    return Actor(memory, partial(_look_up, spec), spec)


def _look_up(
    spec: EnvironmentSpec,
    key: PRNGKeyArray,
    tables: Int[Array, "table time state"],
    observation: Array,
    memory: tuple[Array, Array],
    hyperparameters: Acting,
    explore: bool = False,
) -> tuple[Array, tuple[Array, Array]]:
    del hyperparameters, explore  # Tables neither depend on the environment's parameters nor explore.
    number = state_index(spec.observation)(observation)
    steps, table = memory
    drawn = jax.random.randint(key, number.shape, 0, tables.shape[0])
    table = jnp.where(steps == 0, drawn, table)
    action = tables[table, jnp.minimum(steps, tables.shape[1] - 1), number]
    return action, (steps + 1, table)


def by_tracking(spec: EnvironmentSpec) -> Actor:
    """An actor whose state is `Tracked`: it follows one return vector of the start state.

    In each state, the action whose set holds the vector nearest to the target; that vector's
    continuation is the next target (Van Moffaert and Nowé, 2014, section 4.4).
    """

    def memory(batch_shape: tuple[int, ...]) -> tuple[Array, Array]:
        return jnp.zeros(batch_shape, jnp.int32), jnp.zeros((*batch_shape, spec.num_objectives))

    return Actor(memory, partial(_track, spec), spec)


def _track(
    spec: EnvironmentSpec,
    key: PRNGKeyArray,
    tracked: Tracked,
    observation: Array,
    memory: tuple[Array, Array],
    hyperparameters: Acting,
    explore: bool = False,
) -> tuple[Array, tuple[Array, Array]]:
    del key, hyperparameters, explore  # Nothing here is random.
    number = state_index(spec.observation)(observation)
    steps, target = memory
    target = jnp.where((steps == 0)[..., None], tracked.target, target)
    choose = partial(_nearest, tracked)
    for _ in range(number.ndim):
        choose = jax.vmap(choose)
    action, target = choose(number, target)
    return action, (steps + 1, target)


def _nearest(
    tracked: Tracked, state: Int[Array, ""], target: Float[Array, " objective"]
) -> tuple[Int[Array, ""], Float[Array, " objective"]]:
    points, mask = q_sets(tracked.sets, state, tracked.discount)
    distance = jnp.where(mask, jnp.sum((points - target) ** 2, axis=-1), jnp.inf)
    action, slot = jnp.unravel_index(jnp.argmin(distance), distance.shape)
    return action, tracked.sets.continuation[state, action, slot]


def play(
    environment: Environment,
    key: PRNGKeyArray,
    actor: Actor,
    policy: PyTree,
    discount: Float[Array, ""],
    params: PyTree,
) -> Episode:
    """One episode, inside a learner's own program."""
    reset_key, key = jax.random.split(key)
    state, observation = environment.reset(reset_key, params)
    nothing = jnp.zeros(environment.spec.num_objectives)

    def body(carry: PyTree) -> PyTree:
        state, observation, memory, episode, weight, _ = carry
        act_key, step_key = jax.random.split(jax.random.fold_in(key, episode.length))
        action, memory = actor.act(act_key, policy, observation, memory, Acting(params))
        state, timestep = environment.step(step_key, state, action, params)
        episode = Episode(
            episode.returns + timestep.reward,
            episode.discounted_returns + weight * timestep.reward,
            episode.length + 1,
        )
        done = timestep.terminated | timestep.truncated
        return state, timestep.observation, memory, episode, weight * discount, done

    episode = Episode(nothing, nothing, jnp.int32(0))
    start = state, observation, actor.memory(()), episode, jnp.float32(1.0), jnp.array(False)
    return jax.lax.while_loop(lambda carry: ~carry[-1], body, start)[3]
