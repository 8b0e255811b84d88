"""The command line; `jaxrl --help` lists its commands."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxrl import plugins
from jaxrl.cli import align, listing, meta, multitask
from jaxrl.cli.options import (
    COMMANDS,
    parse_settings,
    sweep_members,
    sweep_options,
    tune_options,
    what_to_run,
)
from jaxrl.cli.values import pairs, swept
from jaxrl.errors import CheckpointError, NonFiniteError, require_name
from jaxrl.morl.algorithms import ALGORITHMS
from jaxrl.runs.configuration import Configuration
from jaxrl.runs.tables import as_text

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; errors of use are one line on standard error and exit status 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        print("usage: jaxrl COMMAND ...\n")
        print("\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()))
        print("\njaxrl COMMAND --help explains every option.")
        return 0
    try:
        arguments = _import_modules(arguments)
        command = require_name("command", arguments[0], COMMANDS)
        handler: Callable[[list[str]], None] = globals()[f"_{command.replace('-', '_')}"]
        handler(arguments[1:])
    except (ValueError, ImportError, FileNotFoundError, CheckpointError, NonFiniteError, IndexError) as error:
        print(f"jaxrl: {error}", file=sys.stderr)
        return 2
    return 0


def _import_modules(arguments: list[str]) -> list[str]:
    """Imports every MODULE of `--import MODULE`, which may register names, and returns the other arguments."""
    rest, words = [], iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name == "--import":
            plugins.load([value if equals else next(words, "")])
        else:
            rest.append(word)
    return rest


def _run(command: str, parsed: Any, settings: dict[str, Any], **rest: Any) -> Any:
    from jaxrl.runs import experiment, report
    from jaxrl.sweeps.devices import use_cpu_cores
    from jaxrl.sweeps.running import RunOptions

    use_cpu_cores()
    configuration = experiment.Configuration(
        kind=command,
        agent=parsed.agent,
        environment=parsed.environment,
        environment_options=pairs(parsed.environment_option),
        settings=settings,
        **rest,
    )
    directory = parsed.out or Path("runs") / f"{parsed.agent}-{parsed.environment.rsplit('/', 1)[-1]}"
    options = RunOptions(progress=parsed.progress, checkpoint_seconds=parsed.checkpoint_seconds)
    outcome = experiment.run(configuration, directory, options)
    print(report.describe(outcome))
    print(f"\nWritten to {directory}: {', '.join(sorted(path.name for path in directory.iterdir()))}")
    return outcome


def _train(arguments: list[str]) -> None:
    seed = ("seed", Annotated[int, tyro.conf.arg(help="Seed of the run.")], field(default=0))
    parsed, settings = parse_settings("train", arguments, [seed])
    _run("train", parsed, settings, seeds=(parsed.seed,))


def _sweep(arguments: list[str], command: str = "sweep") -> None:
    options = sweep_options(command, what_to_run(command, arguments))
    parsed, settings = parse_settings(command, arguments, options)
    rest = {"weights": getattr(parsed, "num_weights", None), **sweep_members(parsed)}
    if command == "pareto":
        rest |= {"evaluation_episodes": parsed.front_episodes, "discounted": getattr(parsed, "discounted", False)}
    _run(command, parsed, settings, **rest)


def _meta_train(arguments: list[str]) -> None:
    meta.meta_train(arguments, _run)


def _meta_test(arguments: list[str]) -> None:
    meta.meta_test(arguments)


def _examine(arguments: list[str]) -> None:
    meta.examine(arguments)


def _align(arguments: list[str]) -> None:
    align.align(arguments, _run)


def _multitask(arguments: list[str]) -> None:
    multitask.multitask(arguments, _train, _run)


def _pareto(arguments: list[str]) -> None:
    _sweep(arguments, "pareto")


@dataclass
class _CompareArguments:
    """Run several algorithms on several environments under one protocol."""

    algorithms: tyro.conf.Positional[str]
    """Names of `jaxrl list algorithms`, separated by commas."""
    environments: tyro.conf.Positional[str]
    """Environments with at least two objectives, separated by commas."""
    out: Path = Path("runs/comparison")
    """Where runs, tables and figures go; a stopped comparison goes on there."""
    seeds: int = 4
    """Seeds of each pair (0, 1, ...)."""
    total_steps: int = 500_000
    """Environment steps of each seed, all members of a population counted."""
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """NAME=VALUE for all algorithms, ALGORITHM.NAME=VALUE for one; repeatable."""
    front_episodes: int = 64
    """Episodes per policy of the final evaluation."""
    progress: bool | None = None
    """Progress bar. Default: on a terminal."""


def _compare(arguments: list[str]) -> None:
    from jaxrl.runs.comparison import compare
    from jaxrl.sweeps.devices import use_cpu_cores
    from jaxrl.sweeps.running import RunOptions

    parsed = tyro.cli(_CompareArguments, args=arguments, prog="jaxrl compare")
    use_cpu_cores()
    summary = compare(
        parsed.algorithms.split(","),
        parsed.environments.split(","),
        parsed.out,
        parsed.seeds,
        {"total_steps": parsed.total_steps, **pairs(parsed.set)},
        parsed.front_episodes,
        RunOptions(progress=parsed.progress),
    )
    print(as_text(summary))
    print(f"\nWritten to {parsed.out}: {', '.join(sorted(path.name for path in parsed.out.iterdir()))}")


def _tune(arguments: list[str]) -> None:
    from jaxrl.runs.experiment import build, parse_range
    from jaxrl.runs.report import write_table
    from jaxrl.sweeps.devices import use_cpu_cores
    from jaxrl.sweeps.tuning import tune

    parsed, settings = parse_settings("tune", arguments, tune_options())
    use_cpu_cores()
    kind = "pareto" if parsed.agent in ALGORITHMS else "train"
    options = pairs(parsed.environment_option)
    runnable = build(Configuration(kind, parsed.agent, parsed.environment, options, settings))
    space = {name: parse_range(value) for name, value in swept(parsed.sweep).items()}
    tuned = tune(
        runnable, space, samples=parsed.samples, seeds=parsed.seeds, rungs=parsed.rungs, design=parsed.design,
        held_out_seeds=parsed.held_out_seeds, say=lambda text: print(text, file=sys.stderr),
    )  # fmt: skip
    directory = parsed.out or Path("runs") / f"tune-{parsed.agent}-{parsed.environment.rsplit('/', 1)[-1]}"
    write_table(tuned.trials, directory / "trials.csv")
    write_table(tuned.held_out, directory / "held_out.csv")
    print("best: " + ", ".join(f"{name}={value:.4g}" for name, value in tuned.best.items()))
    print(as_text(tuned.held_out))
    print(f"\nWritten to {directory}: held_out.csv, trials.csv")


@dataclass
class _PolicyArguments:
    """Choose one policy of a Pareto study, roll it out on fresh episodes, and save it alone."""

    run: tyro.conf.Positional[Path]
    """Run directory of `jaxrl pareto`."""
    weights: tuple[float, ...] = ()
    """Preference weights; default equal weights of objectives scaled to the front's range."""
    at_least: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """OBJECTIVE=VALUE: only policies with at least that return, by name or number of the objective; repeatable."""
    point: int | None = None
    """Row of front.csv, counted from 0, instead of weights and bounds."""
    episodes: int = 128
    """Fresh episodes."""
    seed: int = 1
    """Seed of the episodes."""
    save: Path | None = None
    """Run directory to save the policy in; `jaxrl.load` and `jaxrl evaluate` take it."""


