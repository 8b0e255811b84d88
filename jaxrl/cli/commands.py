"""The commands: each reads its arguments and runs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxrl.cli import align, meta, multitask
from jaxrl.cli.declaration import HOST, Option, option_of, positional, repeated
from jaxrl.cli.main import COMMANDS
from jaxrl.cli.options import parse_settings, seed_option, sweep_members, sweep_options, tune_options
from jaxrl.cli.parsing import parse
from jaxrl.cli.values import pairs, settings_of, swept
from jaxrl.ranges import COUNT, EPISODES, INDEX, PROBABILITY, SEEDS
from jaxrl.runs.configuration import Configuration, check_writable
from jaxrl.runs.kinds import kind_that_runs
from jaxrl.runs.tables import as_text

__all__ = ["run"]


def run(command: str, arguments: list[str]) -> None:
    """Runs one command of `jaxrl --help`."""
    globals()[f"_{command.replace('-', '_')}"](arguments)


def _run(command: str, parsed: Any, settings: dict[str, Any], **rest: Any) -> Any:
    from jaxrl.runs import experiment, report
    from jaxrl.runs.configuration import configure
    from jaxrl.sweeps.devices import use_cpu_cores
    from jaxrl.sweeps.running import RunOptions

    use_cpu_cores()
    configuration = configure(
        kind=command,
        agent=parsed.agent,
        environment=parsed.environment,
        environment_options=pairs(parsed.environment_option),
        settings=settings,
        **rest,
    )
    directory = parsed.out or Path("runs") / f"{parsed.agent}-{parsed.environment.rsplit('/', 1)[-1]}"
    options = RunOptions(progress=parsed.progress, checkpoint_seconds=parsed.checkpoint_seconds)
    with _resumable(directory):
        outcome = experiment.run(configuration, directory, options)
    print(report.describe(outcome))
    print(f"\nWritten to {directory}: {', '.join(sorted(path.name for path in directory.iterdir()))}")
    return outcome


@contextmanager
def _resumable(directory: Path) -> Iterator[None]:
    """Who stops a run is told how it goes on."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        if (directory / "configuration.json").exists():
            raise KeyboardInterrupt(f"; jaxrl resume {directory} goes on from the last checkpoint") from stopped
        raise


def _train(arguments: list[str]) -> None:
    parsed, settings = parse_settings("train", arguments, lambda _: [seed_option("Seed of the run.", 0)])
    _run("train", parsed, settings, seeds=(parsed.seed,))


def _sweep(arguments: list[str], command: str = "sweep") -> None:
    parsed, settings = parse_settings(command, arguments, lambda name: sweep_options(command, name))
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


def _compare_options() -> list[Option]:
    what = "NAME=VALUE for all algorithms, ALGORITHM.NAME=VALUE for one."
    out = "Where runs, tables and figures go; a stopped comparison goes on there."
    steps = "Environment steps of each seed, all members of a population counted."
    return [
        positional("algorithms", str, "Names of `jaxrl list algorithms`, separated by commas."),
        positional("environments", str, "Environments with at least two objectives, separated by commas."),
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
    summary = compare(
        parsed.algorithms.split(","),
        parsed.environments.split(","),
        parsed.out,
        parsed.seeds,
        {"total_steps": parsed.total_steps, **settings_of(parsed.set)},
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

    parsed, settings = parse_settings("tune", arguments, lambda _: tune_options())
    use_cpu_cores()
    kind = kind_that_runs(parsed.agent).name
    options = pairs(parsed.environment_option)
    runnable = build(Configuration(kind, parsed.agent, parsed.environment, options, settings))
    space = {name: parse_range(value) for name, value in swept(parsed.sweep).items()}
    directory = parsed.out or Path("runs") / f"tune-{parsed.agent}-{parsed.environment.rsplit('/', 1)[-1]}"
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
        option_of("point", int, "Row of front.csv, counted from 0, instead of weights and bounds.", None, INDEX),
        option_of("episodes", int, "Fresh episodes.", 128, EPISODES),
        seed_option("Seed of the episodes.", 1),
        option_of("save", Path, save, None, group=HOST),
    ]


def _policy(arguments: list[str]) -> None:
    from jaxrl.runs import saved

    parsed = parse("policy", COMMANDS["policy"], arguments, _policy_options())
    bounds = {int(name) if name.isdigit() else name: value for name, value in pairs(parsed.at_least).items()}
    index, table = saved.choose_policy(
        parsed.run, parsed.weights or None, bounds, parsed.point, parsed.episodes, parsed.seed, parsed.save
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
        option_of("member", int, "Which run of a sweep; default all.", None, INDEX),
        option_of("explore", bool, "Sample actions instead of taking the most likely.", False),
    ]


def _evaluate(arguments: list[str]) -> None:
    from jaxrl.runs import saved

    parsed = parse("evaluate", COMMANDS["evaluate"], arguments, _evaluate_options())
    table = saved.evaluate(parsed.run, parsed.episodes, parsed.seed, parsed.member, parsed.explore)
    print(as_text(table))


def _resume(arguments: list[str]) -> None:
    from jaxrl.runs import experiment, report
    from jaxrl.sweeps.devices import use_cpu_cores

    parsed = parse("resume", COMMANDS["resume"], arguments, [_run_directory()])
    use_cpu_cores()
    with _resumable(parsed.run):
        outcome = experiment.run(experiment.read_configuration(parsed.run), parsed.run)
    print(report.describe(outcome))


def _plot(arguments: list[str]) -> None:
    from jaxrl.runs import experiment

    parsed = parse("plot", COMMANDS["plot"], arguments, [_run_directory()])
    for path in experiment.draw(parsed.run):
        print(path)
