"""jaxrl's replay beside flashbax's, in one process and in turns; run by the driver in flashbax's environment."""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from _protocol import read_settings, report, versions

OBSERVATION = 8


class Side(NamedTuple):
    """A buffer of one member.

    Attributes:
        init: `() -> state`.
        add: `(state, steps) -> state`: an iteration's steps, `[time, env, ...]`.
        learn: `(state, key) -> (state, number)`: samples for some updates and, of prioritised ones, new priorities.
    """

    init: Callable[[], Any]
    add: Callable[..., Any]
    learn: Callable[..., tuple[Any, Any]]


def new_steps(number: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """An iteration's steps, which depend on a number."""
    shape = (settings["num_steps"], settings["num_envs"])
    return {
        "observation": jnp.full((*shape, OBSERVATION), number),
        "following": jnp.full((*shape, OBSERVATION), number),
        "action": jnp.zeros(shape, jnp.int32),
        "reward": jnp.full((*shape, 1), number),
        "terminated": jnp.zeros(shape, bool),
    }


def jaxrl_side(settings: dict[str, Any]) -> Side:
    """`jaxrl.replay`."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from jaxrl.replay import make_replay

    example = jax.tree.map(lambda leaf: leaf[0, 0], new_steps(jnp.zeros(()), settings))
    shape = (settings["num_updates"], settings["batch_size"])
    sizes = (settings["capacity"], settings["num_envs"], settings["num_steps"])
    replay = make_replay({"step": example}, *sizes, prioritised=settings["prioritised"])

    def learn(state: Any, key: Any) -> tuple[Any, Any]:
        drawn = replay.draw(key, state, shape)
        taken = replay.take(state, "step", drawn.indices)
        errors = jnp.abs(taken["observation"][..., 0] - taken["following"].mean(axis=-1)) + 1e-3
        return replay.prioritise(state, drawn.indices, errors**0.6), sum(leaf.sum() for leaf in jax.tree.leaves(taken))

    return Side(replay.init, lambda state, steps: replay.add(state, {"step": steps}), learn)


def flashbax_side(settings: dict[str, Any]) -> Side:
    """flashbax's item buffers, whose steps have one leading axis."""
    import flashbax

    count = settings["num_steps"] * settings["num_envs"]
    size = settings["num_updates"] * settings["batch_size"]
    shared = {"max_length": settings["capacity"], "min_length": 1, "sample_batch_size": size, "add_batches": True}
    prioritised = settings["prioritised"]
    build = partial(flashbax.make_prioritised_item_buffer, priority_exponent=0.6)
    replay = (build if prioritised else flashbax.make_item_buffer)(**shared)

    def flat(steps: dict[str, Any]) -> dict[str, Any]:
        return jax.tree.map(lambda leaf: leaf.reshape(count, *leaf.shape[2:]), steps)

    def learn(state: Any, key: Any) -> tuple[Any, Any]:
        sample = replay.sample(state, key)
        taken = sample.experience
        errors = jnp.abs(taken["observation"][..., 0] - taken["following"].mean(axis=-1)) + 1e-3
        state = replay.set_priorities(state, sample.indices, errors) if prioritised else state
        return state, sum(leaf.sum() for leaf in jax.tree.leaves(taken))

    init = lambda: replay.init(jax.tree.map(lambda leaf: leaf[0], flat(new_steps(jnp.zeros(()), settings))))  # noqa: E731
    return Side(init, lambda state, steps: replay.add(state, flat(steps)), learn)


def prepare(side: Side, settings: dict[str, Any]) -> tuple[Callable[[], float], float]:
    """`() -> seconds of processor time` of a number of iterations on full buffers, and seconds to compile it."""
    keys = jax.random.split(jax.random.key(0), settings["members"])

    def fill(state: Any) -> Any:
        count = -(-settings["capacity"] // (settings["num_steps"] * settings["num_envs"]))
        body = lambda i, state: side.add(state, new_steps(i.astype(jnp.float32), settings))  # noqa: E731
        return jax.lax.fori_loop(0, count, body, state)

    def iteration(i: Any, carry: tuple, key: Any) -> tuple:
        state, total = carry
        state = side.add(state, new_steps(total + i, settings))
        state, found = side.learn(state, jax.random.fold_in(key, i))
        return state, total * 0.5 + found * 1e-9

    def run(states: Any, keys: Any) -> tuple:
        body = lambda i, carry: jax.vmap(partial(iteration, i))(carry, keys)  # noqa: E731
        return jax.lax.fori_loop(0, settings["iterations"], body, (states, jnp.zeros(len(keys))))

    held = [jax.jit(lambda: jax.vmap(lambda _: fill(side.init()))(keys))()]
    start = time.perf_counter()
    compiled = jax.jit(run, donate_argnums=0).lower(held[0], keys).compile()
    compile_seconds = time.perf_counter() - start

    def turn() -> float:
        begun = time.process_time()
        held[0], _ = jax.block_until_ready(compiled(held[0], keys))
        return time.process_time() - begun

    turn()
    return turn, compile_seconds


def main() -> None:
    """Reports microseconds of an update, adding included, by side: the median and the least of all turns."""
    settings = read_settings()
    prepared = {
        "jaxrl": prepare(jaxrl_side(settings), settings),
        "flashbax": prepare(flashbax_side(settings), settings),
    }
    seconds: dict[str, list[float]] = {name: [] for name in prepared}
    for _ in range(settings["turns"]):
        for name, (turn, _) in prepared.items():
            seconds[name].append(turn())
    scale = 1e6 / (settings["iterations"] * settings["num_updates"])
    rows = {
        name: {
            "microseconds": scale * statistics.median(taken),
            "least_microseconds": scale * min(taken),
            "compile_seconds": prepared[name][1],
        }
        for name, taken in seconds.items()
    }
    report(rows=rows, versions=versions("flashbax", "jax"))


if __name__ == "__main__":
    main()
