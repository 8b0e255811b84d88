"""Several algorithms on several environments under one protocol: runs, table and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.environments.registry import make
from jaxrl.errors import require_name
from jaxrl.figures import plotting
from jaxrl.morl.algorithms import ALGORITHMS, study
from jaxrl.numerics.statistics import interquartile_mean, interval
from jaxrl.runs import experiment
from jaxrl.runs.report import figures, write_table
from jaxrl.sweeps.running import RunOptions

if TYPE_CHECKING:
    import pandas

__all__ = ["compare"]

_MEASURES = ("hypervolume", "expected_utility", "cardinality", "sparsity")


def compare(
    algorithms: Sequence[str],
    environments: Sequence[str],
    directory: str | Path,
    seeds: int = 4,
    settings: Mapping[str, Any] | None = None,
    num_episodes: int = 64,
    options: RunOptions | None = None,
) -> "pandas.DataFrame":
    """Runs every algorithm on every environment and compares their fronts.

    Every pair has a run directory of its own below `directory`, so that a stopped comparison goes on where it was. All
    see the same protocol (`jaxrl.morl.problem.Problem`), seeds and settings.

    Args:
        algorithms: names of `jaxrl list algorithms`.
        environments: names of environments with at least two objectives.
        directory: where runs, `comparison.csv` (one row per seed), `summary.csv` and figures go.
        seeds: runs of each pair, seeds 0, 1, ...
        settings: for all algorithms; `c_morl.beta` for one alone.
        num_episodes: per policy of the final evaluation.
        options: of the host loop.

    Returns:
        One row per environment and algorithm: interquartile means over seeds of the measures, with 95 % bootstrap
        intervals, environment steps, and seconds to compile and to run all seeds together.

    Raises:
        UnknownNameError: for an unknown name.
        ValueError: for settings that do not fit; nothing has run by then.
    """
    import pandas

    common, own = _split(settings or {}, algorithms)
    pairs = [(environment, algorithm) for environment in environments for algorithm in algorithms]
    for environment, algorithm in pairs:
        study(algorithm, environment, **common, **own[algorithm])
    directory = Path(directory)
    rows, curves, found = [], [], {}
    for environment, algorithm in pairs:
        configuration = experiment.Configuration(
            kind="pareto",
            agent=algorithm,
            environment=environment,
            settings={**common, **own[algorithm]},
            seeds=tuple(range(seeds)),
            evaluation_episodes=num_episodes,
        )
        place = directory / environment.replace("/", "-") / algorithm
        outcome = experiment.run(configuration, place, replace(options or RunOptions()))
        names = {"environment": environment, "algorithm": algorithm}
        rows.append(_measures(outcome).assign(**names))
        curves.append(_curve(outcome).assign(**names))
        found[environment, algorithm] = outcome.front
    table = pandas.concat(rows, ignore_index=True)
    write_table(table, directory / "comparison.csv")
    summary = _summary(table)
    write_table(summary, directory / "summary.csv")
    _draw(pandas.concat(curves, ignore_index=True), found, environments, algorithms, directory)
    return summary


def _split(settings: Mapping[str, Any], algorithms: Sequence[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Settings of all, and those of each algorithm alone."""
    for algorithm in algorithms:
        require_name("algorithm", algorithm, ALGORITHMS)
    common, own = {}, {algorithm: {} for algorithm in algorithms}
    for name, value in settings.items():
        first, _, rest = name.partition(".")
        if first in ALGORITHMS and rest:
            own[require_name("compared algorithm", first, algorithms)][rest] = value
        else:
            common[name] = value
    return common, own


def _measures(outcome: experiment.Outcome) -> "pandas.DataFrame":
    """The final front's measures of every seed, steps and seconds."""
    table, group = outcome.front.measures, outcome.sweep.groups[0]
    table = table[table["seed"] != "all"].reset_index(drop=True)
    return table.assign(
        steps=group.evaluation_steps[np.argsort(group.seeds), -1],
        compile_seconds=group.timing.compile_seconds,
        run_seconds=group.timing.run_seconds,
    )


def _curve(outcome: experiment.Outcome) -> "pandas.DataFrame":
    """Hypervolume of the archive after every evaluation, against steps and against the run's own seconds."""
    table, timing = outcome.sweep.table, outcome.sweep.groups[0].timing
    # Planning on tables takes no more steps: what it knows in the end is what those steps gave.
    table = table.drop_duplicates(["member", "steps"], keep="last")
    share = table["steps"] / table["steps"].max()
    return table.assign(seconds=timing.compile_seconds + share * timing.run_seconds)


def _summary(table: "pandas.DataFrame") -> "pandas.DataFrame":
    import pandas

    rows = []
    for (environment, algorithm), group in table.groupby(["environment", "algorithm"], sort=False):
        row = {"environment": environment, "algorithm": algorithm, "seeds": len(group)}
        for measure in _MEASURES:
            values = group[measure].to_numpy(float)
            if not np.all(np.isfinite(values)):
                continue
            low, high = interval(values, interquartile_mean) if len(values) > 1 else (np.nan, np.nan)
            row |= {measure: float(interquartile_mean(values)), f"{measure}_low": low, f"{measure}_high": high}
        row["steps"] = round(group["steps"].mean())
        rows.append(row | {name: group[name].iloc[0] for name in ("compile_seconds", "run_seconds")})
    return pandas.DataFrame(rows)


def _draw(
    curves: "pandas.DataFrame",
    found: Mapping[tuple[str, str], Any],
    environments: Sequence[str],
    algorithms: Sequence[str],
    directory: Path,
) -> None:
    place = figures(directory)
    for environment in environments:
        name, rows = environment.replace("/", "-"), curves[curves["environment"] == environment]
        measure = "hypervolume" if rows["hypervolume"].notna().all() else "expected_utility"
        for axis in ("steps", "seconds"):
            labels = {"seconds": "seconds, compilation and all seeds included"}
            figure = plotting.learning_curves(rows, "algorithm", measure, axis, labels, title=environment)
            plotting.save(figure, place / f"{name}_{measure}_{axis}.png")
        spec = make(environment).spec
        if spec.num_objectives == 2 and any(len(found[environment, algorithm].points) for algorithm in algorithms):
            runs = {algorithm: _by_seed(found[environment, algorithm]) for algorithm in algorithms}
            figure = plotting.attainment(runs, spec.objective_names, title=environment)
            plotting.save(figure, place / f"{name}_attainment.png")


def _by_seed(front: Any) -> list[np.ndarray]:
    """The points of every seed, also of those that found none."""
    own = front.labels["seed"].to_numpy().astype(str)
    return [front.points[own == seed] for seed in front.measures["seed"] if seed != "all"]