def _policy(arguments: list[str]) -> None:
    from jaxrl.runs import saved

    parsed = tyro.cli(_PolicyArguments, args=arguments, prog="jaxrl policy")
    bounds = {int(name) if name.isdigit() else name: value for name, value in pairs(parsed.at_least).items()}
    index, table = saved.choose_policy(
        parsed.run, parsed.weights or None, bounds, parsed.point, parsed.episodes, parsed.seed, parsed.save
    )
    print(f"policy {index}\n{as_text(table)}")
    if parsed.save:
        print(f"\nWritten to {parsed.save}")


@dataclass
class _RunDirectory:
    """A run directory."""

    run: tyro.conf.Positional[Path]
    """Run directory, as `--out` named it."""


@dataclass
class _EvaluateArguments(_RunDirectory):
    """Evaluate a trained run on fresh episodes."""

    episodes: int = 128
    """Episodes per policy."""
    seed: int = 1
    """Seed of the episodes."""
    member: int | None = None
    """Which run of a sweep; default all."""
    explore: bool = False
    """Sample actions instead of taking the most likely."""


def _evaluate(arguments: list[str]) -> None:
    from jaxrl.runs import saved

    parsed = tyro.cli(_EvaluateArguments, args=arguments, prog="jaxrl evaluate")
    table = saved.evaluate(parsed.run, parsed.episodes, parsed.seed, parsed.member, parsed.explore)
    print(as_text(table))


def _resume(arguments: list[str]) -> None:
    from jaxrl.runs import experiment, report
    from jaxrl.sweeps.devices import use_cpu_cores

    parsed = tyro.cli(_RunDirectory, args=arguments, prog="jaxrl resume", description="Finish an interrupted run.")
    use_cpu_cores()
    outcome = experiment.run(experiment.read_configuration(parsed.run), parsed.run)
    print(report.describe(outcome))


def _plot(arguments: list[str]) -> None:
    from jaxrl.runs import experiment

    parsed = tyro.cli(_RunDirectory, args=arguments, prog="jaxrl plot", description="Draw a run's figures again.")
    for path in experiment.draw(parsed.run):
        print(path)


def _list(arguments: list[str]) -> None:
    listing.list_names(arguments)
