"""PGMORL by morl-baselines; run by the driver inside the peer's own environment."""

import contextlib
import io
import time
import warnings

import numpy as np
from _protocol import read_settings, report, versions

warnings.filterwarnings("ignore")


def main() -> None:
    """Trains once and reports steps, seconds (its own evaluations included) and the front that it found."""
    import mo_gymnasium
    import torch
    from morl_baselines.multi_policy.pgmorl.pgmorl import PGMORL

    settings = read_settings()
    torch.set_num_threads(settings["num_threads"])
    reference = np.asarray(settings["reference_point"])
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        agent = PGMORL(
            env_id=settings["environment"],
            origin=reference,
            num_envs=settings["num_envs"],
            pop_size=settings["num_members"],
            warmup_iterations=settings["warmup_iterations"],
            steps_per_iteration=settings["num_steps"],
            evolutionary_iterations=settings["evolutionary_iterations"],
            num_minibatches=settings["num_minibatches"],
            update_epochs=settings["num_epochs"],
            gamma=settings["discount"],
            log=False,
            seed=settings["seed"],
            device="cpu",
        )
        iterations = settings["warmup_iterations"] + settings["evolutionary_iterations"]
        steps = iterations * settings["num_steps"] * settings["num_envs"] * settings["num_members"]
        agent.train(steps, mo_gymnasium.make(settings["environment"]), reference)
    report(
        env_steps=agent.global_step,  # of all agents; theirs repeat it
        run_seconds=time.perf_counter() - start,
        points=[np.asarray(point).tolist() for point in agent.archive.evaluations],
        versions=versions("morl-baselines", "mo-gymnasium", "torch"),
    )


if __name__ == "__main__":
    main()
