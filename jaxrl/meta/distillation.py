"""A learned drift in forms that can be read: DPO's two numbers, and a small table."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.meta.microscope import drift_of, traced_conditions
from jaxrl.objectives.base import Surrogate
from jaxrl.objectives.surrogate import make_surrogate
from jaxrl.objectives.table_drift import table_drift
from jaxrl.types import Array, Float, PyTree

__all__ = [
    "Distilled",
    "Points",
    "agreement",
    "beyond",
    "closed_form",
    "distil",
    "normal_points",
    "tabulate",
]

# Beyond these, DPO's drift is all or nothing of the gain on any range of interest.
_LEAST, _MOST = 1e-3, 1e3
_FORM = make_surrogate("drift")


class Points(NamedTuple):
    """Where a drift is looked at.

    Attributes:
        log_ratio: log r.
        advantage: A.
        weight: how much each point counts, ≥ 0, in sum 1.
    """

    log_ratio: Float[Array, " point"]
    advantage: Float[Array, " point"]
    weight: Float[Array, " point"]


def normal_points(
    log_ratio_deviation: float = 0.2, advantage_deviation: float = 1.0, reach: float = 3.0, size: int = 61
) -> Points:
    """A grid over `reach` deviations of log r ~ N(0, 0.2²), A ~ N(0, 1), weighted by that density.

    Ratios as in PPO's later epochs, and standardised advantages; samples of an agent's own may take their place.
    """
    unit = jnp.linspace(-reach, reach, size)
    log_ratio, advantage = (axis.ravel() for axis in jnp.meshgrid(unit, unit))
    weight = jnp.exp(-0.5 * (log_ratio**2 + advantage**2))
    return Points(log_ratio * log_ratio_deviation, advantage * advantage_deviation, weight / weight.sum())


def beyond(points: Points, max_ratio: float = 3.0, max_advantage: float = 5.0, size: int = 81) -> Points:
    """A grid over 1/3 ≤ r ≤ 3 and |A| ≤ 5 outside the rectangle of the given points, with equal weights.

    Raises:
        ValueError: if nothing lies outside.
    """
    log_ratios = jnp.linspace(-np.log(max_ratio), np.log(max_ratio), size)
    axes = jnp.meshgrid(log_ratios, jnp.linspace(-max_advantage, max_advantage, size))
    log_ratio, advantage = (axis.ravel() for axis in axes)
    within = jnp.ones(log_ratio.shape, bool)
    for axis, seen in ((log_ratio, points.log_ratio), (advantage, points.advantage)):
        within &= (axis >= seen.min()) & (axis <= seen.max())
    outside = (~within).astype(jnp.float32)
    if not outside.any():
        raise ValueError(f"no ratio up to {max_ratio} or advantage up to {max_advantage} lies beyond the points given")
    return Points(log_ratio, advantage, outside / outside.sum())


class ClosedForm(NamedTuple):
    """DPO's parameters, and the weighted mean square that is left."""

    alpha: Float[Array, ""]
    beta: Float[Array, ""]
    error: Float[Array, ""]


def closed_form(drift: Float[Array, " point"], points: Points, steps: int = 40) -> ClosedForm:
    """α and β of DPO's drift (arXiv 2210.05639, equation 9) by weighted least squares.

    Both start where a grid over [10⁻³, 10³] fits best, which is exact to the grid as they act on different advantages;
    then Levenberg and Marquardt's method on their logarithms, which never makes the error larger. At the upper bound
    there is no drift to speak of, at the lower one it takes all of the gain.

    Args:
        drift: f at every point.
        points: where, and how much they count.
        steps: of the second stage.
    """

    def residuals(logs: Float[Array, "2"]) -> Float[Array, " point"]:
        alpha, beta = jnp.exp(logs)
        fitted = drift_of(_FORM, {"alpha": alpha, "beta": beta}, points.log_ratio, points.advantage)
        return jnp.sqrt(points.weight) * (fitted - drift)

    error = lambda logs: jnp.sum(residuals(logs) ** 2)  # noqa: E731
    low, high = np.log(_LEAST), np.log(_MOST)
    grid = jnp.linspace(low, high, 61)
    errors = jax.vmap(error)
    start = jnp.stack(
        [
            grid[jnp.argmin(errors(jnp.stack([grid, jnp.zeros_like(grid)], axis=1)))],
            grid[jnp.argmin(errors(jnp.stack([jnp.zeros_like(grid), grid], axis=1)))],
        ]
    )

    def step(carry: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], None]:
        logs, best, damping = carry
        jacobian = jax.jacfwd(residuals)(logs)
        # No sample reads both parameters: the normal matrix is diagonal.
        curvature = jnp.sum(jacobian**2, axis=0) * (1.0 + damping) + 1e-20
        proposal = jnp.clip(logs - residuals(logs) @ jacobian / curvature, low, high)
        proposed = error(proposal)
        better = proposed < best
        logs, best = jnp.where(better, proposal, logs), jnp.where(better, proposed, best)
        return (logs, best, jnp.where(better, damping / 3.0, damping * 4.0)), None

    (logs, best, _), _ = jax.lax.scan(step, (start, error(start), jnp.asarray(1e-2)), None, length=steps)
    return ClosedForm(*jnp.exp(logs), best)


