"""The commands: each reads its arguments and runs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from jaxrl.cli.declaration import HOST, Option, option_of, positional, repeated
from jaxrl.cli.kinds import run_kind, shell_that_runs
from jaxrl.cli.names import COMMANDS
from jaxrl.cli.options import log_option, parse_settings, seed_option, tune_options
from jaxrl.cli.parsing import parse
from jaxrl.cli.values import pairs, settings_of, swept
from jaxrl.errors import require_name
from jaxrl.ranges import COUNT, EPISODES, PROBABILITY, SEEDS, SOME, UNBOUNDED
from jaxrl.runs.configuration import Configuration, check_writable
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
        "policy": _policy,
        "evaluate": _evaluate,
        "resume": _resume,
        "plot": _plot,
        "runs": _runs,
        "watch": _watch,
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
    )
    with _resumable(directory):
        outcome = experiment.run(configuration, directory, options)
    print(report.describe(outcome))
    print(f"\nWritten to {directory}: {', '.join(sorted(path.name for path in directory.iterdir()))}")
    return outcome


def _place(parsed: Any) -> str:
    """AGENT-TASK, or AGENT where there is no environment."""
    return "-".join(filter(None, (parsed.agent, parsed.environment.rsplit("/", 1)[-1])))


@contextmanager
def _resumable(directory: Path) -> Iterator[None]:
    """Who stops a run is told how it goes on."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        if (directory / "configuration.json").exists():
            raise KeyboardInterrupt(f"; jaxrl resume {directory} goes on from the last checkpoint") from stopped
        raise


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
    parsed, settings = parse_settings("tune", arguments, extra, names, shell_that_runs, "agent or algorithm")
    use_cpu_cores()
    kind = kind_that_runs(parsed.agent)
    if kind.takes_environment and not parsed.environment:
        raise ValueError("ENVIRONMENT is missing: jaxrl tune AGENT ENVIRONMENT")
    options = pairs(parsed.environment_option)
    runnable = build(Configuration(kind.name, parsed.agent, parsed.environment, options, settings))
    space = {name: parse_range(value) for name, value in swept(parsed.sweep).items()}
    directory = parsed.out or Path("runs") / f"tune-{_place(parsed)}"
    check_writable(directory)
    tuned = tune(
        runnable, space, samples=parsed.samples, seeds=parsed.seeds, rungs=parsed.rungs, design=parsed.design,
        held_out_seeds=parsed.held_out_seeds, say=lambda text: print(text, file=sys.stderr),
    )  # fmt: skip
    write_table(tuned.trials, directory / "trials.csv")
    write_table(tuned.held_out, directory / "held_out.csv")
    print("best: " + ", ".join(f"{name}={value:.4g}" for name, value in tuned.best.items()))
    print(as_text(tuned.held_out))
    print(f"\nWritten to {directory}: held_out.csv, trials.csv")


def _policy_options() -> list[Option]:
    weights = "Preference weights, which sum to 1; default equal weights of objectives scaled to the front's range."
    bound = "Only policies with at least that return, by name or number of the objective."
    save = "Run directory to save the policy in; `jaxrl.load` and `jaxrl evaluate` take it."
    return [
        positional("run", Path, "Run directory of `jaxrl pareto`."),
        option_of("weights", tuple[float, ...], weights, (), PROBABILITY),
        repeated("at_least", "OBJECTIVE=VALUE", bound),
        option_of("point", int, "Row of front.csv, counted from 0, instead of weights and bounds.", None, SOME),
        option_of("episodes", int, "Fresh episodes.", 128, EPISODES),
        seed_option("Seed of the episodes.", 1),
        option_of("save", Path, save, None, group=HOST),
    ]


def _policy(arguments: list[str]) -> None:
    from jaxrl.runs import saved

    parsed = parse("policy", COMMANDS["policy"], arguments, _policy_options())
    index, table = saved.choose_policy(
        parsed.run,
        parsed.weights or None,
        _bounds(parsed.at_least),
        parsed.point,
        parsed.episodes,
        parsed.seed,
        parsed.save,
    )
    print(f"policy {index}\n{as_text(table)}")
    if parsed.save:
        print(f"\nWritten to {parsed.save}")


def _run_directory() -> Option:
    return positional("run", Path, "Run directory, as `--out` named it.")


