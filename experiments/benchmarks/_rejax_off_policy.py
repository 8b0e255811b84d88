"""DQN and SAC by rejax; run by the driver inside rejax's own environment."""

import math
from typing import Any

from _rejax import evaluated, measure
from rejax import DQN, SAC


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
    return evaluated(algorithm, settings)


if __name__ == "__main__":
    measure(build)
