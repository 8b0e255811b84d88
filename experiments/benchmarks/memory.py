"""Memory of a sweep: peak and per member, for growing numbers of members, and what jaxrl had estimated.

Every row is a process of its own that is told of `--gibibytes` of memory by its shell (`ulimit -m`, which Linux does
not enforce: what it takes is measured), and of nothing about how to cut its members into batches. Bytes per member are
those between this row's peak and that of one member, which is what Python, JAX and the compiled program take.

    python experiments/benchmarks/memory.py [--members 1 100 1000 10000] [--gibibytes 8]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parents[2] / "results" / "benchmarks" / "memory.json"
STEPS = 4096


def sweep(members: int) -> dict[str, Any]:
    """Runs a sweep of PPO on CartPole with its default sizes; what it took of memory and time."""
    import jaxrl
    from jaxrl.machine import host_memory
    from jaxrl.sweeps.memory import bytes_per_member, members_that_fit

    trainer = jaxrl.trainer("ppo", "gymnax/CartPole-v1", total_steps=STEPS, num_evaluations=1, evaluation_episodes=4)
    start = time.perf_counter()
    swept = jaxrl.sweep(trainer, seeds=members, say=lambda _: None)
    timing = swept.groups[0].timing
    return {
        "members": members,
        "granted_bytes": host_memory(),
        "members_that_fit": members_that_fit(trainer, 1),
        "estimated_bytes_per_member": bytes_per_member(trainer),
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "seconds": round(time.perf_counter() - start, 2),
        "compile_seconds": round(timing.compile_seconds, 2),
        "rows": len(swept.table),
    }


def measured(members: int, granted: int) -> dict[str, Any]:
    """A row, from a process of its own."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_RSS, (granted, granted))  # noqa: E731
    words = [sys.executable, __file__, "--one", str(members)]
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=limit, env=dict(os.environ))
    if done.returncode:
        raise RuntimeError(f"{members} members failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measures all rows and writes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 100, 1_000, 10_000])
    parser.add_argument("--gibibytes", type=float, default=8.0)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(sweep(arguments.one)))
        return
    rows = [measured(members, int(arguments.gibibytes * 2**30)) for members in arguments.members]
    for row in rows[1:]:
        row["bytes_per_member"] = round((row["peak_bytes"] - rows[0]["peak_bytes"]) / (row["members"] - 1))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(
        json.dumps({"gibibytes": arguments.gibibytes, "steps": STEPS, "rows": rows}, indent=1) + "\n"
    )
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
