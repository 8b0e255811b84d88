"""What a finished run shows: text, tables and figures of its directory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl import moved
from jaxrl.figures import plotting
from jaxrl.numerics.statistics import summary
from jaxrl.runs.configuration import Configuration, write_atomically
from jaxrl.runs.kinds import KINDS, Outcome
from jaxrl.runs.tables import as_text
from jaxrl.sweeps.sweep import Sweep
from jaxrl.training.program import Program, by_rows

__all__ = [
    "describe",
    "draw_curves",
    "draw_no_settings",
    "draw_settings",
    "draw_table",
    "figures",
    "final_summary",
    "write_table",
]


def describe(outcome: Outcome) -> str:
    """The results as text, in the manner of their kind; else the final evaluations of a run or a sweep."""
    import pandas

    own = KINDS[outcome.configuration.kind].describe
    if own is not None and not outcome.stopped:
        return own(outcome)
    if outcome.result is not None:
        table = pandas.DataFrame(by_rows(outcome.trainer, outcome.result.evaluation))
        table = table.dropna(how="all", subset=[name for name in table.columns if name != "steps"])
        # A policy that was saved alone comes without the history of what made it.
        return as_text(table) if len(table) else "no evaluation was recorded"
    return as_text(final_summary(outcome.sweep))


def final_summary(swept: Sweep) -> Any:
    """Interquartile means of the last evaluations per setting, in the order of the sweep, and weight, over seeds."""
    import pandas

    table = swept.table
    last = table[table["steps"] == table.groupby("member")["steps"].transform("max")]
    last = last.assign(setting=pandas.Categorical(last["setting"], [*dict.fromkeys(last["setting"])]))
    by = ["setting", *(name for name in table.columns if name.startswith("weight_"))]
    if last.duplicated([*by, "seed"]).any():
        by.append("member")  # Weights may repeat.
    finite = {column: last[np.isfinite(last[column])] for column in swept.trainer.summary}
    frames = [summary(rows, by, column).assign(value=column) for column, rows in finite.items() if len(rows)]
    return pandas.concat(frames, ignore_index=True) if frames else last


def draw_table(table: Any, program: Program, configuration: Configuration, directory: Path) -> None:
    """Learning curves of a sweep, and what its settings make of the first of them."""
    names = sorted(configuration.hyperparameters, key=lambda name: name not in program.static_names)
    draw_curves(table, program, directory)
    draw_settings(table, names, program.curves[:1], directory)


def draw_no_settings(table: Any, program: Program, configuration: Configuration, directory: Path) -> None:
    """Learning curves of a sweep."""
    draw_curves(table, program, directory)


def draw_curves(table: Any, program: Program, directory: Path) -> None:
    """Learning curves of a table of evaluations, one figure per column that the program draws."""
    labels = {"steps": program.step_unit}
    for column in program.curves:
        rows = table[np.isfinite(table[column])]
        if len(rows):
            figure = plotting.learning_curves(rows, value=column, labels=labels, title=program.name)
            plotting.save(figure, figures(directory) / f"curve_{column}.png")


def draw_settings(table: Any, names: Sequence[str], columns: Sequence[str], directory: Path) -> None:
    """Sensitivity to one swept setting, or a heatmap of two."""
    from pandas.api.types import is_numeric_dtype

    for column in columns:
        rows = table[np.isfinite(table[column])]
        numeric = [name for name in names if is_numeric_dtype(rows[name])]
        for name in numeric:
            if rows[name].nunique() > 1 and len(names) == 1:
                plotting.save(plotting.sensitivity(rows, name, column), figures(directory) / f"sensitivity_{name}.png")
        if len(names) == 2 and len(rows):
            plotting.save(plotting.sweep_heatmap(rows, *names, column), figures(directory) / "heatmap.png")


def figures(directory: Path) -> Path:
    """The folder of a run's figures."""
    (directory / "figures").mkdir(parents=True, exist_ok=True)
    return directory / "figures"


def write_table(table: Any, path: Path) -> None:
    """A CSV file, replaced in one step."""
    write_atomically(path, table.to_csv(index=False))


def __getattr__(name: str) -> Any:
    return moved.attribute(__name__, name)
