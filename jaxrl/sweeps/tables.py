"""Tidy tables of runs and of sweeps, whatever they learn."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.training.program import Program, by_rows

if TYPE_CHECKING:
    import pandas

    from jaxrl.sweeps.result import Group

__all__ = ["evaluation_table", "metrics_table", "run_table"]


def evaluation_table(group: "Group", names: list[str], first_member: int) -> "pandas.DataFrame":
    """One row per member and evaluation of a sweep's group; `finite` is false where a loss was not."""
    import pandas

    counted = group.evaluation_steps
    count = counted.shape[1]
    program, rows = group.trainer, range(len(group.seeds))
    columns: dict[str, Any] = {
        "member": np.repeat([first_member + row for row in rows], count),
        "seed": np.repeat(group.seeds, count),
    }
    described = [{**group.static, **settings} for settings in group.settings]
    columns["setting"] = np.repeat(_labels(described), count)
    lost = np.asarray(group.result.metrics.get("non_finite", np.zeros((len(rows), 1)))).sum(axis=1) > 0
    columns["finite"] = np.repeat(~lost, count)
    for name in names:
        values = [d[name] if np.ndim(d[name]) == 0 else str(d[name]) for d in described]
        columns[name] = np.repeat(values, count)
    if group.weights is not None:
        for i, objective in enumerate(program.objective_names):
            columns[f"weight_{objective}"] = np.repeat(group.weights[:, i], count)
    results = by_rows(program, group.result.evaluation, num_axes=2)
    # Counted here: inside a program steps are float32, which is inexact beyond 2^24.
    results = {"steps": counted.ravel(), **{k: v for k, v in results.items() if k != "steps"}}
    for name in program.diagnostics:
        results[name] = np.asarray(group.result.metrics[name])[:, group.evaluation_rows].ravel()
    return pandas.DataFrame({**columns, **results})


def metrics_table(
    metrics: dict[str, np.ndarray], program: Program, span: tuple[int, int] | None = None
) -> "pandas.DataFrame":
    """One row per iteration of a single run, or of those in a `span` of it: losses and whatever else it counts;
    vectors by objective."""
    import pandas

    return pandas.DataFrame(_columns(metrics, program, span or (0, program.num_iterations)))


def _columns(metrics: dict[str, np.ndarray], program: Program, span: tuple[int, int]) -> dict[str, np.ndarray]:
    first, end = span
    columns: dict[str, Any] = {"steps": (np.arange(first, end) + 1) * program.steps_per_iteration}
    for name, values in metrics.items():
        array = np.asarray(values)
        if array.ndim == 1:
            columns[name] = array
            continue
        flat = array.reshape(end - first, -1)
        names = program.objective_names if flat.shape[1] == len(program.objective_names) else range(flat.shape[1])
        labels = [name] if flat.shape[1] == 1 else [f"{name}_{label}" for label in names]
        columns |= {label: flat[:, i] for i, label in enumerate(labels)}
    return columns


def run_table(
    program: Program, metrics: dict[str, np.ndarray], evaluation: Any, seed: int, span: tuple[int, int] | None = None
) -> "tuple[pandas.DataFrame, pandas.DataFrame]":
    """The table of a single run, one row per iteration, and its rows that end with an evaluation.

    Args:
        program: what was run.
        metrics: of every iteration.
        evaluation: of those that end with one.
        seed: of the run.
        span: where these are of a part of the run alone, its first iteration and the one after its last.
    """
    import pandas

    first, end = span or (0, program.num_iterations)
    columns = {"seed": np.full(end - first, seed), **_columns(metrics, program, (first, end))}
    due = program.evaluation_iterations
    rows = due[(due >= first) & (due < end)] - first
    # Joined by iteration: counts of steps kept as float32 inside a program are inexact beyond 2^24.
    for name, values in by_rows(program, evaluation).items():
        if name != "steps":
            empty = np.full(end - first, np.nan, np.result_type(values, np.float16))
            column = columns.get(name, empty)
            columns[name] = column.astype(np.result_type(column, values))
            columns[name][rows] = values
    table = pandas.DataFrame(columns)
    return table, table.iloc[rows]


def _labels(settings: list[dict[str, Any]]) -> list[str]:
    """`name=value, ...` of every member, with four digits where they tell settings apart."""

    def label(values: dict[str, Any], text: Callable[[Any], str]) -> str:
        return ", ".join(f"{name}={text(value)}" for name, value in values.items()) or "default"

    short = [label(values, _text) for values in settings]
    full = [label(values, str) for values in settings]
    return short if len(set(short)) == len(set(full)) else full


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
