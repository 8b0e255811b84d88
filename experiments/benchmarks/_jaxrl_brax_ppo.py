"""PPO by jaxrl on a task of brax; run by the driver in a process of its own."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _protocol import compile_then_run, read_settings, report, versions

import jaxrl
from jaxrl.environments.base import Environment
from jaxrl.environments.batching import vectorise


def build(settings: dict[str, Any]) -> jaxrl.Trainer:
    """jaxrl's PPO under the shared settings."""
    return jaxrl.trainer(
        "ppo",
        jaxrl.make(f"brax/{settings['task']}", backend=settings["backend"]),
        total_steps=settings["total_steps"],
        num_envs=settings["num_envs"],
        num_steps=settings["num_steps"],
        num_minibatches=settings["num_minibatches"],
        num_epochs=settings["num_epochs"],
        hidden_sizes=tuple(settings["hidden_sizes"]),
        activation="swish",
        distribution="tanh_gaussian",
        learning_rate=settings["learning_rate"],
        anneal_learning_rate=False,
        discount=settings["discount"],
        entropy_coefficient=settings["entropy_coefficient"],
        clip_epsilon=0.3,
        clip_values=False,
        max_gradient_norm=1e9,  # brax clips none
        normalise_observations=True,
        normalise_rewards=True,  # brax multiplies them by a constant
        num_evaluations=settings["num_evaluations"],
        evaluation_episodes=settings["evaluation_episodes"],
    )


def physics(environment: Environment, settings: dict[str, Any]) -> dict[str, float]:
    """Seconds of an iteration's steps alone, restarts included, under fixed actions."""
    copies = vectorise(environment, settings["num_envs"], "pool")

    def run(key: jax.Array, params: Any) -> tuple[jax.Array, jax.Array]:
        actions = jax.random.uniform(key, (settings["num_envs"], *environment.spec.action.shape), minval=-1.0)
        state, first = copies.reset(key, params)
        draws = copies.draw(key, settings["num_steps"], params)

        def step(carry: Any, drawn: Any) -> tuple[Any, jax.Array]:
            after, timestep = copies.step(drawn, carry[0], actions, params)
            return (after, timestep.observation), timestep.reward

        (_, observation), rewards = jax.lax.scan(step, (state, first), draws)
        # The reward may be a constant, for which nothing would have to be stepped.
        return jnp.sum(rewards), observation

    return compile_then_run(run, jax.random.key(0), environment.params)[1]


def main() -> None:
    """Trains once, and reports time and returns."""
    settings = read_settings()
    start = time.perf_counter()
    trainer = build(settings)
    built = time.perf_counter() - start
    result, seconds = compile_then_run(
        trainer.run, jax.random.key(settings["seed"]), trainer.hyperparameters, budget_seconds=1.0
    )
    curve = np.asarray(result.evaluation.returns).ravel()
    policy = jaxrl.Policy(*trainer.actor(result.state, trainer.hyperparameters))
    evaluate = trainer.evaluator(settings["evaluation_episodes"], False)
    _, once = compile_then_run(evaluate, jax.random.key(1), policy.state, policy.hyperparameters, budget_seconds=1.0)
    alone = physics(trainer.environment, settings)
    report(
        compile_seconds=built + seconds["compile_seconds"],
        run_seconds=seconds["run_seconds"],
        cpu_seconds=seconds["cpu_seconds"],
        total_seconds=built + seconds["compile_seconds"] + seconds["run_seconds"],
        env_steps=trainer.num_iterations * trainer.steps_per_iteration,
        returns=[float(curve[-1])],
        curve=curve.tolist(),
        evaluation_seconds=settings["num_evaluations"] * once["run_seconds"],
        physics_cpu_seconds=alone["cpu_seconds"] * settings["total_steps"] / settings["steps_per_iteration"],
        versions=versions("jaxrl", "brax", "jax"),
    )


if __name__ == "__main__":
    main()
