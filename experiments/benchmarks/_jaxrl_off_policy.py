"""DQN and SAC by jaxrl; run by the driver in a process of its own, like every peer."""

import math

from _jaxrl_ppo import train

import jaxrl


def build(settings: dict) -> jaxrl.Trainer:
    """jaxrl's agent under the shared settings; `num_steps` steps of each copy and as many times the updates."""
    steps = settings.get("num_steps", 1)
    per_iteration = settings["num_envs"] * steps
    iterations = math.ceil(settings["total_steps"] / per_iteration / settings["num_evaluations"])
    own = (
        {
            "epsilon_end": settings["final_epsilon"],
            "epsilon_fraction": settings["exploration_fraction"],
        }
        if settings["agent"] == "dqn"
        else {}
    )
    return jaxrl.trainer(
        settings["agent"],
        f"gymnax/{settings['environment']}",
        num_envs=settings["num_envs"],
        num_steps=steps,
        num_updates=settings["num_updates"] * steps,
        buffer_size=settings["buffer_size"],
        learning_starts=settings["learning_starts"],
        batch_size=settings["batch_size"],
        hidden_sizes=tuple(settings["hidden_sizes"]),
        activation=settings["activation"],
        learning_rate=settings["learning_rate"],
        discount=settings["discount"],
        target_rate=settings["target_rate"],
        max_gradient_norm=settings["max_gradient_norm"],
        total_steps=iterations * settings["num_evaluations"] * per_iteration,
        num_evaluations=settings["num_evaluations"],
        evaluation_episodes=settings["evaluation_episodes"],
        **own,
    )


if __name__ == "__main__":
    train(build)
