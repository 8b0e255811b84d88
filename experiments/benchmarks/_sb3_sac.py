"""SAC on Pendulum by Stable-Baselines3; run by the driver inside its own environment."""

import time

import torch
from _protocol import read_settings, report, versions
from stable_baselines3 import SAC
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy


def main() -> None:
    """Trains one seed and reports the mean return of its mode, and the time of training."""
    settings = read_settings()
    torch.set_num_threads(1)
    environment = make_vec_env("Pendulum-v1", 1, seed=settings["seed"])
    model = SAC(
        "MlpPolicy",
        environment,
        learning_rate=settings["learning_rate"],
        batch_size=settings["batch_size"],
        learning_starts=settings["learning_starts"],
        policy_kwargs={"net_arch": list(settings["hidden_sizes"])},
        seed=settings["seed"],
        device="cpu",
    )
    start = time.process_time()
    model.learn(settings["total_steps"])
    seconds = time.process_time() - start
    mean, _ = evaluate_policy(
        model, make_vec_env("Pendulum-v1", 8, seed=1000 + settings["seed"]), n_eval_episodes=32, deterministic=True
    )
    report(mean_return=float(mean), cpu_seconds=seconds, versions=versions("stable-baselines3", "torch", "gymnasium"))


if __name__ == "__main__":
    main()
