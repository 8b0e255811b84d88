"""jaxrl's part of `metrics.py`: compiled calls on arrays that are on the device already."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _metric_sets import median_seconds, points_of, reference_of
from _protocol import read_settings, report, versions

from jaxrl.morl import pareto

SAMPLES = 100_000
NUM_SETS = 64


def timed(program: Callable, points: jax.Array) -> dict[str, Any]:
    """Value and seconds of a program that is compiled ahead of time."""
    start = time.perf_counter()
    compiled = jax.jit(program).lower(points).compile()
    compile_seconds = time.perf_counter() - start
    value, seconds = median_seconds(lambda: jax.block_until_ready(compiled(points)))
    return row_of(value, seconds) | {"compile_seconds": compile_seconds}


def row_of(value: Any, seconds: float) -> dict[str, Any]:
    """What the driver reads: value, and its standard error if it has one."""
    return {"value": [float(entry) for entry in np.atleast_1d(np.asarray(value))], "run_seconds": seconds}


def main() -> None:
    """Times every size of one shape and number of objectives."""
    settings = read_settings()
    num_objectives, rows = settings["num_objectives"], []
    reference = jnp.asarray(reference_of(num_objectives))
    programs = {
        "filter": lambda points: jnp.sum(pareto.non_dominated(points)),
        "hypervolume": lambda points: pareto.hypervolume(points, reference),
        "estimate": lambda points: pareto.hypervolume_estimate(jax.random.key(0), points, reference, SAMPLES),
    }
    for metric, program in programs.items():
        for size in settings["sizes"][metric]:
            points = jnp.asarray(points_of(settings["shape"], size, num_objectives))
            if metric == "hypervolume" and size > settings["largest_compiled"]:
                # On the host, without compiling anything.
                row = row_of(*median_seconds(lambda points=points: float(pareto.hypervolume(points, reference))))
            else:
                row = timed(program, points)
            rows.append({"metric": metric, "size": size, **row})
            if metric != "estimate" and size in settings["batched"]:
                # Permuted copies, so that no two sets are sorted alike; seconds are those of one set.
                order = np.argsort(np.random.default_rng(0).random((NUM_SETS, size)), axis=1)
                batched = timed(lambda sets, program=program: jax.vmap(program)(sets)[0], points[order])
                batched["run_seconds"] /= NUM_SETS
                rows.append({"metric": f"batched {metric}", "size": size, **batched})
    report(rows=rows, versions=versions("jax", "numpy"))


if __name__ == "__main__":
    main()
