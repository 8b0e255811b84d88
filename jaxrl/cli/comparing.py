"""The command `jaxrl compare`: of algorithms, which it runs, or of runs that have been."""

import os
import sys
from pathlib import Path
from typing import Any

from jaxrl.cli.declaration import HOST, Option, flag, option_of, repeated
from jaxrl.cli.kinds import shell_that_runs
from jaxrl.cli.names import COMMANDS
from jaxrl.cli.parsing import parse
from jaxrl.cli.values import settings_of
from jaxrl.ranges import COUNT, EPISODES, SEEDS
from jaxrl.runs.configuration import check_writable
from jaxrl.runs.kinds import kind_that_runs
from jaxrl.runs.tables import as_text

__all__ = ["compare"]

_FORMS = "jaxrl compare ALGORITHMS ENVIRONMENTS, or jaxrl compare RUN RUN ..."
# What only runs have that are yet to be started, and where each form writes.
_OF_STARTED = ("set", "seeds", "total_steps", "progress")
_OUT = {"started": Path("runs/comparison"), "finished": Path("runs/compared")}


def _options() -> list[Option]:
    words = (
        "Agents, or algorithms that find fronts, and environments, each separated by commas, "
        "all of which are run. Or directories of runs that have been, or folders that hold some; each "
        "setting of a sweep is a row, and RUN:learning_rate=0.001 means the members with that value."
    )
    what = "NAME=VALUE for all algorithms, ALGORITHM.NAME=VALUE for one."
    out = (
        "Where tables and figures go, and what is run. Default: runs/comparison; of runs that have been runs/compared."
    )
    steps = "Environment steps of each seed that is run, all members of a population counted."
    episodes = (
        "Fresh episodes per policy at the end. Default: 64; of runs that have been none: their last evaluations count."
    )
    return [
        option_of(
            "words", tuple[str, ...], words, (), metavar="ALGORITHMS ENVIRONMENTS | RUN RUN ...", positional=True
        ),
        repeated("set", "NAME=VALUE", what),
        option_of("seeds", int, "Seeds of each pair that is run (0, 1, ...).", 4, SEEDS),
        option_of("total_steps", int, steps, 500_000, COUNT),
        option_of("episodes", int, episodes, None, EPISODES, path="front_episodes"),
        option_of("out", Path, out, None, group=HOST),
        option_of("progress", bool, "Progress bar. Default: on a terminal.", None, group=HOST),
    ]


def compare(arguments: list[str]) -> None:
    """Runs and compares, or compares what has been run."""
    from jaxrl.sweeps.devices import use_cpu_cores

    parsed = parse("compare", COMMANDS["compare"], arguments, _options())
    finished = _are_folders(parsed.words)
    if not finished and len(parsed.words) > 2:
        raise ValueError(f"{parsed.words[2]!r} is one word too many: {_FORMS}")
    use_cpu_cores()
    out = parsed.out if parsed.out is not None else _OUT["finished" if finished else "started"]
    check_writable(out)
    summary = _compare_finished(parsed, out) if finished else _compare_started(parsed, out)
    print(as_text(summary))
    print(f"\nWritten to {out}: {', '.join(sorted(path.name for path in out.iterdir()))}")


def _are_folders(words: tuple[str, ...]) -> bool:
    """Whether words mean runs that have been: all are folders, or the first can be nothing else."""
    if not words:
        raise ValueError(f"what is compared is missing: {_FORMS}")
    from jaxrl.runs.contenders import split_choice

    folders = [split_choice(word)[0] for word in words]
    # No algorithm is called like that.
    return all(map(os.path.isdir, folders)) or os.sep in folders[0] or folders[0] in (".", "..")


def _compare_finished(parsed: Any, out: Path) -> Any:
    from jaxrl.runs.finished_comparison import compare_runs

    written = next((name for name in _OF_STARTED if name in parsed.written), None)
    if written:
        raise ValueError(f"{flag(written)} is for what is yet to be run, and {parsed.words[0]} has been")
    return compare_runs(parsed.words, out, parsed.episodes, lambda text: print(f"jaxrl: {text}", file=sys.stderr))


def _compare_started(parsed: Any, out: Path) -> Any:
    from jaxrl.runs.comparison import compare
    from jaxrl.sweeps.running import RunOptions

    algorithms, environments = (*parsed.words, "")[:2]
    names, settings = algorithms.split(","), settings_of(parsed.set)
    if kind_that_runs(*names).takes_environment and not environments:
        raise ValueError("ENVIRONMENTS is missing: jaxrl compare ALGORITHMS ENVIRONMENTS")
    if all("total_steps" in shell_that_runs(name).settings(name) for name in names) or "total_steps" in parsed.written:
        settings = {"total_steps": parsed.total_steps, **settings}
    options = RunOptions(progress=parsed.progress)
    episodes = 64 if parsed.episodes is None else parsed.episodes
    return compare(names, environments.split(","), out, parsed.seeds, settings, episodes, options)
