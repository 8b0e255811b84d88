"""Several agents, algorithms or methods on several environments under one protocol: runs, tables and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.errors import CheckpointError, require_name
from jaxrl.figures import plotting
from jaxrl.numerics import statistics
from jaxrl.numerics.statistics import interquartile_mean, interval
from jaxrl.ranges import EPISODES, SEEDS
from jaxrl.runs import experiment
from jaxrl.runs.configuration import Configuration, check_claim
from jaxrl.runs.kinds import Kind, kind_that_runs, names_of
from jaxrl.runs.report import figures, write_table
from jaxrl.sweeps.running import RunOptions
from jaxrl.training.evaluation import evaluation_columns
from jaxrl.training.program import Program

if TYPE_CHECKING:
    import pandas

__all__ = ["compare"]

_NUM_THRESHOLDS = 101


def compare(
    algorithms: Sequence[str],
    environments: Sequence[str],
    directory: str | Path,
    seeds: int = 4,
    settings: Mapping[str, Any] | None = None,
    num_episodes: int = 64,
    options: RunOptions | None = None,
) -> "pandas.DataFrame":
    """Runs every algorithm on every environment and compares what they come to.

    Every pair has a run directory of its own below `directory`, so that a stopped comparison goes on where it was. All
    see the same seeds and settings, and, where fronts are compared, the same protocol (`jaxrl.morl.problem.Problem`).

    Args:
        algorithms: names of agents, of algorithms, or of whatever else one kind of run has names for.
        environments: names of environments, for algorithms that find fronts of at least two objectives.
        directory: where runs, `comparison.csv` (one row per seed), `summary.csv` and figures go. Where runs are judged
            by one number, figures of performance profiles and, for every pair, of the probability that a run of one
            beats a run of the other, which is in `improvement.csv` too; fronts have their attainment instead.
        seeds: runs of each pair, seeds 0, 1, ...
        settings: for all algorithms; `c_morl.beta` for one alone.
        num_episodes: fresh episodes per policy of the final evaluation.
        options: of the host loop.

    Returns:
        One row per environment and algorithm: interquartile means over seeds of the measures, with 95 % bootstrap
        intervals, environment steps, and seconds to compile and to run all seeds together.

    Raises:
        UnknownNameError: for an unknown name.
        ValueError: for settings that do not fit, names that are not of one kind, or a name given twice; nothing has run
            by then.
    """
    import pandas

    SEEDS.check("seeds", seeds)
    EPISODES.check("num_episodes", num_episodes)
    for what, names in (("algorithm", algorithms), ("environment", environments)):
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"a comparison needs every {what} once, got {', '.join(names) or 'none'}")
    kind, directory = kind_that_runs(*algorithms), Path(directory)
    planned = _plan(kind, algorithms, environments, directory, seeds, settings or {}, num_episodes)
    rows, curves, outcomes, programs = [], [], {}, {}
    for (environment, algorithm), (configuration, place) in planned.items():
        outcome = experiment.run(configuration, place, replace(options or RunOptions()))
        names = {"environment": environment, "algorithm": algorithm}
        rows.append(_measures(kind, outcome, num_episodes).assign(**names))
        curves.append(_curve(outcome).assign(**names))
        outcomes.setdefault(environment, {})[algorithm] = outcome
        programs[environment] = outcome.trainer
    table = pandas.concat(rows, ignore_index=True)
    write_table(table, directory / "comparison.csv")
    summary = _summary(table, next(iter(programs.values())))
    write_table(summary, directory / "summary.csv")
    drawn = pandas.concat(curves, ignore_index=True)
    for environment, found in outcomes.items():
        _draw_curves(drawn[drawn["environment"] == environment], programs[environment], environment, directory)
        if kind.compare is not None:
            kind.compare(found, environment, figures(directory))
    if kind.compare is None:
        _compare_runs(table, programs, directory)
    return summary


def _plan(
    kind: Kind,
    algorithms: Sequence[str],
    environments: Sequence[str],
    directory: Path,
    seeds: int,
    settings: Mapping[str, Any],
    num_episodes: int,
) -> dict[tuple[str, str], tuple[Configuration, Path]]:
    """A configuration and a place for every pair, all of which can be run."""
    if (directory / "configuration.json").exists():
        raise CheckpointError(f"{directory} holds a run, whose figures would be written over; choose another --out")
    common, own = _split(settings, kind, algorithms)
    # How a run ends with policies that it evaluates itself.
    options = {"evaluation_episodes": num_episodes} if "evaluation_episodes" in kind.options else {}
    planned = {}
    for environment in environments:
        for algorithm in algorithms:
            configuration = Configuration(
                kind=kind.name,
                agent=algorithm,
                environment=environment,
                settings={**common, **own[algorithm]},
                seeds=tuple(range(seeds)),
                options=options,
            )
            place = directory / environment.replace("/", "-") / algorithm
            check_claim(place, configuration)
            experiment.plan(experiment.build(configuration), configuration)
            planned[environment, algorithm] = configuration, place
    return planned


def _split(
    settings: Mapping[str, Any], kind: Kind, algorithms: Sequence[str]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Settings of all, and those of each algorithm alone."""
    known = names_of(kind)
    common, own = {}, {algorithm: {} for algorithm in algorithms}
    for name, value in settings.items():
        first, _, rest = name.partition(".")
        if first in known and rest:
            own[require_name("compared algorithm", first, algorithms)][rest] = value
        else:
            common[name] = value
    return common, own


