"""What a page shows of a run's metrics.csv: last evaluations, and curves by setting and preference."""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl import pages
from jaxrl.runs.configuration import Configuration
from jaxrl.training.program import Program

if TYPE_CHECKING:
    import pandas

__all__ = ["curve_parts", "last_rows"]

_BY = "run"


def last_rows(table: "pandas.DataFrame", program: Program) -> "pandas.DataFrame":
    """The last evaluation of every member: of a single run, one row."""
    if "member" in table:
        return table.sort_values("steps", kind="stable").groupby("member", sort=True).tail(1).sort_values("member")
    evaluated = table.iloc[_evaluated(table, program)]
    return (evaluated if len(evaluated) else table).tail(1)


def _evaluated(table: "pandas.DataFrame", program: Program) -> np.ndarray:
    """Rows of a single run that end with an evaluation: there is one for every iteration."""
    due = program.evaluation_iterations
    return due[due < len(table)]


def curve_parts(
    table: "pandas.DataFrame", program: Program, configuration: Configuration
) -> tuple[tuple[Any, ...], set[str]]:
    """Charts of what the program draws, folded ones of all other columns, and the names of the former."""
    lines = _with_lines(table, configuration)
    coloured = _coloured(lines, program)
    labels = {"steps": program.step_unit}
    numeric = [name for name in table.select_dtypes("number").columns if np.isfinite(table[name]).any()]
    drawn = [name for name in dict.fromkeys((*program.curves, *program.summary)) if name in numeric]
    no_results = {"member", "seed", "steps", *configuration.hyperparameters, *_weights(table)}
    others = [name for name in numeric if name not in no_results and name not in drawn]
    draw = lambda name, intervals: pages.curves(lines, name, _BY, coloured, "steps", labels, intervals)  # noqa: E731
    count = lines[_BY].nunique()
    parts = [pages.legend(coloured, count - len(coloured))] if count > 1 else []
    if drawn:
        parts.append(pages.charts([draw(name, True) for name in drawn]))
    if others:
        title = "1 other column" if len(others) == 1 else f"{len(others)} other columns"
        parts.append(pages.folded(title, pages.charts([draw(name, False) for name in others])))
    return (tuple(parts) if drawn or others else ()), set(drawn)


def _weights(table: "pandas.DataFrame") -> list[str]:
    return [name for name in table.columns if name.startswith("weight_")]


def _with_lines(table: "pandas.DataFrame", configuration: Configuration) -> "pandas.DataFrame":
    """With a column that says which line of a chart a row belongs to: setting and preference weights."""
    if "setting" not in table:
        return table.assign(**{_BY: configuration.agent})
    names = table["setting"].astype(str)
    weights = _weights(table)
    if weights:
        texts = table[weights].map(lambda value: f"{value:.3g}").agg(", ".join, axis=1)
        one = table["setting"].nunique() == 1
        names = "weights " + texts if one else names + "; weights " + texts
    lines = table.assign(**{_BY: names})
    # Weights may repeat.
    if lines.duplicated([_BY, "steps", "seed"]).any():
        lines[_BY] += ", member " + lines["member"].astype(str)
    return lines


def _coloured(lines: "pandas.DataFrame", program: Program) -> list[str]:
    """Of many lines, those that end with the best scores; of preferences, which are no better than others, some."""
    names = list(dict.fromkeys(lines[_BY]))
    if len(names) <= pages.MOST_COLOURS:
        return names
    score = program.score if program.score in lines else None
    if score is None or _weights(lines):
        places = np.linspace(0, len(names) - 1, pages.MOST_COLOURS).round().astype(int)
        return [names[place] for place in places]
    last = last_rows(lines, program)
    finite = last[np.isfinite(last[score])]
    return list(finite.groupby(_BY)[score].mean().nlargest(pages.MOST_COLOURS).index)