def _evaluate_options() -> list[Option]:
    return [
        _run_directory(),
        option_of("episodes", int, "Episodes per policy.", 128, EPISODES),
        seed_option("Seed of the episodes.", 1),
        option_of("member", int, "Which run of a sweep; default all.", None, SOME),
        option_of("explore", bool, "Sample actions instead of taking the most likely.", False),
        option_of("which", Literal["last", "best"], "The last state, or that of the best evaluation.", "last"),
    ]


def _evaluate(arguments: list[str]) -> None:
    from jaxrl.runs import saved

    parsed = parse("evaluate", COMMANDS["evaluate"], arguments, _evaluate_options())
    table = saved.evaluate(parsed.run, parsed.episodes, parsed.seed, parsed.member, parsed.explore, parsed.which)
    print(as_text(table))


def _resume(arguments: list[str]) -> None:
    from jaxrl.runs import experiment, report
    from jaxrl.sweeps.devices import use_cpu_cores
    from jaxrl.sweeps.running import RunOptions

    parsed = parse("resume", COMMANDS["resume"], arguments, [_run_directory(), log_option()])
    use_cpu_cores()
    options = RunOptions(loggers=parsed.log or ())
    with _resumable(parsed.run):
        outcome = experiment.run(experiment.read_configuration(parsed.run), parsed.run, options)
    print(report.describe(outcome))


def _watch_options() -> list[Option]:
    from jaxrl.runs.watching import FRAMES_PER_SECOND

    weights = "Preference weights that choose from a front; default equal weights of objectives scaled to its range."
    bound = "Only policies of a front with at least that return, by name or number of the objective."
    out = ".gif, .mp4, or .png for a file per frame. Default: episode.gif in the run directory."
    return [
        _run_directory(),
        option_of("member", int, "Which run of a sweep, or policy of a front, counted from 0.", None, SOME),
        option_of("weights", tuple[float, ...], weights, (), PROBABILITY),
        repeated("at_least", "OBJECTIVE=VALUE", bound),
        seed_option("Seed of the episode.", 1),
        option_of("max_steps", int, "Steps after which an episode is left.", 1000, COUNT),
        option_of("frames_per_second", int, "Of the GIF or video.", 20, FRAMES_PER_SECOND),
        option_of("explore", bool, "Sample actions instead of taking the most likely.", False),
        option_of("which", Literal["last", "best"], "The last state, or that of the best evaluation.", "last"),
        option_of("out", Path, out, None, group=HOST),
    ]


def _watch(arguments: list[str]) -> None:
    from jaxrl.runs.watching import watch

    parsed = parse("watch", COMMANDS["watch"], arguments, _watch_options())
    written = watch(
        parsed.run, parsed.out, parsed.member, parsed.weights or None, _bounds(parsed.at_least), parsed.seed,
        parsed.max_steps, parsed.frames_per_second, parsed.which, parsed.explore,
    )  # fmt: skip
    print(f"Written to {written}")


def _bounds(words: list[str]) -> dict[str | int, Any]:
    """Least returns by name or number of the objective."""
    bounds = {int(name) if name.isdigit() else name: value for name, value in pairs(words).items()}
    for name, bound in bounds.items():
        UNBOUNDED.check(f"the least return of {name}", bound)
    return bounds


def _runs_options() -> list[Option]:
    save = "CSV file to write the table to."
    return [
        positional("folder", Path, "Folder with run directories, at any depth.", Path("runs")),
        option_of("sort", str, "Column to sort by, largest first; default by path.", None),
        option_of("save", Path, save, None, group=HOST),
    ]


def _runs(arguments: list[str]) -> None:
    from jaxrl.runs.finding import find_runs
    from jaxrl.runs.report import write_table

    parsed = parse("runs", COMMANDS["runs"], arguments, _runs_options())
    if parsed.save:
        check_writable(parsed.save.parent)
    table = find_runs(parsed.folder)
    if parsed.sort is not None:
        column = require_name("column", parsed.sort, table.columns)
        table = table.sort_values(column, ascending=False, na_position="last", key=_comparable)
    print(as_text(table.fillna("")))
    if parsed.save:
        write_table(table, parsed.save)


def _comparable(column: Any) -> Any:
    """Numbers by size, and words, where there are some, by their letters."""
    import pandas

    numbers = pandas.to_numeric(column, errors="coerce")
    return numbers if numbers.notna().any() else column.astype(str)


def _plot(arguments: list[str]) -> None:
    from jaxrl.runs import experiment

    parsed = parse("plot", COMMANDS["plot"], arguments, [_run_directory()])
    for path in experiment.draw(parsed.run):
        print(path)
