"""What contenders of rejax share: its evaluation under the shared settings, and one program of all seeds."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from _protocol import compile_then_run, read_settings, report, versions
from rejax.evaluate import evaluate


def evaluated(algorithm: Any, settings: dict) -> Any:
    """The algorithm, evaluated for as many episodes as the others."""
    environment, parameters = algorithm.env, algorithm.env_params

    def evaluation(algorithm: Any, state: object, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        limit = parameters.max_steps_in_episode
        act = algorithm.make_act(state)
        return evaluate(act, key, environment, parameters, settings["evaluation_episodes"], limit)

    return algorithm.replace(eval_callback=evaluation)


def measure(build: Callable[[dict], Any]) -> None:
    """Trains all seeds in one program and reports time and returns."""
    settings = read_settings()
    algorithm = build(settings)
    keys = jax.random.split(jax.random.PRNGKey(settings["seed"]), settings["num_seeds"])
    if settings["num_seeds"] == 1:
        outcome, seconds = compile_then_run(algorithm.train, keys[0])
    else:
        outcome, seconds = compile_then_run(jax.vmap(algorithm.train), keys)
    # [seed, evaluation, episode]
    _, returns = outcome[1]
    curve = np.asarray(returns).reshape(settings["num_seeds"], settings["num_evaluations"], -1).mean(-1)
    report(
        **seconds,
        env_steps=int(algorithm.total_timesteps) * settings["num_seeds"],
        returns=curve[:, -1].tolist(),
        curve=curve.mean(0).tolist(),
        versions=versions("rejax", "gymnax", "jax"),
    )
