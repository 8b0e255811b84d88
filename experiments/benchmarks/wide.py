"""One wide run on one device and on several, in turns: steps per second of the clock and of all processors.

    python experiments/benchmarks/wide.py [--copies 128 512 2048] [--devices 2] [--repeats 3]

Every row is a process of its own that runs PPO on CartPole, with as many samples per iteration as `--samples`. What the
devices compute is the same run; how far its parameters are apart at the end is written, too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from contenders import machine

OUT = Path(__file__).resolve().parents[2] / "results" / "benchmarks" / "wide.json"


def measure(copies: int, samples: int, devices: int, iterations: int) -> dict[str, Any]:
    """Trains twice, of which the second time is measured."""
    import jaxrl

    jaxrl.use_cpu_cores(max(devices, os.cpu_count() or 1))
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxrl.numerics.copies import copies_mesh
    from jaxrl.sweeps.program import program

    steps = max(1, samples // copies)
    trainer = jaxrl.trainer(
        "ppo", "gymnax/CartPole-v1", num_envs=copies, num_steps=steps, total_steps=iterations * copies * steps,
        num_evaluations=1, evaluation_episodes=16,
    )  # fmt: skip
    compiled = program(trainer, 1, mesh=copies_mesh(devices) if devices > 1 else None)

    def trained() -> tuple[Any, float, float]:
        state = compiled.init(jax.random.key(0), trainer.hyperparameters)
        wall, processor = time.perf_counter(), time.process_time()
        state, _ = compiled.advance(state, trainer.hyperparameters, jnp.asarray(0), jnp.asarray(iterations))
        jax.block_until_ready(state)
        return state, time.perf_counter() - wall, time.process_time() - processor

    trained()
    state, wall, processor = trained()
    params = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(state.agent.params)])
    return {
        "steps_per_second": iterations * copies * steps / wall,
        "steps_per_cpu_second": iterations * copies * steps / processor,
        "compile_seconds": compiled.timing.compile_seconds,
        "params": params.astype(float).tolist(),
    }


def in_its_own_process(*numbers: int) -> dict[str, Any]:
    """A measurement."""
    words = [sys.executable, __file__, "--one", *map(str, numbers)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def row(copies: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Medians for one device and for several, and their ratio."""
    both = {1: [], arguments.devices: []}
    for _ in range(arguments.repeats):
        for devices, found in both.items():
            found.append(in_its_own_process(copies, arguments.samples, devices, arguments.iterations))
    one, several = both.values()
    apart = max(abs(a - b) for a, b in zip(one[0].pop("params"), several[0].pop("params"), strict=True))
    medians = [{name: statistics.median(run[name] for run in runs) for name in runs[0]} for runs in (one, several)]
    ratios = [b["steps_per_second"] / a["steps_per_second"] for a, b in zip(one, several, strict=True)]
    return {
        "copies": copies, "one_device": medians[0], "devices": medians[1], "ratio": statistics.median(ratios),
        "worst_ratio": min(ratios), "parameters_apart": apart,
    }  # fmt: skip


def main() -> None:
    """Measures all rows and writes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, nargs="+", default=[128, 512, 2048])
    parser.add_argument("--samples", type=int, default=32_768)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--one", type=int, nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one)))
        return
    rows = [row(copies, arguments) for copies in arguments.copies]
    record = {"machine": machine(), "devices": arguments.devices, "samples": arguments.samples, "rows": rows}
    arguments.out.write_text(json.dumps(record, indent=1) + "\n")
    for found in rows:
        print(found)


if __name__ == "__main__":
    main()
