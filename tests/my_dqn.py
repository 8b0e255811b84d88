"""A DQN written from the docs alone, which explain it: docs/how_to/agent.md."""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

import jaxrl
from jaxrl.agents import Agent, Collection
from jaxrl.environments.parts import zeros
from jaxrl.environments.spaces import encode
from jaxrl.ranges import PROBABILITY

State = NamedTuple("State", [(name, Any) for name in ("params", "target", "optimiser", "buffer", "written")])


@dataclass(frozen=True)
class Config:
    num_envs: int = 4
    num_steps: int = 8
    buffer_size: int = 4096
    batch_size: int = 64
    num_updates: int = 8


class Hyperparameters(NamedTuple):
    learning_rate: float = 1e-3
    discount: Annotated[float, PROBABILITY] = 0.99
    epsilon_end: Annotated[float, PROBABILITY] = 0.05
    target_rate: Annotated[float, PROBABILITY] = 0.05
    weights: Any = None
    environment: Any = ()


@jaxrl.register_agent("my_dqn", hyperparameters=Hyperparameters)
def dqn(spec, config=Config()):
    network = nn.Sequential([nn.Dense(64), nn.relu, nn.Dense(spec.action.n * spec.num_objectives)])

    def at(values, action):  # the vector of one action
        return jnp.take_along_axis(values, action[..., None, None], axis=-2)[..., 0, :]

    def values(params, observation):  # [..., action, objective]
        flat = network.apply(params, encode(spec.observation, observation))
        return flat.reshape(*flat.shape[:-1], spec.action.n, spec.num_objectives)

    def init(key, hp):
        observation = zeros(spec.observation)
        params = network.init(key, encode(spec.observation, observation))
        no = jnp.bool_(False)
        row = (observation, jnp.int32(0), jnp.zeros(spec.num_objectives), no, observation, no)
        buffer = jax.tree.map(lambda leaf: jnp.zeros((config.buffer_size, *leaf.shape), leaf.dtype), row)
        return State(params, params, optax.scale_by_adam().init(params), buffer, jnp.int32(0))

    def act(key, state, observation, memory, hp, explore=False, epsilon=None):
        best = jnp.argmax(values(state.params, observation) @ hp.weights, axis=-1)
        chance, choice = jax.random.split(key)
        random = jax.random.uniform(chance, best.shape) < (hp.epsilon_end if epsilon is None else epsilon)
        any_action = jax.random.randint(choice, best.shape, 0, spec.action.n)
        return jnp.where(random, any_action, best) if explore else best, memory

    def explore(state, observation, memory, start, weights, noise, hp, progress):
        epsilon = jnp.maximum(hp.epsilon_end, 1.0 - 2.0 * progress.fraction)
        return act(noise, state, observation, memory, hp, True, epsilon)

    def loss(params, target, observation, action, reward, terminated, following, valid, hp):
        future = values(target, following)
        goal = at(future, jnp.argmax(future @ hp.weights, axis=-1)) * hp.discount * ~terminated[:, None]
        return jnp.mean(valid[:, None] * (at(values(params, observation), action) - reward - goal) ** 2)

    def update(key, state, rollout, summary, hp, progress):
        seen = ("observation", "raw_action", "reward", "terminated", "final_observation", "valid")
        fresh = tuple(getattr(rollout, name) for name in seen)
        rows = (state.written + jnp.arange(rollout.terminated.size)) % config.buffer_size
        fresh = jax.tree.map(lambda new: new.reshape(rows.size, *new.shape[2:]), fresh)
        buffer = jax.tree.map(lambda old, new: old.at[rows].set(new), state.buffer, fresh)
        state = state._replace(buffer=buffer, written=state.written + rows.size)

        def step(state, key):
            chosen = jax.random.randint(key, (config.batch_size,), 0, jnp.minimum(state.written, config.buffer_size))
            batch = jax.tree.map(lambda leaf: leaf[chosen], state.buffer)
            error, gradient = jax.value_and_grad(loss)(state.params, state.target, *batch, hp)
            change, optimiser = optax.scale_by_adam().update(gradient, state.optimiser)
            params = jax.tree.map(lambda leaf, step: leaf - hp.learning_rate * step, state.params, change)
            target = optax.incremental_update(params, state.target, hp.target_rate)
            return state._replace(params=params, target=target, optimiser=optimiser), error

        state, errors = jax.lax.scan(step, state, jax.random.split(key, config.num_updates))
        return state, {"squared_error": errors.mean()}

    collects = Collection(num_envs=config.num_envs, num_steps=config.num_steps)
    acting = lambda state: State(state.params, (), (), (), ())  # noqa: E731
    return Agent(init, act, update, Hyperparameters(), spec, config, collects, explore=explore, actor=acting)
