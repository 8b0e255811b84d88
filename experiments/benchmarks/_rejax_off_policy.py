"""DQN and SAC by rejax; run by the driver inside rejax's own environment."""

import math
from typing import Any

import jax
import numpy as np
from _protocol import compile_then_run, read_settings, report, versions
from rejax import DQN, SAC
from rejax.evaluate import evaluate


def build(settings: dict) -> Any:
    """rejax's agent under the shared settings."""
    frequency = settings["num_envs"] * math.ceil(
        settings["total_steps"] / settings["num_envs"] / settings["num_evaluations"]
    )
    network = {"activation": settings["activation"]}
    own = (
        {
            "ddqn": True,
            "eps_start": 1.0,
            "eps_end": settings["final_epsilon"],
            "exploration_fraction": settings["exploration_fraction"],
            # Its layers are always two of 64 units.
            "agent_kwargs": network,
        }
        if settings["agent"] == "dqn"
        else {"agent_kwargs": network, "hidden_layer_sizes": tuple(settings["hidden_sizes"])}
    )
    algorithm = {"dqn": DQN, "sac": SAC}[settings["agent"]].create(
        env=settings["environment"],
        num_envs=settings["num_envs"],
        num_epochs=settings["num_updates"],
        buffer_size=settings["buffer_size"],
        fill_buffer=settings["learning_starts"],
        batch_size=settings["batch_size"],
        learning_rate=settings["learning_rate"],
        gamma=settings["discount"],
        polyak=1.0 - settings["target_rate"],
        max_grad_norm=settings["max_gradient_norm"],
        total_timesteps=frequency * settings["num_evaluations"],
        eval_freq=frequency,
        skip_initial_evaluation=True,
        **own,
    )
    environment, parameters = algorithm.env, algorithm.env_params

    def evaluation(algorithm: Any, state: object, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        limit = parameters.max_steps_in_episode
        act = algorithm.make_act(state)
        return evaluate(act, key, environment, parameters, settings["evaluation_episodes"], limit)

    return algorithm.replace(eval_callback=evaluation)


def main() -> None:
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


if __name__ == "__main__":
    main()
