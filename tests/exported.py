"""Policies to export, without training: what they take and give is what their networks do, learnt or not."""

import jax
import jax.numpy as jnp

import jaxrl
from jaxrl.numerics.normalisation import RunningStatistics

__all__ = ["POLICIES", "untrained"]

SMALL = {"total_steps": 64, "num_envs": 4, "num_steps": 8, "hidden_sizes": (8,), "num_evaluations": 1}
POLICIES = {
    "discrete": ("gymnax/CartPole-v1", {"normalise_observations": True, "activation": "gelu"}),
    "continuous": ("gymnax/Pendulum-v1", {"normalise_observations": True}),
    "squashed": ("gymnax/Pendulum-v1", {"distribution": "tanh_gaussian", "activation": "swish"}),
    "image": ("gymnax/Breakout-MinAtar", {"channels": 2, "activation": "relu"}),
    "recurrent": ("gymnax/CartPole-v1", {"network": "gru", "recurrent_size": 6}),
    "table": ("mo/deep-sea-treasure", {"network": "table"}),
    "conditioned": ("mo/minecart", {"condition_on_weights": True, "conditioning": "input", "activation": "elu"}),
    "generated": (
        "mo/minecart",
        {"condition_on_weights": True, "conditioning": "hypernetwork", "hyper_hidden": (8,), "hyper_features": 3},
    ),
}


def untrained(name, explore=False, seed=3):
    """A policy of `POLICIES`, whose choices depend on what it sees."""
    environment, settings = POLICIES[name]
    built = jaxrl.trainer("ppo", environment, **SMALL, **settings)
    agent, state, hyperparameters = built.actor(
        jax.jit(built.init)(jax.random.key(seed), built.hyperparameters), built.hyperparameters
    )
    # Heads start small, and tables at zero: whatever is seen, the choice would be the same.
    keys = iter(jax.random.split(jax.random.key(seed), 100))
    params = jax.tree.map(lambda leaf: 0.5 * jax.random.normal(next(keys), leaf.shape), state.params)
    state = state._replace(params=params)
    if settings.get("normalise_observations"):
        shape = built.environment.spec.observation.shape
        state = state._replace(
            observations=RunningStatistics(jnp.full(shape, 0.3), jnp.full(shape, 40.0), jnp.float32(9))
        )
    return jaxrl.Policy(agent, state, hyperparameters, explore)
