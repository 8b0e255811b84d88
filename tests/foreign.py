"""Walks an environment and the library that it comes from side by side."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.masks import sample_legal


class Walk(NamedTuple):
    """What both sides returned at every step, as NumPy arrays with a leading axis; theirs is what `step` gives."""

    actions: Any
    timesteps: Any
    theirs: Any
    firsts: Any
    their_firsts: Any


def walk(environment, reset, step, num_steps=200, seed=0):
    """Random legal steps of both under the same keys, both restarted where the environment's episode ended.

    Args:
        environment: of jaxrl.
        reset: the library's, `reset(key) -> (state, what it shows)`.
        step: the library's, `step(key, state, action) -> (state, what it shows)`, without a restart.
        num_steps: of the walk.
        seed: of keys and actions.
    """
    params = environment.params

    def body(carry, key):
        (mine, observation), theirs = carry
        action_key, step_key, reset_key = jax.random.split(key, 3)
        action = sample_legal(action_key, environment.spec, observation)
        mine, timestep = environment.step(step_key, mine, action, params)
        theirs, shown = step(step_key, theirs, action)
        fresh, first = environment.reset(reset_key, params)
        their_fresh, their_first = reset(reset_key)
        done = timestep.terminated | timestep.truncated
        pick = partial(jnp.where, done)
        carry = (
            (jax.tree.map(pick, fresh, mine), jax.tree.map(pick, first, timestep.observation)),
            jax.tree.map(pick, their_fresh, theirs),
        )
        return carry, (action, timestep, shown, first, their_first)

    start, *keys = jax.random.split(jax.random.key(seed), num_steps + 1)
    run = jax.jit(lambda start, keys: jax.lax.scan(body, (environment.reset(start, params), reset(start)[0]), keys)[1])
    return Walk(*jax.device_get(run(start, jnp.stack(keys))))


def num_episodes(walked):
    return int(np.sum(walked.timesteps.terminated | walked.timesteps.truncated))


def assert_same(mine, theirs):
    """Equal values under equal names, whatever holds them."""
    if isinstance(mine, dict):
        theirs = theirs if isinstance(theirs, dict) else getattr(theirs, "_asdict", lambda: vars(theirs))()
        assert mine.keys() == theirs.keys()
        for name, value in mine.items():
            assert_same(value, theirs[name])
    else:
        np.testing.assert_allclose(np.asarray(mine), np.asarray(theirs), rtol=1e-5, atol=1e-6)
