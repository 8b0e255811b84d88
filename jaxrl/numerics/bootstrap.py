"""What the bootstraps of `jaxrl.statistics` share: checks, resampling counts and percentiles."""

import numpy as np
from jaxtyping import ArrayLike, Real

__all__ = ["BatchedScores", "Reduced", "Scores", "check_settings", "checked_scores", "draw_counts", "percentile_ends"]

Scores = Real[ArrayLike, "seed *task"] | list
"""`[seed, task]`, or `[seed]` for one task."""

BatchedScores = Real[ArrayLike, "*batch_seed_task"] | list
"""`[..., seed, task]`, or `[seed]` for one task."""

Reduced = np.ndarray | np.floating
"""One number, or one per entry of the axes that are left."""


def checked_scores(scores: BatchedScores, name: str = "scores", max_rank: int | None = 2) -> np.ndarray:
    """`scores` as float64 `[..., seed, task]`; one axis is read as `[seed]`."""
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim < 1 or (max_rank is not None and scores.ndim > max_rank):
        raise ValueError(f"{name} must be [seed] or [seed, task], got shape {scores.shape}")
    if scores.size == 0:
        raise ValueError(f"{name} is empty: shape {scores.shape}")
    if not np.isfinite(scores).all():
        count = scores.size - np.isfinite(scores).sum()
        raise ValueError(f"{name} holds {count} non-finite of {scores.size} entries: drop or replace these runs first")
    return scores[:, None] if scores.ndim == 1 else scores


def check_settings(num_resamples: int, confidence: float) -> None:
    """Raises ValueError for numbers that no bootstrap can use."""
    if num_resamples < 1:
        raise ValueError(f"num_resamples must be at least 1, got {num_resamples}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie strictly between 0 and 1, got {confidence}")


def percentile_ends(resampled: np.ndarray, confidence: float, num_seeds: int) -> tuple[Reduced, Reduced]:
    """Lower and upper percentiles over the leading axis, `resample`."""
    # A resample of one run is that run: a width of zero would claim certainty where nothing is known.
    if num_seeds < 2:
        resampled = np.full_like(resampled, np.nan)
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def draw_counts(generator: np.random.Generator, num_resamples: int, num_seeds: int, num_tasks: int) -> np.ndarray:
    """How often each resample holds each seed, `[resample, seed, task]`, summing to `num_seeds`."""
    counts = generator.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=(num_resamples, num_tasks))
    return np.moveaxis(counts, -1, 1).astype(np.float64)
