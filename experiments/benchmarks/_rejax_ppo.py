"""PPO by rejax; run by the driver inside rejax's own environment."""

import math

from _rejax import evaluated, measure
from rejax import PPO


def build(settings: dict) -> PPO:
    """rejax's PPO under the shared settings."""
    iterations = math.ceil(settings["total_steps"] / (settings["num_envs"] * settings["num_steps"]))
    evaluation_interval = math.ceil(iterations / settings["num_evaluations"])
    evaluation_frequency = evaluation_interval * settings["num_envs"] * settings["num_steps"]
    algorithm = PPO.create(
        env=settings["environment"],
        agent_kwargs={"activation": settings["activation"], "hidden_layer_sizes": tuple(settings["hidden_sizes"])},
        num_envs=settings["num_envs"],
        num_steps=settings["num_steps"],
        num_epochs=settings["num_epochs"],
        num_minibatches=settings["num_minibatches"],
        learning_rate=settings["learning_rate"],
        gamma=settings["discount"],
        gae_lambda=settings["gae_lambda"],
        clip_eps=settings["clip_range"],
        vf_coef=settings["value_coefficient"],
        ent_coef=settings["entropy_coefficient"],
        # rejax clips every entry of the gradient by this, not its norm.
        max_grad_norm=settings["max_gradient_norm"],
        total_timesteps=evaluation_frequency * settings["num_evaluations"],
        eval_freq=evaluation_frequency,
        skip_initial_evaluation=True,
    )
    return evaluated(algorithm, settings)


if __name__ == "__main__":
    measure(build)
