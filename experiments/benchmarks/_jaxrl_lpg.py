"""LPG's meta-training by jaxrl; run by the driver in a process of its own, like the peer."""

import jax
import numpy as np
from _protocol import compile_then_run, read_settings, report, versions

import jaxrl
from jaxrl.meta import MetaStudy, differentiate, make_tasks
from jaxrl.training.loop import scan_steps


def build(settings: dict) -> MetaStudy:
    """The study under the shared settings; so long that no evaluation falls into what is timed."""
    life = settings["lifetime"] * settings["num_envs"] * settings["num_steps"]
    learner = jaxrl.trainer(
        "lpg",
        f"grid/{settings['levels']}",
        total_steps=life,
        num_envs=settings["num_envs"],
        num_steps=settings["num_steps"],
        network="table",
        optimiser="sgd",
        learning_rate=40.0,
        num_outputs=settings["outputs"],
        objective_size=settings["width"],
        num_evaluations=1,
    )
    return differentiate(
        learner,
        make_tasks(f"grid/{settings['levels']}", settings["lifetime"]),
        num_agents=settings["num_agents"],
        unroll=settings["unroll"],
        num_meta_steps=1_000_000,
        curriculum=settings["curriculum"],
        buffer_size=settings["buffer_size"],
        recompute=False,  # groove keeps its rollouts
        learning_rate=1e-4,
        entropy_coefficient=0.05,
        regularisers={"output_entropy": -1e-3, "policy_target_square": 5e-3, "output_target_square": 1e-3},
        critic_network="table",
        critic_epochs=settings["unroll"] + 1,
        num_evaluations=1,
        evaluation_tasks=1,
    )


def main() -> None:
    """Compiles the meta-steps as one program, runs it and reports."""
    settings = read_settings()
    study = build(settings)

    def run(key: jax.Array, hyperparameters: object) -> jax.Array:
        start = study.init(key, hyperparameters)
        result = scan_steps(study.step, start, hyperparameters, settings["meta_steps"], np.zeros(1, int))
        return result.metrics["episode_return"]

    key = jax.random.key(settings["seed"])
    returns, seconds = compile_then_run(run, key, study.hyperparameters)
    report(
        returns=[float(np.mean(returns[-1]))],
        env_steps=settings["env_steps"],
        versions=versions("jax", "jaxlib", "flax", "optax"),
        **seconds,
    )


if __name__ == "__main__":
    main()
