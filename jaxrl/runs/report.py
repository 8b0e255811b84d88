"""What a finished run shows: text, tables and figures of its directory."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.figures import plotting
from jaxrl.meta.study import MetaEvaluation, MetaStudy
from jaxrl.morl.front import Front
from jaxrl.morl.study import Study
from jaxrl.multitask.maml.contract import Maml
from jaxrl.numerics.statistics import summary
from jaxrl.runs.configuration import write_atomically
from jaxrl.runs.tables import as_text, evaluation_columns, return_columns
from jaxrl.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from jaxrl.runs.experiment import Outcome

__all__ = [
    "describe",
    "adaptation_columns",
    "draw_curves",
    "draw_sweep",
    "front_table",
    "write_front",
    "write_table",
]


def front_table(found: Front) -> Any:
    """One row per policy: seed, weights, returns, and whether it is on the front."""
    returns = {f"return_{name}": found.points[:, i] for i, name in enumerate(found.spec.objective_names)}
    return found.labels.assign(on_front=found.on_front, **returns)


def describe(outcome: "Outcome") -> str:
    """The results as text: final returns of runs, or a front and its measures."""
    spec = outcome.trainer.environment.spec
    if outcome.result is not None:
        import pandas

        table = pandas.DataFrame(evaluation_columns(outcome.result.evaluation, spec))
        return as_text(table)
    if outcome.front is None:
        return as_text(_final_summary(outcome.sweep))
    found = outcome.front
    rows = front_table(found)
    on_front = rows[rows["on_front"]].drop(columns="on_front").sort_values(f"return_{spec.objective_names[0]}")
    return (
        f"Pareto front of {spec.name}: {len(on_front)} of {len(rows)} policies\n{as_text(on_front)}\n\n"
        f"Measures (reference point {spec.reference_point})\n{as_text(found.measures)}{_diagnostics(outcome)}"
    )


def _diagnostics(outcome: "Outcome") -> str:
    """What a study's algorithm says of itself at the end, such as the gap that is left."""
    names = outcome.trainer.diagnostics if isinstance(outcome.trainer, Study) else ()
    if not names:
        return ""
    last = outcome.sweep.table.groupby("member").tail(1)
    return f"\n\nAt the end\n{as_text(last[['seed', 'setting', 'steps', *names]])}"


def _final_summary(swept: Sweep) -> Any:
    """Interquartile means of the final returns per setting and weight."""
    table = swept.table
    last = table[table["steps"] == table.groupby("member")["steps"].transform("max")]
    by = ["setting", *(name for name in table.columns if name.startswith("weight_"))]
    value = return_columns(swept.trainer.environment.spec)
    if isinstance(swept.trainer, MetaStudy):
        value = list(MetaEvaluation._fields)
    if isinstance(swept.trainer, Maml):
        value = adaptation_columns(table)
    frames = [summary(last[np.isfinite(last[column])], by, column).assign(value=column) for column in value]
    import pandas

    return pandas.concat(frames, ignore_index=True)


def draw_curves(table: Any, columns: Sequence[str], title: str, directory: Path) -> None:
    """Learning curves of a table of evaluations, one figure per column."""
    for column in columns:
        figure = plotting.learning_curves(table[np.isfinite(table[column])], value=column, title=title)
        plotting.save(figure, figures(directory) / f"curve_{column}.png")


def draw_sweep(table: Any, swept: Sweep, directory: Path) -> None:
    """Curves, sensitivity and heatmap of a sweep over settings; the returns of a sweep over weights."""
    spec = swept.trainer.environment.spec
    if spec.num_objectives > 1 and any(group.weights is not None for group in swept.groups):
        points = {"all runs": swept.final_returns()}
        plotting.save(plotting.front(points, spec.objective_names), figures(directory) / "front.png")
        return
    columns = return_columns(spec)
    draw_curves(table, columns, spec.name, directory)
    column = columns[0]
    table = table[np.isfinite(table[column])]
    numeric = [name for name in swept.names if np.issubdtype(table[name].dtype, np.number)]
    for name in numeric:
        if table[name].nunique() > 1 and len(swept.names) == 1:
            plotting.save(plotting.sensitivity(table, name, column), figures(directory) / f"sensitivity_{name}.png")
    if len(swept.names) == 2:
        x, y = swept.names
        plotting.save(plotting.sweep_heatmap(table, x, y, column), figures(directory) / "heatmap.png")


def adaptation_columns(table: Any) -> list[str]:
    """Columns of the returns before and after every inner step of MAML."""
    return [name for name in table.columns if name.startswith("return_after_")]


def write_front(found: Front, directory: Path) -> None:
    """Tables and figure of a Pareto study."""
    names = found.spec.objective_names
    write_table(front_table(found), directory / "front.csv")
    write_table(found.measures, directory / "measures.csv")
    if not len(found.points):
        return
    figure = plotting.front(found.points, names, found.spec.reference_point, title=found.spec.name)
    plotting.save(figure, figures(directory) / "front.png")


def figures(directory: Path) -> Path:
    (directory / "figures").mkdir(parents=True, exist_ok=True)
    return directory / "figures"


def write_table(table: Any, path: Path) -> None:
    """A CSV file, replaced in one step."""
    write_atomically(path, table.to_csv(index=False))
