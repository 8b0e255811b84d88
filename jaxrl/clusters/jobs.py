"""Runs calls on a cluster to their end, and those that die again."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from jaxrl.clusters.base import Cluster
from jaxrl.errors import ClusterError

__all__ = ["last_line", "run_jobs"]


def run_jobs(
    cluster: Cluster,
    function: Callable[..., None],
    calls: Sequence[tuple[Any, ...]],
    retries: int = 2,
    poll_seconds: float = 2.0,
    look: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = print,
) -> None:
    """Submits a call for each of `calls`, and waits for all.

    A call must go on where a former one of the same arguments stopped: one that fails is submitted again.

    Args:
        cluster: where.
        function: importable there.
        calls: arguments of each call.
        retries: how often a call may fail and be submitted again.
        poll_seconds: between two looks at the jobs.
        look: told after each how many calls are done, and of how many.
        say: told what has failed.

    Raises:
        ClusterError: if calls have failed more often than that; all others have been carried out by then.
    """
    running = {index: cluster.submit(function, *call) for index, call in enumerate(calls)}
    left, failed = dict.fromkeys(running, retries), {}
    while running:
        for index, job in list(running.items()):
            if not job.done():
                continue
            del running[index]
            error = job.error()
            if error is None:
                continue
            if left[index]:
                left[index] -= 1
                say(f"job {job.name} failed ({error}) and is submitted again from its last checkpoint")
                running[index] = cluster.submit(function, *calls[index])
            else:
                failed[job.name] = error
        look(len(calls) - len(running) - len(failed), len(calls))
        if running:
            time.sleep(poll_seconds)
    if failed:
        raise ClusterError(_sentence(failed, len(calls), retries))


def _sentence(failed: dict[str, str], total: int, retries: int) -> str:
    named = "; ".join(f"{name}: {error}" for name, error in failed.items())
    again = f", submitted {retries + 1} times," if retries else ""
    return f"{len(failed)} of {total} jobs failed{again} and can go on with jaxrl resume: {named}"


def last_line(text: str) -> str:
    """The last line of a traceback, which says what went wrong."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it ended without a word"
