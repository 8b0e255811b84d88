"""SLURM, and processes of this machine in its place, through submitit."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxrl.clusters.jobs import last_line

__all__ = ["local", "slurm"]


class _Call:
    """A call that SLURM may stop and start again: the same call, which goes on from its checkpoint."""

    def __init__(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments

    def __call__(self) -> None:
        self.function(*self.arguments)

    def checkpoint(self) -> Any:
        """What submitit queues when SLURM takes the job's place from it."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class _Job:
    def __init__(self, job: Any) -> None:
        self._job, self.name = job, job.job_id

    def done(self) -> bool:
        return self._job.done()

    def error(self) -> str | None:
        error = self._job.exception()
        return None if error is None else last_line(str(error))


class _Submitit:
    def __init__(self, kind: str, folder: Path, options: dict[str, Any]) -> None:
        try:
            import submitit
        except ImportError as error:
            raise ImportError(f"--on {kind} needs submitit: pip install 'jaxrl[cluster]'") from error
        self._kind = kind
        self._executor = submitit.AutoExecutor(folder=folder / "%j", cluster=kind)
        try:
            self._executor.update_parameters(name="jaxrl", **({"timeout_min": 60 * 24 * 7} if kind == "local" else {}))
            self._executor.update_parameters(**options)
        except (NameError, TypeError, ValueError) as error:
            raise ValueError(f"--cluster-option of {kind}: {last_line(str(error))}") from error

    def submit(self, function: Callable[..., None], *arguments: Any) -> _Job:
        return _Job(self._executor.submit(_Call(function, arguments)))

    def cores(self, jobs: int) -> int | None:
        return max(1, (os.cpu_count() or 1) // jobs) if self._kind == "local" else None


def local(folder: Path, **options: Any) -> _Submitit:
    """Processes of this machine, through submitit.

    Args:
        folder: of the logs.
        options: of `submitit.AutoExecutor.update_parameters`.
    """
    return _Submitit("local", folder, options)


def slurm(folder: Path, **options: Any) -> _Submitit:
    """Jobs of a SLURM cluster, through submitit.

    Args:
        folder: of the logs, which all nodes must see.
        options: of `submitit.AutoExecutor.update_parameters`, such as timeout_min, gpus_per_node and slurm_partition.
    """
    return _Submitit("slurm", folder, options)
