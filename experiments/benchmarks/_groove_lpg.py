"""LPG's meta-training by groove's own code; run by the driver inside the peer's own environment."""

import sys

import numpy as np
from _protocol import compile_then_run, read_settings, report, versions


def main() -> None:
    """Compiles groove's whole meta-training, runs it, and reports times and the last meta-step's return."""
    settings = read_settings()
    sys.path.insert(0, settings["checkout"])
    import jax
    from environments.level_sampler import LevelSampler
    from experiments.parse_args import parse_args
    from meta.meta import create_lpg_train_state, make_lpg_train_step

    options = {
        "env_mode": settings["levels"],
        "env_workers": settings["num_envs"],
        "num_agents": settings["num_agents"],
        "num_mini_batches": 1,
        "train_rollout_len": settings["num_steps"],
        "num_agent_updates": settings["unroll"],
        "lpg_gru_width": settings["width"],
        "lpg_target_width": settings["outputs"],
        "score_function": {"uniform": "random", "algorithmic_regret": "alg_regret"}[settings["curriculum"]],
        "buffer_size": settings["buffer_size"],
    }
    arguments = parse_args([word for name, value in options.items() for word in (f"--{name}", str(value))])
    sampler = LevelSampler(arguments)
    train_step = make_lpg_train_step(arguments, sampler)

    def run(key):
        """What groove's training script scans, without its command line."""
        rule_key, buffer_key, level_key, key = jax.random.split(key, 4)
        rule, buffer = create_lpg_train_state(rule_key, arguments), sampler.initialize_buffer(buffer_key)
        buffer, agents, critics = sampler.initial_sample(level_key, buffer, arguments.num_agents, True)

        def step(carry, key):
            rule, buffer, agents, critics = carry
            train_key, sample_key = jax.random.split(key)
            rule, agents, critics, metrics = train_step(
                rng=train_key, lpg_train_state=rule, agent_states=agents, value_critic_states=critics
            )
            buffer, agents, critics = sampler.sample(sample_key, buffer, agents, critics)
            return (rule, buffer, agents, critics), metrics["lpg_agent_return"]

        keys = jax.random.split(key, settings["meta_steps"])
        return jax.lax.scan(step, (rule, buffer, agents, critics), keys)[1]

    returns, seconds = compile_then_run(run, jax.random.PRNGKey(settings["seed"]))
    report(
        returns=[float(np.asarray(returns)[-1])],
        env_steps=settings["env_steps"],
        versions=versions("jax", "jaxlib", "flax", "optax"),
        **seconds,
    )


if __name__ == "__main__":
    main()