def _measures(kind: Kind, outcome: experiment.Outcome, num_episodes: int) -> "pandas.DataFrame":
    """What every seed came to, steps and seconds."""
    group = outcome.sweep.groups[0]
    table = (kind.measures or _final)(outcome, num_episodes)
    return table.assign(
        steps=group.evaluation_steps[np.argsort(group.seeds), -1],
        compile_seconds=group.timing.compile_seconds,
        run_seconds=group.timing.run_seconds,
    )


def _final(outcome: experiment.Outcome, num_episodes: int) -> "pandas.DataFrame":
    """The program's summary of every seed: of fresh episodes where it has policies, else of the last evaluation."""
    import pandas

    program, swept = outcome.trainer, outcome.sweep
    names, columns = dict.fromkeys((*program.summary, program.score)), {}
    if program.actor(*swept.groups[0].member(0)) is not None:
        columns = evaluation_columns(swept.evaluate(num_episodes, seed=1), program.environment.spec)
    if not set(names) <= set(columns):
        last = swept.table.groupby("member").tail(1)
        columns = {name: last[name].to_numpy() for name in names}
    found = {name: columns[name] for name in names}
    return pandas.DataFrame({"seed": swept.groups[0].seeds, **found})


def _curve(outcome: experiment.Outcome) -> "pandas.DataFrame":
    """Evaluations against steps and against the run's own seconds."""
    table, timing = outcome.sweep.table, outcome.sweep.groups[0].timing
    # Planning on tables takes no more steps: what it knows in the end is what those steps gave.
    table = table.drop_duplicates(["member", "steps"], keep="last")
    share = table["steps"] / table["steps"].max()
    return table.assign(seconds=timing.compile_seconds + share * timing.run_seconds)


def _columns(table: "pandas.DataFrame", program: Program) -> list[str]:
    """The measures of a table: those of the program's summary first."""
    others = {"seed", "steps", "compile_seconds", "run_seconds", "environment", "algorithm"}
    return [name for name in dict.fromkeys((*program.summary, *table.columns)) if name in {*table.columns} - others]


