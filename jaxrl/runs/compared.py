"""What a comparison shows, wherever its numbers come from: one table, learning curves, and who beats whom."""

from collections.abc import Callable, Iterable, Sequence
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxrl.figures import plotting
from jaxrl.numerics import statistics
from jaxrl.numerics.statistics import interquartile_mean, interval
from jaxrl.runs.kinds import Kind, Outcome
from jaxrl.runs.report import figures, write_table
from jaxrl.training.program import Program

if TYPE_CHECKING:
    import pandas

__all__ = ["SECONDS", "Compared", "summarise", "write_comparison"]

SECONDS = ("compile_seconds", "run_seconds")
"""Of all seeds together, where they are known."""
_NUM_THRESHOLDS = 101


class Compared(NamedTuple):
    """One of the things that are compared, on one environment.

    Attributes:
        environment: where it ran.
        name: what tells it from the others.
        program: what was run.
        measures: a row per seed: `seed`, what it came to, `steps` and, where they are known, `SECONDS`.
        curve: evaluations of every seed against `steps` and, where they are known, `seconds`.
        outcome: what the kind's own figures are drawn from; None where it has none.
    """

    environment: str
    name: str
    program: Program
    measures: "pandas.DataFrame"
    curve: "pandas.DataFrame"
    outcome: Outcome | None = None


def summarise(compared: Sequence[Compared], by: str = "algorithm") -> "pandas.DataFrame":
    """A row per environment and name: interquartile means of what seeds came to, with 95 % bootstrap intervals.

    A measure that is not finite for some seed is left out of its row.

    Args:
        compared: what is compared.
        by: the column of the names.
    """
    import pandas

    measures, rows = _measures(compared), []
    for one in compared:
        row = {"environment": one.environment, by: one.name, "seeds": len(one.measures)}
        for measure in measures:
            values = one.measures[measure].to_numpy(float) if measure in one.measures else np.array([np.nan])
            if not np.all(np.isfinite(values)):
                continue
            low, high = interval(values, interquartile_mean) if len(values) > 1 else (np.nan, np.nan)
            row |= {measure: float(interquartile_mean(values)), f"{measure}_low": low, f"{measure}_high": high}
        row["steps"] = round(one.measures["steps"].mean())
        rows.append(row | {name: one.measures[name].iloc[0] for name in SECONDS if name in one.measures})
    return pandas.DataFrame(rows)


def _measures(compared: Sequence[Compared]) -> list[str]:
    """Names of what seeds came to: those of the program's summary first."""
    known = dict.fromkeys(name for one in compared for name in one.measures)
    names = dict.fromkeys((*compared[0].program.summary, *known))
    return [name for name in names if name in known and name not in ("seed", "steps", *SECONDS)]


def write_comparison(
    compared: Sequence[Compared],
    kind: Kind,
    directory: Path,
    by: str = "algorithm",
    say: Callable[[str], None] = lambda _: None,
) -> "pandas.DataFrame":
    """Writes tables and figures of a comparison, and returns its summary.

    `comparison.csv` has a row per seed, `summary.csv` is `summarise`'s. Learning curves of all are in one figure per
    environment and measure. Where runs are judged by one number there are performance profiles and, for every pair, the
    probability that a run of one beats a run of the other, which is in `improvement.csv` too; else the kind's figures.

    Args:
        compared: what is compared, of one kind.
        kind: theirs.
        directory: where all of it goes.
        by: the column of the names.
        say: is told what is left out.
    """
    import pandas

    rows = [one.measures.assign(**{"environment": one.environment, by: one.name}) for one in compared]
    write_table(pandas.concat(rows, ignore_index=True), directory / "comparison.csv")
    summary = summarise(compared, by)
    write_table(summary, directory / "summary.csv")
    for environment, found in _by_environment(compared).items():
        _draw_curves(found, environment, directory, by)
        if kind.compare is not None:
            kind.compare({one.name: one.outcome for one in found}, environment, figures(directory))
    if kind.compare is None:
        _draw_order(compared, directory, by, say)
    return summary


def _by_environment(compared: Iterable[Compared]) -> dict[str, list[Compared]]:
    found: dict[str, list[Compared]] = {}
    for one in compared:
        found.setdefault(one.environment, []).append(one)
    return found


