"""The matrix products of LPG's GRU alone, forwards and backwards: the least that LPG asks for."""

import jax
import jax.numpy as jnp
from _protocol import compile_then_run, read_settings, report, versions


def main() -> None:
    """Compiles and runs the products of all meta-steps: hidden to gates, and the gradients of both factors."""
    settings = read_settings()
    rows, width = settings["num_agents"] * settings["num_envs"], settings["width"]
    count = settings["meta_steps"] * settings["unroll"] * settings["num_steps"]

    def run(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        weights = jax.random.normal(key, (width, 3 * width)) / width

        def step(_: int, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            hidden, gradient = carry
            gates = hidden @ weights
            return gates @ weights.T, gradient + hidden.T @ gates

        return jax.lax.fori_loop(0, count, step, (jnp.ones((rows, width)), jnp.zeros_like(weights)))

    _, seconds = compile_then_run(run, jax.random.key(settings["seed"]))
    report(returns=[0.0], env_steps=settings["env_steps"], versions=versions("jax", "jaxlib"), **seconds)


if __name__ == "__main__":
    main()
