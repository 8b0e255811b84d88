"""Envelope Q-learning by morl-baselines; run by the driver inside the peer's own environment."""

import time
import warnings

import numpy as np
from _protocol import read_settings, report, versions

warnings.filterwarnings("ignore")


def front(agent: object, environment: object, weights: np.ndarray, num_episodes: int) -> list[list[float]]:
    """Mean discounted returns of the greedy policy under every weight."""
    from morl_baselines.common.evaluation import policy_evaluation_mo

    return [policy_evaluation_mo(agent, environment, w, rep=num_episodes)[3].tolist() for w in weights]


def main() -> None:
    """Trains in chunks, with the clock stopped during evaluation, and reports the front after each."""
    import mo_gymnasium
    import torch
    from morl_baselines.common.weights import equally_spaced_weights
    from morl_baselines.multi_policy.envelope.envelope import Envelope

    settings = read_settings()
    torch.set_num_threads(settings["num_threads"])
    np.random.seed(settings["seed"])
    start, processor = time.perf_counter(), time.process_time()
    environment, evaluated = (mo_gymnasium.make(settings["environment"]) for _ in range(2))
    # The settings of the library's own example for minecart.
    agent = Envelope(
        environment,
        learning_rate=3e-4,
        gamma=settings["discount"],
        batch_size=64,
        net_arch=[256, 256, 256, 256],
        max_grad_norm=0.1,
        buffer_size=int(2e6),
        initial_epsilon=1.0,
        final_epsilon=0.05,
        epsilon_decay_steps=50_000,
        initial_homotopy_lambda=0.0,
        final_homotopy_lambda=1.0,
        homotopy_decay_steps=10_000,
        learning_starts=100,
        gradient_updates=1,
        target_net_update_freq=1000,
        tau=1,
        log=False,
        seed=settings["seed"],
        device="cpu",
    )
    weights = np.asarray(equally_spaced_weights(settings["num_objectives"], settings["num_weights"]))
    seconds, processor_seconds = time.perf_counter() - start, time.process_time() - processor
    curve, done = [], 0
    while done < settings["total_steps"]:
        chunk = min(settings["chunk"], settings["total_steps"] - done)
        start, processor = time.perf_counter(), time.process_time()
        agent.train(total_timesteps=done + chunk, reset_num_timesteps=False, reset_learning_starts=False)
        seconds += time.perf_counter() - start
        processor_seconds += time.process_time() - processor
        done += chunk
        points = front(agent, evaluated, weights, settings["evaluation_episodes"])
        curve.append({"steps": done, "seconds": seconds, "cpu_seconds": processor_seconds, "points": points})
    report(curve=curve, versions=versions("morl-baselines", "mo-gymnasium", "torch"))


if __name__ == "__main__":
    main()
