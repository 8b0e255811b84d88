"""The commands: each reads its arguments and runs."""

import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from jaxrl.cli.declaration import positional
from jaxrl.cli.kinds import run_kind, shell_that_runs
from jaxrl.cli.options import OF_RUNS, elsewhere_of, parse_settings, resumable, start_cores, tune_options
from jaxrl.cli.values import pairs, swept
from jaxrl.runs.configuration import Configuration, check_unused
from jaxrl.runs.kinds import KINDS, kind_that_runs, names_of
from jaxrl.runs.tables import as_text

__all__ = ["run"]


# Commands that are not called like the kind that they run.
_KIND_OF = {"meta-train": "meta"}


def run(command: str, arguments: list[str]) -> None:
    """Runs one command of `jaxrl --help`: one of those below, or that of a kind of runs."""
    own = {
        "compare": partial(_of_room, "comparing", "compare"),
        "tune": _tune,
        "examine": partial(_of_room, "meta", "examine"),
        "meta-test": partial(_of_room, "meta", "meta_test"),
        "multitask": partial(_of_room, "multitask", "multitask", run=_run),
        "policy": partial(_of_room, "finished", "policy"),
        "evaluate": partial(_of_room, "finished", "evaluate"),
        "resume": partial(_of_room, "finished", "resume"),
        "plot": partial(_of_room, "finished", "plot"),
        "report": partial(_of_room, "finished", "report"),
        "runs": partial(_of_room, "finished", "runs"),
        "export": partial(_of_room, "finished", "export"),
        "watch": partial(_of_room, "finished", "watch"),
    }
    if command in own:
        own[command](arguments)
    else:
        run_kind(_KIND_OF.get(command, command), arguments, _run)


def _of_room(module: str, name: str, arguments: list[str], **rest: Any) -> None:
    """A command of a module that no other command need import."""
    getattr(import_module(f"jaxrl.cli.{module}"), name)(arguments, **rest)


def _run(kind: str, parsed: Any, settings: dict[str, Any], **rest: Any) -> Any:
    """Runs what a command of a kind has read."""
    from jaxrl.runs import experiment, report
    from jaxrl.runs.configuration import configure
    from jaxrl.sweeps.running import RunOptions

    start_cores(vars(parsed))
    configuration = configure(
        kind=kind,
        agent=parsed.agent,
        environment=parsed.environment,
        environment_options=pairs(parsed.environment_option),
        settings=settings,
        **rest,
    )
    directory = parsed.out or Path("runs") / _place(parsed)
    options = RunOptions(
        progress=parsed.progress,
        checkpoint_seconds=parsed.checkpoint_seconds,
        checkpoint_buffers=parsed.checkpoint_buffers,
        keep=parsed.keep,
        loggers=parsed.log or (),
        devices=getattr(parsed, "devices", None),
    )
    with resumable(directory):
        outcome = experiment.run(configuration, directory, options, elsewhere_of(parsed))
    print(report.describe(outcome))
    if outcome.stopped:
        print(f"\nEnded early by a logger; jaxrl resume {directory} goes on")
    print(f"\nWritten to {directory}: {', '.join(sorted(path.name for path in directory.iterdir()))}")
    return outcome


def _place(parsed: Any) -> str:
    """AGENT-TASK, or AGENT where there is no environment."""
    return "-".join(filter(None, (parsed.agent, parsed.environment.rsplit("/", 1)[-1])))


def _tune(arguments: list[str]) -> None:
    from jaxrl.runs.experiment import build, parse_range
    from jaxrl.runs.report import write_table
    from jaxrl.sweeps.devices import use_cpu_cores
    from jaxrl.sweeps.tuning import tune

    names = dict.fromkeys(name for kind in map(KINDS.get, KINDS) if not kind.drive for name in names_of(kind))
    place = positional("environment", str, "A name of `jaxrl list environments`.", "")
    extra = lambda _: [place, *tune_options()]  # noqa: E731
    parsed, settings = parse_settings(
        "tune", arguments, extra, names, shell_that_runs, "agent or algorithm", absent=OF_RUNS
    )
    use_cpu_cores()
    kind = kind_that_runs(parsed.agent)
    if kind.takes_environment and not parsed.environment:
        raise ValueError("ENVIRONMENT is missing: jaxrl tune AGENT ENVIRONMENT")
    options = pairs(parsed.environment_option)
    runnable = build(Configuration(kind.name, parsed.agent, parsed.environment, options, settings))
    space = {name: parse_range(value) for name, value in swept(parsed.sweep).items()}
    directory = parsed.out or Path("runs") / f"tune-{_place(parsed)}"
    check_unused(directory)
    tuned = tune(
        runnable, space, samples=parsed.samples, seeds=parsed.seeds, rungs=parsed.rungs, design=parsed.design,
        held_out_seeds=parsed.held_out_seeds, say=lambda text: print(text, file=sys.stderr),
    )  # fmt: skip
    write_table(tuned.trials, directory / "trials.csv")
    write_table(tuned.held_out, directory / "held_out.csv")
    print("best: " + ", ".join(f"{name}={value:.4g}" for name, value in tuned.best.items()))
    print(as_text(tuned.held_out))
    print(f"\nWritten to {directory}: held_out.csv, trials.csv")
