"""What IQN's cosines cost: its gradient steps with them as a polynomial, with `jnp.cos`, and QR-DQN's, in turns.

python experiments/benchmarks/implicit_quantiles.py
"""

import json
import math
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("NPROC", "1")

import jax
import jax.numpy as jnp
from contenders import machine
from peers import ROOT

import jaxrl
from jaxrl.networks import values

OUT = ROOT / "results" / "benchmarks" / "implicit_quantiles.json"
TURNS, ITERATIONS = 7, 20


def turn_of(agent: str) -> Callable[[], float]:
    """`() -> milliseconds` of processor time of one gradient step, acting included, after the warm-up."""
    trainer = jaxrl.trainer(agent, "gymnax/CartPole-v1", total_steps=100_000, num_evaluations=1, hidden_sizes=(64, 64))

    def run(state: jax.Array, first: jax.Array) -> jax.Array:
        body = lambda i, state: trainer.step(state, trainer.hyperparameters, first + i)[0]  # noqa: E731
        return jax.lax.fori_loop(0, ITERATIONS, body, state)

    state = trainer.init(jax.random.key(0), trainer.hyperparameters)
    state = jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype), state)
    compiled = jax.jit(run).lower(state, jnp.asarray(20)).compile()
    held = [compiled(state, jnp.asarray(20))]

    def turn() -> float:
        start = time.process_time()
        held[0] = jax.block_until_ready(compiled(held[0], jnp.asarray(40)))
        return 1e3 * (time.process_time() - start) / (ITERATIONS * trainer.agent.config.num_updates)

    turn()
    return turn


def main() -> None:
    """Measures in turns and writes the medians."""
    fast = values.cosine_of_half_turns
    turns = {"iqn": turn_of("iqn"), "qr_dqn": turn_of("qr_dqn")}
    values.cosine_of_half_turns = lambda turns: jnp.cos(math.pi * turns)
    turns["iqn, jnp.cos"] = turn_of("iqn")
    values.cosine_of_half_turns = fast
    taken: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(TURNS):
        for name, turn in turns.items():
            taken[name].append(turn())
    found = {name: {"milliseconds": statistics.median(row), "least": min(row)} for name, row in taken.items()}
    print(json.dumps(found))
    OUT.write_text(json.dumps({"machine": machine(), "milliseconds_of_an_update": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