def tabulate(
    surrogate: Surrogate,
    parameters: PyTree,
    points: Points,
    shape: tuple[int, int] = (24, 25),
    progress: float = 0.0,
    horizon: float = 1.0,
) -> Surrogate:
    """A table of another surrogate's drift over the rectangle of the given points (see `table_drift`).

    Args:
        surrogate, parameters: the source.
        points: whose range the table covers.
        shape: knots of log r, an even number (none at r = 1, where f/(log r)² has no value), and of A.
        progress, horizon: when the source is read.

    Raises:
        ValueError: for an odd number of knots of log r.
    """
    if shape[0] % 2:
        raise ValueError(f"the number of knots of log r must be even, got {shape[0]}; nearest: {shape[0] + 1}")
    values = _table(surrogate, shape, parameters, points, progress, horizon)
    return table_drift(values, *(float(limit) for limit in _limits(points)))


def _limits(points: Points) -> list[Float[Array, ""]]:
    return [jnp.abs(axis).max() for axis in (points.log_ratio, points.advantage)]


@partial(jax.jit, static_argnums=(0, 1))
def _table(
    surrogate: Surrogate, shape: tuple[int, int], parameters: PyTree, points: Points, progress: Any, horizon: Any
) -> Float[Array, "log_ratio advantage"]:
    axes = (jnp.linspace(-limit, limit, count) for limit, count in zip(_limits(points), shape, strict=True))
    grid = jnp.meshgrid(*axes, indexing="ij")
    return jax.nn.relu(drift_of(surrogate, parameters, *grid, progress, horizon)) / grid[0] ** 2


def agreement(
    drift: Float[Array, " point"], fitted: Float[Array, " point"], weight: Float[Array, " point"]
) -> dict[str, float]:
    """Weighted root mean square error, and share R² of the variance explained (NaN if the drift does not vary)."""
    drift, fitted, weight = (np.asarray(entry, np.float64) for entry in (drift, fitted, weight))
    square = np.sum(weight * (drift - fitted) ** 2)
    variance = np.sum(weight * (drift - np.sum(weight * drift)) ** 2)
    return {"rmse": float(np.sqrt(square)), "r2": float(1.0 - square / variance) if variance > 0.0 else float("nan")}


class Distilled(NamedTuple):
    """What a learned drift comes to.

    Attributes:
        parameters: α and β of the surrogate "drift".
        table: a surrogate of its own, whose defaults are the table.
        report: by form (`closed_form`, `table`), `within` and `beyond` the points: `rmse` and `r2`; and `conditions` of
            mirror learning (see `microscope.mirror_conditions`).
    """

    parameters: dict[str, Float[Array, ""]]
    table: Surrogate
    report: dict[str, dict[str, Any]]


def distil(
    surrogate: Surrogate,
    parameters: PyTree,
    points: Points | None = None,
    progress: float = 0.0,
    horizon: float = 1.0,
    shape: tuple[int, int] = (24, 25),
) -> Distilled:
    """Both forms of a drift, and how well they stand for it, where it was fitted and beyond.

    Args:
        surrogate, parameters: the source.
        points: what is fitted, with weights; `normal_points()` if None.
        progress, horizon: when the source is read.
        shape: of the table.

    Raises:
        ValueError: for a surrogate that reads divergences, as `tabulate`, or as `beyond`.
    """
    points = normal_points() if points is None else points
    ranges = {"within": points, "beyond": beyond(points)}
    table = tabulate(surrogate, parameters, points, shape, progress, horizon)
    source = {name: _drift(surrogate, parameters, at, progress, horizon) for name, at in ranges.items()}
    found, fitted = _read(source["within"], ranges, table.init(None)["table"])
    report: dict[str, dict[str, Any]] = {}
    for name, (drifts, conditions) in fitted.items():
        report[name] = {where: agreement(source[where], drifts[where], at.weight) for where, at in ranges.items()}
        report[name]["conditions"] = {name: float(value) for name, value in conditions.items()}
    return Distilled(found, table, report)


@partial(jax.jit, static_argnums=0)
def _drift(
    surrogate: Surrogate, parameters: PyTree, at: Points, progress: float | Array, horizon: float | Array
) -> Float[Array, " point"]:
    return drift_of(surrogate, parameters, at.log_ratio, at.advantage, progress, horizon)


@jax.jit
def _read(
    drift: Float[Array, " point"], ranges: dict[str, Points], values: Float[Array, "log_ratio advantage"]
) -> tuple[dict[str, Array], dict[str, tuple[dict[str, Array], dict[str, Array]]]]:
    """DPO's parameters, and drifts and conditions of both forms, in one program for all sources."""
    fit = closed_form(drift, ranges["within"])
    found = {"alpha": fit.alpha, "beta": fit.beta}
    table = table_drift(values, *_limits(ranges["within"]))
    forms = {"closed_form": (_FORM, found), "table": (table, table.init(None))}
    return found, {
        name: (
            {where: drift_of(form, parameters, at.log_ratio, at.advantage) for where, at in ranges.items()},
            traced_conditions(form, parameters),
        )
        for name, (form, parameters) in forms.items()
    }