def _draw_curves(compared: Sequence[Compared], environment: str, directory: Path, by: str) -> None:
    """All curves of an environment, a figure per measure, against steps and seconds.

    There are none where a seed is several members, one for each of the preference weights that make a front.
    """
    import pandas

    rows = pandas.concat([one.curve.assign(**{by: one.name}) for one in compared], ignore_index=True)
    if rows.duplicated([by, "seed", "steps"]).any():
        return
    program = compared[0].program
    labels = {"seconds": "seconds, compilation and all seeds included", "steps": program.step_unit}
    for measure in program.curves or [_score(compared)]:
        finite = rows[np.isfinite(rows[measure])]
        for axis in [name for name in ("steps", "seconds") if name in finite and len(finite)]:
            figure = plotting.learning_curves(finite, by, measure, axis, labels, title=environment)
            name = f"{environment.replace('/', '-')}_{measure}_{axis}.png".removeprefix("_")
            plotting.save(figure, figures(directory) / name)


def _score(compared: Sequence[Compared]) -> str | None:
    """The column to judge by: the program's score, or the first of its summary that is known of all runs."""
    program, tables = compared[0].program, [one.measures for one in compared]
    names = dict.fromkeys((program.score, *program.summary))
    present = [name for name in names if all(name in table for table in tables)]
    whole = [name for name in present if all(table[name].notna().all() for table in tables)]
    return next(iter((*whole, *present)), None)


def _draw_order(compared: Sequence[Compared], directory: Path, by: str, say: Callable[[str], None]) -> None:
    """Performance profiles and probabilities of improvement of all pairs, over seeds and environments."""
    import pandas

    names = list(dict.fromkeys(one.name for one in compared))
    # Several objectives have no order by themselves.
    ordered = all(len(one.program.objective_names) < 2 for one in compared)
    if len(names) < 2 or len({seed for one in compared for seed in one.measures["seed"]}) < 2 or not ordered:
        return
    shared, scores = _scores(compared, names, say)
    if not scores:
        return
    thresholds = np.linspace(0.0, 1.0, _NUM_THRESHOLDS)
    profiles = {name: statistics.performance_profile(found, thresholds) for name, found in scores.items()}
    label = "score τ, from the worst run to the best" + (" of each environment" if shared > 1 else "")
    plotting.save(plotting.performance_profiles(profiles, label), figures(directory) / "profiles.png")
    pairs = {(x, y): statistics.probability_of_improvement(scores[x], scores[y]) for x, y in permutations(names, 2)}
    rows = [{by: x, "over": y, **estimate._asdict()} for (x, y), estimate in pairs.items()]
    write_table(pandas.DataFrame(rows).rename(columns={"value": "probability"}), directory / "improvement.csv")
    shown = {pair: pairs[pair] for pair in pairs if names.index(pair[0]) < names.index(pair[1])}
    plotting.save(plotting.probability_of_improvement(shown), figures(directory) / "improvement.png")


def _scores(
    compared: Sequence[Compared], names: Sequence[str], say: Callable[[str], None]
) -> tuple[int, dict[str, np.ndarray]]:
    """How many environments all have run on, and `[seed, environment]` scores on them by name.

    Scores are 0 for the worst run of an environment and 1 for the best; a run that has diverged counts as the worst.
    None where nothing can be measured.
    """
    by_environment = _by_environment(compared)
    shared = {
        environment: {one.name: one for one in found}
        for environment, found in by_environment.items()
        if {one.name for one in found} == {*names}
    }
    left = [environment for environment in by_environment if environment not in shared]
    if left:
        say(f"performance profiles and improvements leave out {', '.join(left)}, where not all of them ran")
    columns: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for found in shared.values():
        scaled = _scaled(found)
        if scaled is None:
            return len(shared), {}
        for name in names:
            columns[name].append(scaled[name])
    return len(shared), _stacked(columns, say) if shared else {}


def _scaled(found: dict[str, Compared]) -> dict[str, np.ndarray] | None:
    """Scores of each on one environment, in [0, 1]; None where nothing is finite."""
    measure = _score(list(found.values()))
    if measure is None:
        return None
    values = {name: one.measures[measure].to_numpy(float) for name, one in found.items()}
    every = np.concatenate(list(values.values()))
    finite = every[np.isfinite(every)]
    if not len(finite):
        return None
    low, spread = finite.min(), np.ptp(finite)
    return {
        name: (np.where(np.isfinite(own), own, low) - low) / (spread if spread > 0.0 else 1.0)
        for name, own in values.items()
    }


def _stacked(columns: dict[str, list[np.ndarray]], say: Callable[[str], None]) -> dict[str, np.ndarray]:
    """Columns side by side, as many seeds of each as it has on every environment."""
    found = {}
    for name, own in columns.items():
        count = min(map(len, own))
        if any(len(column) > count for column in own):
            say(f"{name} has seeds on some environments that it lacks on others: the first {count} of each are counted")
        found[name] = np.stack([column[:count] for column in own], axis=1)
    return found
