"""PPO by rejax; run by the driver inside rejax's own environment."""

import math

import jax
import numpy as np
from _protocol import compile_then_run, read_settings, report, versions
from rejax import PPO
from rejax.evaluate import evaluate


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
    environment, parameters = algorithm.env, algorithm.env_params

    def evaluation(algorithm: PPO, state: object, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        limit = parameters.max_steps_in_episode
        act = algorithm.make_act(state)
        return evaluate(act, key, environment, parameters, settings["evaluation_episodes"], limit)

    return algorithm.replace(eval_callback=evaluation)


def main() -> None:
    """Trains all seeds in one program and reports time and returns."""
    settings = read_settings()
    algorithm = build(settings)
    keys = jax.random.split(jax.random.PRNGKey(settings["seed"]), settings["num_seeds"])
    if settings["num_seeds"] == 1:
        outcome, seconds = compile_then_run(algorithm.train, keys[0])
    else:
        outcome, seconds = compile_then_run(jax.vmap(algorithm.train), keys)
    # [seed, evaluation, episode]
    _, returns = outcome[1]
    curve = np.asarray(returns).reshape(settings["num_seeds"], settings["num_evaluations"], -1).mean(-1)
    report(
        **seconds,
        env_steps=int(algorithm.total_timesteps) * settings["num_seeds"],
        returns=curve[:, -1].tolist(),
        curve=curve.mean(0).tolist(),
        versions=versions("rejax", "gymnax", "jax"),
    )


if __name__ == "__main__":
    main()
