"""PPO by brax.training; run by the driver in a process of its own, on jaxrl's own jax.

`train` is one call from start to end, compilation within it. It tells when each of its equal parts, training and an
evaluation, has ended: a run is as many times their median, the first two left out. What is left is compilation and an
evaluation of the untrained policy.
"""

import statistics
import time
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from _brax_jax import give_back_device_put_replicated
from _protocol import compile_then_run, read_settings, report, versions
from brax import envs
from brax.envs.wrappers import training
from brax.training.agents.ppo.networks import make_ppo_networks
from brax.training.agents.ppo.train import train


def physics(settings: dict[str, Any]) -> dict[str, float]:
    """Seconds of an iteration's steps alone, under brax's own wrappers and fixed actions."""
    environment = training.wrap(envs.get_environment(settings["task"], backend=settings["backend"]), 1000)
    num_steps = settings["num_steps"]

    def run(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        actions = jax.random.uniform(key, (settings["num_envs"], environment.action_size), minval=-1.0)

        def step(state: envs.State, _: None) -> tuple[envs.State, jax.Array]:
            after = environment.step(state, actions)
            return after, after.reward

        start = environment.reset(jax.random.split(key, settings["num_envs"]))
        end, rewards = jax.lax.scan(step, start, None, length=num_steps)
        # The reward may be a constant, for which nothing would have to be stepped.
        return jnp.sum(rewards), end.obs

    # Its wrappers read the shape of a batch from keys of the old kind.
    return compile_then_run(run, jax.random.PRNGKey(0))[1]


def main() -> None:
    """Trains once, and reports time and returns."""
    settings = read_settings()
    defined, marks = give_back_device_put_replicated(), []

    def mark(steps: int, metrics: dict[str, Any]) -> None:
        numbers = (metrics["eval/episode_reward"], metrics["eval/epoch_eval_time"])
        marks.append((steps, time.perf_counter(), time.process_time(), *map(float, numbers)))

    sizes = tuple(settings["hidden_sizes"])
    start = time.perf_counter()
    train(
        envs.get_environment(settings["task"], backend=settings["backend"]),
        num_timesteps=settings["total_steps"],
        num_envs=settings["num_envs"],
        episode_length=1000,
        unroll_length=settings["unroll_length"],
        batch_size=settings["batch_size"],
        num_minibatches=settings["num_minibatches"],
        num_updates_per_batch=settings["num_epochs"],
        learning_rate=settings["learning_rate"],
        entropy_cost=settings["entropy_coefficient"],
        discounting=settings["discount"],
        reward_scaling=settings["reward_scaling"],
        normalize_observations=True,
        network_factory=partial(make_ppo_networks, policy_hidden_layer_sizes=sizes, value_hidden_layer_sizes=sizes),
        num_evals=settings["num_evaluations"] + 1,
        num_eval_envs=settings["evaluation_episodes"],
        deterministic_eval=True,
        max_devices_per_host=1,
        seed=settings["seed"],
        progress_fn=mark,
    )
    total, parts = time.perf_counter() - start, settings["num_evaluations"]
    _, wall, processor, returns, evaluating = zip(*marks, strict=True)
    # The second part may be compiled anew, for arrays that lie where the first left them.
    run_seconds = parts * statistics.median(b - a for a, b in pairwise(wall[2:]))
    cpu_seconds = parts * statistics.median(b - a for a, b in pairwise(processor[2:]))
    alone = physics(settings)
    report(
        compile_seconds=total - run_seconds,
        run_seconds=run_seconds,
        cpu_seconds=cpu_seconds,
        total_seconds=total,
        env_steps=marks[-1][0],
        returns=[returns[-1]],
        curve=list(returns[1:]),
        evaluation_seconds=parts * statistics.median(evaluating[3:]),
        physics_cpu_seconds=alone["cpu_seconds"] * settings["total_steps"] / settings["steps_per_iteration"],
        device_put_replicated_defined_for_it=defined,
        versions=versions("brax", "jax"),
    )


if __name__ == "__main__":
    main()
