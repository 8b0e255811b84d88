"""The commands: each reads its arguments and runs."""

import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from jaxrl.cli.declaration import HOST, Option, option_of, positional, repeated
from jaxrl.cli.kinds import run_kind, shell_that_runs
from jaxrl.cli.names import COMMANDS
from jaxrl.cli.options import OF_RUNS, elsewhere_of, parse_settings, resumable, tune_options
from jaxrl.cli.parsing import parse
from jaxrl.cli.values import pairs, settings_of, swept
from jaxrl.ranges import COUNT, EPISODES, SEEDS
from jaxrl.runs.configuration import Configuration, check_unused, check_writable
from jaxrl.runs.kinds import KINDS, kind_that_runs, names_of
from jaxrl.runs.tables import as_text

__all__ = ["run"]


# Commands that are not called like the kind that they run.
_KIND_OF = {"meta-train": "meta"}


def run(command: str, arguments: list[str]) -> None:
    """Runs one command of `jaxrl --help`: one of those below, or that of a kind of runs."""
    own = {
        "compare": _compare,
        "tune": _tune,
        "examine": partial(_of_room, "meta", "examine"),
        "meta-test": partial(_of_room, "meta", "meta_test"),
        "multitask": partial(_of_room, "multitask", "multitask", run=_run),
        "policy": partial(_of_room, "finished", "policy"),
        "evaluate": partial(_of_room, "finished", "evaluate"),
        "resume": partial(_of_room, "finished", "resume"),
        "plot": partial(_of_room, "finished", "plot"),
        "runs": partial(_of_room, "finished", "runs"),
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
    from jaxrl.sweeps.devices import use_cpu_cores
    from jaxrl.sweeps.running import RunOptions

    use_cpu_cores()
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
        keep=parsed.keep,
        loggers=parsed.log or (),
        devices=getattr(parsed, "devices", None),
    )
    with resumable(directory):
        outcome = experiment.run(configuration, directory, options, elsewhere_of(parsed))
    print(report.describe(outcome))
    print(f"\nWritten to {directory}: {', '.join(sorted(path.name for path in directory.iterdir()))}")
    return outcome


def _place(parsed: Any) -> str:
    """AGENT-TASK, or AGENT where there is no environment."""
    return "-".join(filter(None, (parsed.agent, parsed.environment.rsplit("/", 1)[-1])))


def _compare_options() -> list[Option]:
    what = "NAME=VALUE for all algorithms, ALGORITHM.NAME=VALUE for one."
    out = "Where runs, tables and figures go; a stopped comparison goes on there."
    steps = "Environment steps of each seed, all members of a population counted."
    return [
        positional("algorithms", str, "Agents, or algorithms that find fronts, separated by commas."),
        positional("environments", str, "Environments, for fronts of two objectives or more, separated by commas.", ""),
        repeated("set", "NAME=VALUE", what),
        option_of("seeds", int, "Seeds of each pair (0, 1, ...).", 4, SEEDS),
        option_of("total_steps", int, steps, 500_000, COUNT),
        option_of("front_episodes", int, "Episodes per policy of the final evaluation.", 64, EPISODES),
        option_of("out", Path, out, Path("runs/comparison"), group=HOST),
        option_of("progress", bool, "Progress bar. Default: on a terminal.", None, group=HOST),
    ]


def _compare(arguments: list[str]) -> None:
    from jaxrl.runs.comparison import compare
    from jaxrl.sweeps.devices import use_cpu_cores
    from jaxrl.sweeps.running import RunOptions

    parsed = parse("compare", COMMANDS["compare"], arguments, _compare_options())
    use_cpu_cores()
    check_writable(parsed.out)
    names, settings = parsed.algorithms.split(","), settings_of(parsed.set)
    if kind_that_runs(*names).takes_environment and not parsed.environments:
        raise ValueError("ENVIRONMENTS is missing: jaxrl compare ALGORITHMS ENVIRONMENTS")
    if all("total_steps" in shell_that_runs(name).settings(name) for name in names) or "total_steps" in parsed.written:
        settings = {"total_steps": parsed.total_steps, **settings}
    summary = compare(
        names, parsed.environments.split(","), parsed.out, parsed.seeds, settings, parsed.front_episodes,
        RunOptions(progress=parsed.progress),
    )  # fmt: skip
    print(as_text(summary))
    print(f"\nWritten to {parsed.out}: {', '.join(sorted(path.name for path in parsed.out.iterdir()))}")


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
