"""Runs the same actions through one of our environments and through the peer it must equal."""

import jax
import jax.numpy as jnp
import numpy as np


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


def peer_rollout(peer, actions):
    """The first observation and the columns observation, reward, terminated, truncated."""
    rows, first = [], peer.reset(seed=0)[0]
    for action in actions:
        observation, reward, terminated, truncated, _ = peer.step(action)
        rows.append((observation, reward, terminated, truncated and not terminated))
        if terminated or truncated:
            peer.reset()
    return first, tuple(np.array(column) for column in zip(*rows))
