"""The same actions through one of our environments and through its peer's."""

import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

NUM_STEPS = 5003


def uniform_actions(num_actions):
    return np.random.default_rng(7).integers(num_actions, size=NUM_STEPS)


def rollout(environment, params, actions, **per_step):
    """Observations before any reset, rewards and flags of one stream of episodes.

    `per_step` replaces fields of `params` by one value for each step.
    """

    @jax.jit
    def run(params, actions, per_step):
        start = environment.reset(jax.random.key(0), params)[0]

        def body(state, inputs):
            action, replaced = inputs
            now = params._replace(**replaced) if replaced else params
            state, timestep = environment.step(jax.random.key(1), state, action, now)
            done = timestep.terminated | timestep.truncated
            state = jax.tree.map(lambda first, last: jnp.where(done, first, last), start, state)
            return state, timestep

        return jax.lax.scan(body, start, (actions, per_step))[1]

    actions = jnp.asarray(actions, environment.spec.action.dtype)
    return jax.device_get(run(params, actions, {name: jnp.asarray(value) for name, value in per_step.items()}))


def peer_rollout(peer, actions, observe=lambda observation: observation, generator=None):
    """The peer's first observation, then its observations, rewards and flags.

    `observe` maps its observations to arrays; `generator`, if any, replaces its random numbers.
    """
    rows, first = [], observe(peer.reset(seed=0)[0])
    if generator is not None:
        peer.unwrapped.np_random = generator
    for action in actions:
        observation, reward, terminated, truncated, _ = peer.step(action)
        rows.append((observe(observation), reward, terminated, truncated and not terminated))
        if terminated or truncated:
            peer.reset()
    return first, tuple(np.array(column) for column in zip(*rows))


def mujoco_peer(name):
    """MO-Gymnasium's environment of that id; skips where it or MuJoCo is missing."""
    # gymnasium imports it for rendering only, without declaring it for the physics.
    sys.modules.setdefault("imageio", types.ModuleType("imageio"))
    pytest.importorskip("mujoco")
    return pytest.importorskip("mo_gymnasium").make(name)
