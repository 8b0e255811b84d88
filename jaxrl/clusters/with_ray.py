"""A Ray cluster, or Ray on this machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxrl.clusters.jobs import last_line

__all__ = ["ray_cluster"]


class _Job:
    def __init__(self, reference: Any) -> None:
        self._reference, self.name = reference, reference.hex()[:8]

    def done(self) -> bool:
        import ray

        return bool(ray.wait([self._reference], timeout=0)[0])

    def error(self) -> str | None:
        import ray

        try:
            ray.get(self._reference)
        except ray.exceptions.RayTaskError as error:
            return last_line(str(error.cause or error))
        except ray.exceptions.RayError as error:
            return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        return None


class _Ray:
    def __init__(self, options: dict[str, Any]) -> None:
        try:
            import ray
        except ImportError as error:
            raise ImportError("--on ray needs Ray: pip install 'jaxrl[cluster]'") from error
        started = {name: options.pop(name) for name in ("address", "namespace") if name in options}
        self._cores = options.get("num_cpus", 1)
        try:
            # Jobs are tried again by the caller, from their checkpoints.
            self._remote = ray.remote(**{"num_cpus": 1, "max_retries": 0, **options})(_call)
        except (TypeError, ValueError) as error:
            raise ValueError(f"--cluster-option of ray: {last_line(str(error))}") from error
        if not ray.is_initialized():
            ray.init(**started, log_to_driver=False, include_dashboard=False)

    def submit(self, function: Callable[..., None], *arguments: Any) -> _Job:
        return _Job(self._remote.remote(function, arguments))

    def cores(self, jobs: int) -> int | None:
        return max(1, int(self._cores))


def _call(function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    function(*arguments)


def ray_cluster(folder: Path, **options: Any) -> _Ray:
    """Tasks of Ray.

    Args:
        folder: unused: Ray keeps its own logs.
        options: `address` and `namespace` of a running cluster, default one on this machine; all else goes to
            `ray.remote`, such as num_cpus (default 1), num_gpus or memory.
    """
    return _Ray(dict(options))
