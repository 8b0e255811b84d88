"""What a cluster is to a sweep: something that takes a function and says when it is done."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxrl.registry import Registry

__all__ = ["CLUSTERS", "Cluster", "Job", "make_cluster", "register_cluster"]


@runtime_checkable
class Job(Protocol):
    """A call that was submitted."""

    name: str
    """As the cluster calls it."""

    def done(self) -> bool:
        """Whether it has ended, well or not."""

    def error(self) -> str | None:
        """Of one that has ended: why it failed, in a sentence; None where it did not."""


@runtime_checkable
class Cluster(Protocol):
    """Takes calls of functions that can be pickled, and runs them somewhere with the same files and packages."""

    def submit(self, function: Callable[..., None], *arguments: Any) -> Job:
        """Queues a call."""

    def cores(self, jobs: int) -> int | None:
        """CPU cores of each of so many jobs; None where a job finds out by itself."""


_JAXRL = {
    "local": "jaxrl.clusters.with_submitit:local",
    "slurm": "jaxrl.clusters.with_submitit:slurm",
    "ray": "jaxrl.clusters.with_ray:ray_cluster",
}
CLUSTERS = Registry("cluster", _JAXRL)


def register_cluster(name: str, build: Callable[..., Cluster]) -> Callable[..., Cluster]:
    """Makes a cluster known as `--on NAME`.

    Args:
        name: of the cluster.
        build: `(folder, **options) -> Cluster`; the folder is for its logs, options are those of `--cluster-option`.

    Raises:
        ValueError: if the name is none or taken.
    """
    CLUSTERS.register(name, build, module=build.__module__)
    return build


def make_cluster(name: str, folder: str | Path, options: Mapping[str, Any] | None = None) -> Cluster:
    """A cluster by name.

    Raises:
        UnknownNameError: for an unknown one.
        ImportError: if the library that it goes through is not installed.
        ValueError: for options that it does not take.
    """
    return CLUSTERS[name](Path(folder), **(options or {}))
