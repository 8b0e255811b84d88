"""What every contender's script shares: settings in, one line of JSON out, one way to time.

Runs inside each contender's own environment, so it imports nothing but the standard library
until a function needs jax.
"""

import importlib.metadata
import json
import os
import statistics
import sys
import time
from typing import Any


def read_settings() -> dict[str, Any]:
    """The settings that the driver passes as the only argument; `threads` of XLA's pool are set before JAX starts."""
    settings = json.loads(sys.argv[1])
    if settings.get("threads"):
        os.environ["NPROC"] = str(settings["threads"])
    return settings


def report(**result: Any) -> None:
    """Prints the result as the last line of output, where the driver reads it."""
    print(json.dumps(result), flush=True)


def versions(*packages: str) -> dict[str, str]:
    """Installed versions by package."""
    return {package: importlib.metadata.version(package) for package in packages}


def compile_then_run(function: Any, *arguments: Any, budget_seconds: float = 6.0) -> tuple[Any, dict[str, float]]:
    """The result of a compiled call, and the seconds to compile and to run it.

    Compilation is ahead of time, so that no timed call contains any of it.

    Returns:
        The result and `compile_seconds`, and what `run_repeatedly` measures.
    """
    compiled, compile_seconds = compile_ahead(function, *arguments)
    result, seconds = run_repeatedly(compiled, *arguments, budget_seconds=budget_seconds)
    return result, {"compile_seconds": compile_seconds, **seconds}


def compile_ahead(function: Any, *arguments: Any) -> tuple[Any, float]:
    """The compiled function, and the seconds to trace and compile it."""
    import jax

    start = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    return compiled, time.perf_counter() - start


def run_repeatedly(compiled: Any, *arguments: Any, budget_seconds: float = 6.0) -> tuple[Any, dict[str, float]]:
    """The result of a compiled function, and the seconds to run it.

    A short program is called again, at most five times within `budget_seconds`, and the medians are returned.

    Returns:
        The result, and `run_seconds` (wall clock) and `cpu_seconds` (of all threads, which other load on the machine
        disturbs less).
    """
    import jax

    wall: list[float] = []
    processor: list[float] = []
    while len(wall) < 5 and sum(wall) < budget_seconds:
        start, start_processor = time.perf_counter(), time.process_time()
        result = jax.block_until_ready(compiled(*arguments))
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_processor)
    return result, {"run_seconds": statistics.median(wall), "cpu_seconds": statistics.median(processor)}
