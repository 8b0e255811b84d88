"""DQN and SAC by jaxrl; run by the driver in a process of its own, like every peer."""

import math

import jax
import numpy as np
from _jaxrl_ppo import program
from _protocol import compile_then_run, read_settings, report, versions

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


def main() -> None:
    """Trains all seeds in one program and reports time and returns."""
    settings = read_settings()
    if settings["num_devices"] > 1:
        jaxrl.use_cpu_cores(settings["num_devices"])
    trainer = build(settings)
    keys = jax.random.split(jax.random.key(settings["seed"]), settings["num_seeds"])
    run = program(trainer, settings["num_seeds"], settings["num_devices"])
    result, seconds = compile_then_run(run, keys, trainer.hyperparameters)
    curve = np.asarray(result.evaluation.returns).reshape(settings["num_seeds"], settings["num_evaluations"])
    report(
        **seconds,
        env_steps=trainer.num_iterations * trainer.steps_per_iteration * settings["num_seeds"],
        returns=curve[:, -1].tolist(),
        curve=curve.mean(0).tolist(),
        versions=versions("jaxrl", "gymnax", "jax"),
    )


if __name__ == "__main__":
    main()
