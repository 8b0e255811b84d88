"""The members of a run as jobs of a cluster, each of which writes a part that is joined when all are done."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from jaxrl.clusters import CLUSTERS, make_cluster, run_jobs
from jaxrl.errors import CheckpointError, ClusterError, require_name
from jaxrl.ranges import COUNT, SOME
from jaxrl.runs.configuration import read_configuration, record_of, write_atomically
from jaxrl.runs.metrics import GrowingTable, read_metrics
from jaxrl.runs.planning import build, plan
from jaxrl.runs.report import write_table
from jaxrl.sweeps.checkpoint import Checkpoints
from jaxrl.sweeps.devices import use_cpu_cores
from jaxrl.sweeps.files import reason
from jaxrl.sweeps.parts import Part, cut, join_parts
from jaxrl.sweeps.running import RunOptions
from jaxrl.sweeps.sweep import Plan, run_plan

__all__ = ["Elsewhere", "begun_elsewhere", "run_elsewhere", "run_part"]

_RECORD = "parts.json"


@dataclass(frozen=True)
class Elsewhere:
    """Where the members of a run are trained, if not in this process."""

    on: str
    """A name of `jaxrl list clusters`: local, slurm, ray or one's own."""
    jobs: int = 2
    """Jobs that the members are cut into."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the cluster."""
    retries: int = 2
    """How often a job that dies is submitted again; it goes on from its checkpoint."""

    def __post_init__(self) -> None:
        require_name("cluster", self.on, CLUSTERS)
        COUNT.check("jobs", self.jobs)
        SOME.check("retries", self.retries)


def begun_elsewhere(directory: Path) -> Elsewhere | None:
    """Where a run's members were being trained when it stopped; None if here.

    Raises:
        CheckpointError: if the record of it is damaged.
    """
    path = directory / "jobs" / _RECORD
    if not path.exists():
        return None
    try:
        return Elsewhere(**json.loads(path.read_text())["elsewhere"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged ({reason(error)}): delete the folder to train the members anew"
        ) from error


def run_elsewhere(planned: Plan, directory: Path, options: RunOptions, elsewhere: Elsewhere) -> None:
    """Trains all members of a run directory as jobs, and leaves finished checkpoints as if this process had.

    Raises:
        ClusterError: if jobs fail more often than they may; the others are done, and resuming goes on with the rest.
        ImportError, ValueError: for a cluster that cannot be used; nothing has been submitted.
    """
    if all(_is_finished(directory / "checkpoints", planned, index) for index in range(len(planned.groups))):
        return
    jobs = directory / "jobs"
    cluster = make_cluster(elsewhere.on, jobs / "logs", elsewhere.options)
    parts = _parts(planned, jobs, elsewhere)
    plain = replace(options, progress=False, on_rows=None, say=RunOptions().say)
    cores = cluster.cores(len(parts))
    calls = [(str(directory.absolute()), *part, plain, cores) for part in parts if not _is_done(part, jobs, planned)]
    told = [-1]

    def look(done: int, total: int) -> None:
        if done != told[0]:
            told[0] = done
            options.say(f"{done} of {total} jobs on {elsewhere.on} are done")
        _gather(parts, jobs, directory / "metrics.csv")

    options.say(f"{sum(end - first for first, end in parts)} members in {len(parts)} jobs on {elsewhere.on}")
    run_jobs(cluster, run_part, calls, elsewhere.retries, look=look, say=options.say)
    if not all(_is_done(part, jobs, planned) for part in parts):
        raise ClusterError("a function among the loggers has ended jobs before their time: jaxrl resume goes on")
    join_parts(planned, parts, jobs, directory / "checkpoints")


def run_part(directory: str, first: int, end: int, options: RunOptions, cores: int | None) -> None:
    """Trains some members of a run directory, from where they stopped, into a folder of their own below it.

    Args:
        directory: of the run, whose configuration it reads.
        first: number of the first member.
        end: number after the last.
        options: of the host loop.
        cores: of the CPU, each of which is a device; None: those that this process was given.
    """
    use_cpu_cores(cores or len(os.sched_getaffinity(0)))
    configuration = read_configuration(directory)
    planned = plan(build(configuration), configuration)
    place = Part(first, end).folder(Path(directory) / "jobs")
    growing = GrowingTable(place / "metrics.csv")
    run_plan(
        planned, options=options, directory=place, on_rows=growing.add, configuration=record_of(configuration),
        part=(first, end),
    )  # fmt: skip


def _parts(planned: Plan, jobs: Path, elsewhere: Elsewhere) -> list[Part]:
    """As they were cut when the run began, else anew."""
    path = jobs / _RECORD
    if path.exists():
        return [Part(*bounds) for bounds in json.loads(path.read_text())["parts"]]
    parts = cut(len(planned.groups) * len(planned.members), elsewhere.jobs)
    jobs.mkdir(exist_ok=True)
    write_atomically(path, json.dumps({"elsewhere": asdict(elsewhere), "parts": parts}))
    return parts


def _is_finished(checkpoints: Path, planned: Plan, group: int) -> bool:
    return Checkpoints(checkpoints / f"group_{group}").latest() == planned.groups[group][0].num_iterations


def _is_done(part: Part, jobs: Path, planned: Plan) -> bool:
    """Whether all groups that a part has members of are finished there."""
    size = len(planned.members)
    groups = range(part.first // size, (part.end - 1) // size + 1)
    return all(_is_finished(part.folder(jobs), planned, group) for group in groups)


def _gather(parts: list[Part], jobs: Path, path: Path) -> None:
    """The rows of all parts so far, in the run's own table."""
    import pandas

    tables = [part.folder(jobs) / "metrics.csv" for part in parts]
    changed = [table.stat().st_mtime for table in tables if table.exists()]
    if changed and (not path.exists() or max(changed) > path.stat().st_mtime):
        write_table(pandas.concat([read_metrics(table) for table in tables if table.exists()]), path)
