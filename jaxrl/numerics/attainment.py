"""Attainment surfaces: what a given share of runs reaches, for two objectives."""

from collections.abc import Sequence

import numpy as np

from jaxrl.types import Float

__all__ = ["attainment_surface"]


def attainment_surface(runs: Sequence[np.ndarray], share: float = 0.5) -> Float[np.ndarray, "corner 2"]:
    """The non-dominated corners of the region that at least `share` of all runs attain (maximisation).

    {z : |{r : ∃p ∈ r, p ≥ z}| ≥ ⌈share · runs⌉}, Fonseca and Fleming, 1996; Knowles, 2005. 0.5 gives the median
    surface, a share of 1 what every run reaches, and one run's worth the best of any.

    Args:
        runs: returns found by each run, `[point, 2]`.
        share: in (0, 1].

    Returns:
        Corners sorted by the first objective; empty if too few runs found anything.

    Raises:
        ValueError: for no runs, a share outside (0, 1], or another number of objectives.
    """
    if not runs or not 0.0 < share <= 1.0:
        raise ValueError(f"attainment needs at least one run and a share in (0, 1], got {len(runs)} runs, {share}")
    if any(np.ndim(points) != 2 or np.shape(points)[1] != 2 for points in runs):
        raise ValueError("an attainment surface is drawn for two objectives: points need the shape [point, 2]")
    levels = np.unique(np.concatenate([np.asarray(points, float)[:, 0] for points in runs]))
    # heights[run, level]: the best second objective among points that reach that level of the first.
    heights = np.stack([_heights(np.asarray(points, float), levels) for points in runs])
    needed = int(np.ceil(share * len(runs) - 1e-9))
    reached = -np.sort(-heights, axis=0)[needed - 1]
    corners = np.column_stack([levels, reached])[np.isfinite(reached)]
    # Of equal heights only the furthest is a corner.
    last = np.append(corners[1:, 1] < corners[:-1, 1], True) if len(corners) else np.zeros(0, bool)
    return corners[last]


def _heights(points: np.ndarray, levels: np.ndarray) -> np.ndarray:
    reaches = points[None, :, 0] >= levels[:, None]
    return np.max(np.where(reaches, points[None, :, 1], -np.inf), axis=1, initial=-np.inf)