def _summary(table: "pandas.DataFrame", program: Program) -> "pandas.DataFrame":
    import pandas

    rows = []
    for (environment, algorithm), group in table.groupby(["environment", "algorithm"], sort=False):
        row = {"environment": environment, "algorithm": algorithm, "seeds": len(group)}
        for measure in _columns(table, program):
            values = group[measure].to_numpy(float)
            if not np.all(np.isfinite(values)):
                continue
            low, high = interval(values, interquartile_mean) if len(values) > 1 else (np.nan, np.nan)
            row |= {measure: float(interquartile_mean(values)), f"{measure}_low": low, f"{measure}_high": high}
        row["steps"] = round(group["steps"].mean())
        rows.append(row | {name: group[name].iloc[0] for name in ("compile_seconds", "run_seconds")})
    return pandas.DataFrame(rows)


def _score(table: "pandas.DataFrame", program: Program) -> str | None:
    """The column to judge by: the program's score, or the first that is known of all runs."""
    names = [name for name in dict.fromkeys((program.score, *program.summary)) if name in table]
    return next((name for name in names if table[name].notna().all()), names[0] if names else None)


def _draw_curves(rows: "pandas.DataFrame", program: Program, environment: str, directory: Path) -> None:
    labels = {"seconds": "seconds, compilation and all seeds included", "steps": program.step_unit}
    for measure in program.curves or [_score(rows, program)]:
        finite = rows[np.isfinite(rows[measure])]
        for axis in ("steps", "seconds") if len(finite) else ():
            figure = plotting.learning_curves(finite, "algorithm", measure, axis, labels, title=environment)
            name = f"{environment.replace('/', '-')}_{measure}_{axis}.png".removeprefix("_")
            plotting.save(figure, figures(directory) / name)


def _compare_runs(table: "pandas.DataFrame", programs: Mapping[str, Program], directory: Path) -> None:
    """Performance profiles and probabilities of improvement of all pairs, over seeds and environments."""
    import pandas

    algorithms = list(dict.fromkeys(table["algorithm"]))
    # Several objectives have no order by themselves.
    ordered = all(len(program.objective_names) < 2 for program in programs.values())
    if len(algorithms) < 2 or table["seed"].nunique() < 2 or not ordered:
        return
    scores = {algorithm: _normalised(table, programs, algorithm) for algorithm in algorithms}
    if any(found is None for found in scores.values()):
        return
    thresholds = np.linspace(0.0, 1.0, _NUM_THRESHOLDS)
    profiles = {name: statistics.performance_profile(found, thresholds) for name, found in scores.items()}
    label = "score τ, from the worst run to the best" + (" of each environment" if len(programs) > 1 else "")
    plotting.save(plotting.performance_profiles(profiles, label), figures(directory) / "profiles.png")
    pairs = {
        (x, y): statistics.probability_of_improvement(scores[x], scores[y]) for x, y in permutations(algorithms, 2)
    }
    rows = [{"algorithm": x, "over": y, **estimate._asdict()} for (x, y), estimate in pairs.items()]
    write_table(pandas.DataFrame(rows).rename(columns={"value": "probability"}), directory / "improvement.csv")
    shown = {pair: pairs[pair] for pair in pairs if algorithms.index(pair[0]) < algorithms.index(pair[1])}
    figure = plotting.probability_of_improvement(shown)
    plotting.save(figure, figures(directory) / "improvement.png")


def _normalised(table: "pandas.DataFrame", programs: Mapping[str, Program], algorithm: str) -> np.ndarray | None:
    """`[seed, environment]` scores of an algorithm, 0 for the worst run of an environment and 1 for the best.

    A run that has diverged counts as the worst. None where nothing can be measured.
    """
    columns = []
    for environment, program in programs.items():
        rows = table[table["environment"] == environment]
        measure = _score(rows, program)
        values = rows[measure].to_numpy(float) if measure else np.array([np.nan])
        finite = values[np.isfinite(values)]
        if not len(finite):
            return None
        low, spread = finite.min(), np.ptp(finite)
        own = rows[rows["algorithm"] == algorithm][measure].to_numpy(float)
        own = np.where(np.isfinite(own), own, low)
        columns.append((own - low) / (spread if spread > 0.0 else 1.0))
    return np.stack(columns, axis=1)
