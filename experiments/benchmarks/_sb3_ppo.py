"""PPO on CartPole by Stable-Baselines3; run by the driver inside its own environment."""

import time

import torch
from _protocol import read_settings, report, versions
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy


def main() -> None:
    """Trains one seed and reports time and return; evaluation is not timed."""
    settings = read_settings()
    # Networks this small run several times faster on one thread than on threads that wait for each other.
    torch.set_num_threads(1)
    batch_size = settings["num_envs"] * settings["num_steps"] // settings["num_minibatches"]
    environment = make_vec_env(settings["environment"], settings["num_envs"], seed=settings["seed"])
    layers = list(settings["hidden_sizes"])
    activation = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[settings["activation"]]
    model = PPO(
        "MlpPolicy",
        environment,
        learning_rate=settings["learning_rate"],
        n_steps=settings["num_steps"],
        batch_size=batch_size,
        n_epochs=settings["num_epochs"],
        gamma=settings["discount"],
        gae_lambda=settings["gae_lambda"],
        clip_range=settings["clip_range"],
        vf_coef=settings["value_coefficient"],
        ent_coef=settings["entropy_coefficient"],
        max_grad_norm=settings["max_gradient_norm"],
        policy_kwargs={"net_arch": {"pi": layers, "vf": layers}, "activation_fn": activation},
        seed=settings["seed"],
        device="cpu",
    )
    start, start_processor = time.perf_counter(), time.process_time()
    model.learn(settings["total_steps"])
    run_seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_processor
    evaluation = make_vec_env(settings["environment"], 1, seed=settings["seed"] + 1)
    mean_return, _ = evaluate_policy(
        model, evaluation, n_eval_episodes=settings["evaluation_episodes"], deterministic=False
    )
    report(
        compile_seconds=0.0,
        run_seconds=run_seconds,
        cpu_seconds=cpu_seconds,
        env_steps=int(model.num_timesteps),
        returns=[float(mean_return)],
        curve=[float(mean_return)],
        versions=versions("stable-baselines3", "torch", "gymnasium"),
    )


if __name__ == "__main__":
    main()
