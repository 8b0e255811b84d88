"""The matrix products of PPO on CartPole alone, in loops like jaxrl's: the least that a run takes with them.

Everything that is multiplied depends on what was multiplied before, so that no product can be left out, or be moved out
of its loop. What ties them together is added as sparingly: the next observation is moved by the largest output, kernels
by a millionth of their gradient.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
from _bound_counts import counts, products
from _jaxrl_ppo import build
from _protocol import compile_ahead, read_settings, report, run_repeatedly, versions

Kernels = tuple[jax.Array, ...]
Carry = tuple[Kernels, Kernels, jax.Array]

OBSERVATION, ACTIONS = 4, 2
SMALL = 1e-6


def kernels(key: jax.Array, widths: tuple[int, ...]) -> Kernels:
    """Layers of a network without biases."""
    shapes = pairwise(widths)
    return tuple(jax.random.normal(jax.random.fold_in(key, i), shape) / 8.0 for i, shape in enumerate(shapes))


def forward(layers: Kernels, inputs: jax.Array) -> jax.Array:
    """All products of a network."""
    for layer in layers:
        inputs = inputs @ layer
    return inputs


def acting(actor: Kernels, first: jax.Array, num_steps: int) -> jax.Array:
    """The actor once in every step."""
    return jax.lax.fori_loop(
        0, num_steps, lambda _, seen: first + SMALL * forward(actor, seen).max(axis=1, keepdims=True), first
    )


def estimating(actor: Kernels, critic: Kernels, seen: jax.Array, following: jax.Array) -> jax.Array:
    """Policy and values of a whole rollout, and values of what follows: their largest ones."""
    return forward(actor, seen).max() + forward(critic, seen).max() + forward(critic, following).max()


def learning(networks: tuple[Kernels, Kernels], batch: jax.Array, num_minibatches: int) -> tuple[Kernels, Kernels]:
    """Forwards and backwards through both networks for every minibatch."""

    def loss(networks: tuple[Kernels, Kernels]) -> jax.Array:
        return sum(jnp.sum(forward(layers, batch) ** 2) for layers in networks)

    def step(_: int, networks: tuple[Kernels, Kernels]) -> tuple[Kernels, Kernels]:
        return jax.tree.map(lambda layer, slope: layer - SMALL * slope, networks, jax.grad(loss)(networks))

    return jax.lax.fori_loop(0, num_minibatches, step, networks)


def iteration(settings: dict, rollout: jax.Array, carry: Carry) -> Carry:
    """The products of one iteration, those of the parts that the settings name."""
    actor, critic, observation = carry
    num_minibatches = settings["num_epochs"] * settings["num_minibatches"]
    size = rollout.shape[1] // settings["num_minibatches"]
    if "acting" in settings["parts"]:
        observation = acting(actor, observation, settings["num_steps"])
    seen, following = rollout + SMALL * observation.max()
    if "estimating" in settings["parts"]:
        observation = observation + SMALL * estimating(actor, critic, seen, following)
    if "learning" in settings["parts"]:
        actor, critic = learning((actor, critic), seen[:size], num_minibatches)
    return actor, critic, observation


def program(settings: dict, num_iterations: int) -> Callable[[jax.Array], Carry]:
    """`key -> what is left of all products`."""
    hidden = settings["hidden_sizes"]

    def run(key: jax.Array) -> Carry:
        keys = jax.random.split(key, 4)
        actor = kernels(keys[0], (OBSERVATION, *hidden, ACTIONS))
        critic = kernels(keys[1], (OBSERVATION, *hidden, 1))
        observation = jax.random.normal(keys[2], (settings["num_envs"], OBSERVATION))
        samples = settings["num_envs"] * settings["num_steps"]
        rollout = jax.random.normal(keys[3], (2, samples, OBSERVATION))
        step = partial(iteration, settings, rollout)
        return jax.lax.fori_loop(0, num_iterations, lambda _, carry: step(carry), (actor, critic, observation))

    return run


def main() -> None:
    """Compiles and runs the products of a whole run, and reports time and the operations of the compiled program."""
    settings = read_settings()
    trainer = build(settings)
    key = jax.random.key(settings["seed"])
    compiled, compile_seconds = compile_ahead(program(settings, trainer.num_iterations), key)
    _, seconds = run_repeatedly(compiled, key)
    text = compiled.as_text()
    report(
        compile_seconds=compile_seconds,
        **seconds,
        env_steps=trainer.num_iterations * trainer.steps_per_iteration,
        returns=[0.0],
        counts=counts(text, settings["turns"]),
        products=products(text, settings["turns"]),
        versions=versions("jax", "jaxlib"),
    )


if __name__ == "__main__":
    main()
