"""A uniform policy in jaxrl's highways; run by the driver."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _protocol import compile_then_run, read_settings, report

import jaxrl
from jaxrl.environments.batching import vectorise
from jaxrl.types import Array, PRNGKeyArray

# highway-env's default scalar reward: (w·r + 1) / 1.5.
_WEIGHTS = jnp.array([0.4, 0.1, 1.0])


def main() -> None:
    """Steps all highways and reports the returns of the first episode of each."""
    settings = read_settings()
    environment = vectorise(jaxrl.make(settings["environment"]), settings["num_envs"], "pool")

    def play(key: PRNGKeyArray) -> tuple[Array, Array]:
        reset_key, draw_key, action_key = jax.random.split(key, 3)
        state, _ = environment.reset(reset_key, environment.params)
        draws = environment.draw(draw_key, settings["num_steps"], environment.params)
        actions = jax.random.randint(action_key, (settings["num_steps"], settings["num_envs"]), 0, 5)

        def step(state: Any, drawn: tuple) -> tuple[Any, tuple[Array, Array]]:
            state, timestep = environment.step(drawn[0], state, drawn[1], environment.params)
            return state, ((timestep.reward @ _WEIGHTS + 1.0) / 1.5, timestep.terminated | timestep.truncated)

        return jax.lax.scan(step, state, (draws, actions))[1]

    (reward, ended), seconds = compile_then_run(play, jax.random.key(settings["seed"]))
    reward, ended = np.asarray(reward), np.asarray(ended)
    first = np.cumsum(ended, axis=0) - ended == 0
    report(env_steps=reward.size, returns=(reward * first).sum(axis=0).tolist(), **seconds)


if __name__ == "__main__":
    main()
