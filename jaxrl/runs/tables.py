"""Tidy tables of results."""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.bilevel.contract import BilevelEvaluation
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.meta.study import MetaEvaluation
from jaxrl.morl.study import FrontEvaluation, Study
from jaxrl.multitask.maml.contract import MamlEvaluation
from jaxrl.training.evaluation import Evaluation

if TYPE_CHECKING:
    import pandas

    from jaxrl.sweeps.result import Group

__all__ = ["as_text", "evaluation_columns", "evaluation_table", "metrics_table", "return_columns"]

# Wider tables than these, of few rows, are printed on their side.
_WIDE, _FEW = 12, 3


def return_columns(spec: EnvironmentSpec) -> list[str]:
    """`return` for one objective, else `return_<objective>` for each."""
    return ["return"] if spec.num_objectives == 1 else [f"return_{name}" for name in spec.objective_names]


def evaluation_columns(
    evaluation: Evaluation | FrontEvaluation | MetaEvaluation | MamlEvaluation | BilevelEvaluation,
    spec: EnvironmentSpec,
) -> dict[str, np.ndarray]:
    """Columns of evaluations whose leading axes are flattened to rows: returns, lengths and success where it is
    reported, the measures of a front or of meta-training, or mean returns after each step of adaptation."""
    if isinstance(evaluation, MamlEvaluation):
        means = np.asarray(evaluation.returns).mean(axis=-1)
        return {f"return_after_{i}": means[..., i].ravel() for i in range(means.shape[-1])}
    if isinstance(evaluation, BilevelEvaluation):
        flat = np.asarray(evaluation.returns).reshape(-1, spec.num_objectives)
        columns = {name: flat[:, i] for i, name in enumerate(return_columns(spec))}
        return {**columns, "length": np.asarray(evaluation.length).ravel()}
    if not isinstance(evaluation, Evaluation):
        return {name: np.asarray(values).ravel() for name, values in evaluation._asdict().items()}
    columns: dict[str, np.ndarray] = {"steps": np.asarray(evaluation.steps).ravel().astype(np.int64)}
    for prefix, values in (("", evaluation.returns), ("discounted_", evaluation.discounted_returns)):
        flat = np.asarray(values).reshape(-1, spec.num_objectives)
        columns |= {prefix + name: flat[:, i] for i, name in enumerate(return_columns(spec))}
    columns["length"] = np.asarray(evaluation.length).ravel()
    success = np.asarray(evaluation.success).reshape(-1, spec.num_objectives)
    if np.isfinite(success).any():
        columns |= {name.replace("return", "success", 1): success[:, i] for i, name in enumerate(return_columns(spec))}
    return columns


def evaluation_table(group: "Group", names: list[str], first_member: int) -> "pandas.DataFrame":
    """One row per member and evaluation of a sweep's group; `finite` is false where a loss was not."""
    import pandas

    counted = group.evaluation_steps
    count = counted.shape[1]
    spec = group.trainer.environment.spec
    rows = range(len(group.seeds))
    columns: dict[str, Any] = {
        "member": np.repeat([first_member + row for row in rows], count),
        "seed": np.repeat(group.seeds, count),
    }
    described = [{**group.static, **settings} for settings in group.settings]
    columns["setting"] = np.repeat(
        [", ".join(f"{k}={_text(v)}" for k, v in d.items()) or "default" for d in described], count
    )
    diverged = np.asarray(group.result.metrics["non_finite"]).sum(axis=1) > 0
    columns["finite"] = np.repeat(~diverged, count)
    for name in names:
        values = [d[name] if np.ndim(d[name]) == 0 else str(d[name]) for d in described]
        columns[name] = np.repeat(values, count)
    if group.weights is not None:
        for i, objective in enumerate(spec.objective_names):
            columns[f"weight_{objective}"] = np.repeat(group.weights[:, i], count)
    results = evaluation_columns(group.result.evaluation, spec)
    # Counted here: inside a program steps are float32, which is inexact beyond 2^24.
    results = {"steps": counted.ravel(), **{k: v for k, v in results.items() if k != "steps"}}
    if isinstance(group.trainer, Study):
        rows = group.evaluation_rows
        for name in group.trainer.diagnostics:
            results[name] = np.asarray(group.result.metrics[name])[:, rows].ravel()
    return pandas.DataFrame({**columns, **results})


def metrics_table(
    metrics: dict[str, np.ndarray], spec: EnvironmentSpec, steps_per_iteration: int
) -> "pandas.DataFrame":
    """One row per iteration of a single run: losses, episode returns, lengths."""
    import pandas

    iterations = len(np.asarray(metrics["episodes"]))
    columns: dict[str, Any] = {"steps": (np.arange(iterations) + 1) * steps_per_iteration}
    for name, values in metrics.items():
        array = np.asarray(values)
        if array.ndim == 1:
            columns[name] = array
        else:
            prefix = name.removesuffix("return")
            columns |= {prefix + label: array[:, i] for i, label in enumerate(return_columns(spec))}
    return pandas.DataFrame(columns)


def as_text(table: "pandas.DataFrame") -> str:
    """A table for the terminal, four digits; a few wide rows are turned into columns."""
    float_format = lambda value: f"{value:.4g}"  # noqa: E731
    if len(table.columns) > _WIDE and len(table) <= _FEW:
        return table.T.to_string(header=False, float_format=float_format)
    return table.to_string(index=False, float_format=float_format)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
