"""Commands on what has been run: policies, evaluations, episodes, figures, tables; and going on with it."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from jaxrl.cli.declaration import HOST, Option, option_of, positional, repeated
from jaxrl.cli.names import COMMANDS
from jaxrl.cli.options import cluster_options, elsewhere_of, log_option, resumable, seed_option
from jaxrl.cli.parsing import parse
from jaxrl.cli.values import pairs
from jaxrl.errors import require_name
from jaxrl.ranges import COUNT, EPISODES, NOT_NEGATIVE, PROBABILITY, SOME, UNBOUNDED
from jaxrl.runs.configuration import check_writable
from jaxrl.runs.tables import as_text

__all__ = ["evaluate", "export", "plot", "policy", "report", "resume", "runs", "watch"]


def _policy_options() -> list[Option]:
    save = "Run directory to save the policy in; `jaxrl.load`, `jaxrl evaluate` and `jaxrl export` take it."
    return [
        positional("run", Path, "Run directory of `jaxrl pareto`."),
        *_preferences(),
        option_of("point", int, "Row of front.csv, counted from 0, instead of weights and bounds.", None, SOME),
        option_of("episodes", int, "Fresh episodes.", 128, EPISODES),
        seed_option("Seed of the episodes.", 1),
        option_of("save", Path, save, None, group=HOST),
    ]


def _preferences() -> list[Option]:
    """What chooses from a front."""
    weights = (
        "Preference weights, which sum to 1; of a front default equal weights of objectives scaled to its range, of a "
        "policy that is conditioned on weights those of its training."
    )
    bound = "Only policies with at least that return, by name or number of the objective."
    return [
        option_of("weights", tuple[float, ...], weights, (), PROBABILITY),
        repeated("at_least", "OBJECTIVE=VALUE", bound),
    ]


def _acting() -> list[Option]:
    """How a policy acts, and in which state."""
    return [
        option_of("explore", bool, "Sample actions instead of taking the most likely.", False),
        option_of("which", Literal["last", "best"], "The last state, or that of the best evaluation.", "last"),
    ]


def policy(arguments: list[str]) -> None:
    """One policy of a front: chosen, rolled out, saved."""
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
        option_of("environment", str, "Another environment than that of training, which acts alike.", None),
        repeated("environment_option", "NAME=VALUE", "Option of that environment's builder."),
        *_acting(),
    ]


def evaluate(arguments: list[str]) -> None:
    """Fresh episodes."""
    from jaxrl.runs import saved

    parsed = parse("evaluate", COMMANDS["evaluate"], arguments, _evaluate_options())
    options, environment = pairs(parsed.environment_option), None
    if options and parsed.environment is None:
        raise ValueError(
            "--environment-option is for an environment other than that of training: give --environment, too"
        )
    if parsed.environment is not None:
        from jaxrl.environments.registry import make

        environment = make(parsed.environment, **options)
    table = saved.evaluate(
        parsed.run, parsed.episodes, parsed.seed, parsed.member, parsed.explore, parsed.which, environment
    )
    print(as_text(table))


def resume(arguments: list[str]) -> None:
    """Goes on with a run."""
    from jaxrl.runs import experiment, report
    from jaxrl.runs.configuration import threads_of
    from jaxrl.sweeps.devices import use_cpu_cores
    from jaxrl.sweeps.running import RunOptions

    parsed = parse("resume", COMMANDS["resume"], arguments, [_run_directory(), log_option(), *cluster_options()])
    use_cpu_cores(threads=threads_of(parsed.run))
    options = RunOptions(loggers=parsed.log or ())
    with resumable(parsed.run):
        configuration = experiment.read_configuration(parsed.run)
        outcome = experiment.run(configuration, parsed.run, options, elsewhere_of(parsed))
    print(report.describe(outcome))


def _watch_options() -> list[Option]:
    from jaxrl.runs.watching import FRAMES_PER_SECOND

    out = ".gif, .mp4, or .png for a file per frame. Default: episode.gif in the run directory."
    return [
        _run_directory(),
        option_of("member", int, "Which run of a sweep, or policy of a front, counted from 0.", None, SOME),
        *_preferences(),
        seed_option("Seed of the episode.", 1),
        option_of("max_steps", int, "Steps after which an episode is left.", 1000, COUNT),
        option_of("frames_per_second", int, "Of the GIF or video.", 20, FRAMES_PER_SECOND),
        *_acting(),
        option_of("out", Path, out, None, group=HOST),
    ]


def watch(arguments: list[str]) -> None:
    """One episode as a GIF or a video."""
    from jaxrl.runs import watching

    parsed = parse("watch", COMMANDS["watch"], arguments, _watch_options())
    with _plainly():
        written = watching.watch(
            parsed.run, parsed.out, parsed.member, parsed.weights or None, _bounds(parsed.at_least), parsed.seed,
            parsed.max_steps, parsed.frames_per_second, parsed.which, parsed.explore,
        )  # fmt: skip
    print(f"Written to {written}")


@contextmanager
def _plainly() -> Iterator[None]:
    """Why a picture is not the one that there is elsewhere, once and without the line of code that says so."""
    from jaxrl.rendering import NotDrawn

    former, said = warnings.showwarning, set()

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if not issubclass(category, NotDrawn):
            former(message, category, *place)
        elif str(message) not in said:
            said.add(str(message))
            print(f"jaxrl: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        warnings.simplefilter("always", NotDrawn)
        yield


def _export_options() -> list[Option]:
    from jaxrl.exporting import FORMATS

    what = (
        "jax-export: a ZIP archive that JAX alone loads, for CPU, CUDA and TPU. onnx: needs jaxrl[onnx]. Default: by "
        "the suffix of the file, .onnx or not."
    )
    open_weights = "Leave preference weights open, as an input, of a policy that is conditioned on them."
    return [
        _run_directory(),
        option_of("format", Literal[tuple(FORMATS)], what, None),
        option_of("member", int, "Which run of a sweep, or policy of a front, counted from 0.", None, SOME),
        *_preferences(),
        option_of("weights_input", bool, open_weights, False),
        *_acting(),
        option_of(
            "out", Path, "File to write. Default: policy.zip or policy.onnx in the run directory.", None, group=HOST
        ),
    ]


def export(arguments: list[str]) -> None:
    """A policy as a file that runs without jaxrl."""
    from jaxrl.exporting import FORMATS
    from jaxrl.runs import exporting
    from jaxrl.sweeps.devices import use_cpu_cores

    parsed = parse("export", COMMANDS["export"], arguments, _export_options())
    use_cpu_cores()
    out = parsed.out or parsed.run / f"policy{FORMATS[parsed.format or next(iter(FORMATS))].suffix}"
    found = exporting.export(
        parsed.run, out, parsed.format, parsed.member, parsed.weights or None, _bounds(parsed.at_least), parsed.which,
        parsed.explore, parsed.weights_input,
    )  # fmt: skip
    print(exporting.signature(found))
    print(f"\nWritten to {out}")


def _bounds(words: Any) -> dict[str | int, Any]:
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


def runs(arguments: list[str]) -> None:
    """A table of runs."""
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


def plot(arguments: list[str]) -> None:
    """The figures again."""
    from jaxrl.runs import experiment

    parsed = parse("plot", COMMANDS["plot"], arguments, [_run_directory()])
    for path in experiment.draw(parsed.run):
        print(path)


def _report_options() -> list[Option]:
    seconds = "Seconds after which no more episodes are made."
    return [
        _run_directory(),
        option_of("episodes", int, "Policies whose episodes are shown, at most; 0 for none.", 16, SOME),
        seed_option("Seed of the episodes.", 1),
        option_of("max_steps", int, "Steps after which an episode is left.", 1000, COUNT),
        option_of("seconds", float, seconds, 60.0, NOT_NEGATIVE),
        option_of("out", Path, "The .html file. Default: report.html in the run directory.", None, group=HOST),
    ]


def report(arguments: list[str]) -> None:
    """One page."""
    from jaxrl.runs import page

    parsed = parse("report", COMMANDS["report"], arguments, _report_options())
    with _plainly():
        written = page.report(parsed.run, parsed.out, parsed.episodes, parsed.max_steps, parsed.seed, parsed.seconds)
    print(f"Written to {written}")
