"""PPO by jaxrl; run by the driver in a process of its own, like every peer."""

import math
from collections.abc import Callable

import jax
import numpy as np
from _protocol import compile_then_run, read_settings, report, versions
from jax.sharding import PartitionSpec as P

import jaxrl
from jaxrl.sweeps.devices import member_mesh


def build(settings: dict) -> jaxrl.Trainer:
    """jaxrl's PPO under the shared settings."""
    return jaxrl.trainer(
        "ppo",
        f"gymnax/{settings['environment']}",
        num_envs=settings["num_envs"],
        num_steps=settings["num_steps"],
        num_epochs=settings["num_epochs"],
        num_minibatches=settings["num_minibatches"],
        hidden_sizes=tuple(settings["hidden_sizes"]),
        activation=settings["activation"],
        network=settings.get("network", "auto"),
        learning_rate=settings["learning_rate"],
        anneal_learning_rate=False,  # rejax has no annealing
        discount=settings["discount"],
        gae_lambda=settings["gae_lambda"],
        clip_epsilon=settings["clip_range"],
        clip_values=True,  # rejax always clips values, by the same range
        value_clip=settings["clip_range"],
        value_coefficient=settings["value_coefficient"],
        entropy_coefficient=settings["entropy_coefficient"],
        max_gradient_norm=settings["max_gradient_norm"],
        total_steps=_rounded_steps(settings),
        num_evaluations=settings["num_evaluations"],
        evaluation_episodes=settings["evaluation_episodes"],
        evaluation_explores=True,  # rejax samples actions in evaluation
    )


def _rounded_steps(settings: dict) -> int:
    """Steps rounded up to whole iterations between evaluations, as rejax rounds them."""
    per_iteration = settings["num_envs"] * settings["num_steps"]
    iterations = math.ceil(settings["total_steps"] / per_iteration)
    return math.ceil(iterations / settings["num_evaluations"]) * settings["num_evaluations"] * per_iteration


def program(trainer: jaxrl.Trainer, num_seeds: int, num_devices: int) -> Callable[..., jaxrl.Result]:
    """`(keys, hyperparameters) -> Result`: one run, or members side by side, sharded over devices."""
    if num_seeds == 1:
        return lambda keys, hyperparameters: trainer.run(keys[0], hyperparameters)
    members = jax.vmap(trainer.run, in_axes=(0, None))
    if num_devices == 1:
        return members
    # What `jaxrl.sweep` compiles, without its host loop, so that all rows are timed alike.
    return jax.shard_map(
        members, mesh=member_mesh(), in_specs=(P("member"), P()), out_specs=P("member"), check_vma=False
    )


def train(build: Callable[[dict], jaxrl.Trainer]) -> None:
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
    train(build)
