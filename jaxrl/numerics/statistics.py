"""Aggregate scores of few runs, with bootstrap intervals that say how far they can be trusted.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice". Scores are
`[seed, task]`, one number per independent run; `[seed]` stands for a single task. Plain NumPy in float64.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Real

from jaxrl.errors import require_name
from jaxrl.numerics.bootstrap import (
    BatchedScores,
    Reduced,
    Scores,
    check_settings,
    checked_scores,
    draw_counts,
    percentile_ends,
)
from jaxrl.types import Float

if TYPE_CHECKING:
    import pandas

__all__ = [
    "Estimate",
    "Profile",
    "interquartile_mean",
    "interval",
    "mean",
    "median",
    "median_of_task_means",
    "optimality_gap",
    "performance_profile",
    "probability_of_improvement",
    "summary",
]

Statistic = Callable[[np.ndarray], np.ndarray]
MAX_RESAMPLED = 2**22  # scores held at once by the bootstrap: 32 MiB


class Estimate(NamedTuple):
    """A point estimate with the ends of its interval; the ends are NaN where one seed leaves none."""

    value: float
    low: float
    high: float


class Profile(NamedTuple):
    """Fraction of runs that score above each threshold, with point-wise intervals; all `[threshold]`."""

    thresholds: Float[np.ndarray, " threshold"]
    fraction: Float[np.ndarray, " threshold"]
    low: Float[np.ndarray, " threshold"]
    high: Float[np.ndarray, " threshold"]


def interquartile_mean(scores: BatchedScores) -> Reduced:
    """Mean of the middle half of all scores, pooled over seeds and tasks.

    `IQM = 1/(n − 2c) · Σ_{c < i ≤ n − c} x₍ᵢ₎`, with x₍ᵢ₎ the sorted scores and c = ⌊n/4⌋. Where 4 does not
    divide n, whole scores are cut, rounding down, as `scipy.stats.trim_mean(x, 0.25)` and the paper's code do;
    there are no fractional weights. With n < 4 it is the mean. Agarwal et al. 2021, section 4.3.

    Args:
        scores: finite, any range; leading axes are kept, `[seed]` is one task.

    Raises:
        ValueError: if `scores` is empty, not finite, or a scalar.
    """
    scores = checked_scores(scores, max_rank=None)
    pooled = scores.reshape(*scores.shape[:-2], -1)
    count = pooled.shape[-1]
    cut = count // 4
    if cut:
        pooled = np.partition(pooled, (cut, count - cut - 1), axis=-1)[..., cut : count - cut]
    return pooled.mean(axis=-1)


def mean(scores: BatchedScores) -> Reduced:
    """Mean of all scores, `1/n · Σᵢ xᵢ`; arguments and errors as for `interquartile_mean`."""
    return checked_scores(scores, max_rank=None).mean(axis=(-2, -1))


def median(scores: BatchedScores) -> Reduced:
    """Median of all scores pooled; arguments and errors as for `interquartile_mean`.

    Not the "median human-normalised score" of the Atari literature: that is `median_of_task_means`.
    """
    return np.median(checked_scores(scores, max_rank=None), axis=(-2, -1))


def median_of_task_means(scores: BatchedScores) -> Reduced:
    """Median over tasks of the mean over seeds, `median_m(1/N · Σₙ x_{n,m})`; with one task, the mean.

    Agarwal et al. 2021, section 2. Arguments and errors as for `interquartile_mean`.
    """
    return np.median(checked_scores(scores, max_rank=None).mean(axis=-2), axis=-1)


def optimality_gap(scores: BatchedScores, target: float = 1.0) -> Reduced:
    """How far runs fall short of `target`, on average: `1/n · Σᵢ max(target − xᵢ, 0)`; lower is better.

    Agarwal et al. 2021, section 4.3. Scores should be normalised so that `target` is enough; what exceeds it
    counts nothing. Arguments and errors as for `interquartile_mean`.
    """
    return np.maximum(target - checked_scores(scores, max_rank=None), 0.0).mean(axis=(-2, -1))


def interval(
    scores: Scores,
    statistic: Statistic = interquartile_mean,
    num_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Stratified percentile bootstrap of `statistic`: seeds are redrawn within each task, tasks stay.

    `[q_{(1−c)/2}, q_{(1+c)/2}]` of `statistic(x*)`, with `x*_{n,m} ~ Uniform{x_{1,m}, …, x_{N,m}}` and c the
    confidence. Agarwal et al. 2021, section 4.1. Below about 10 runs in total it is too narrow.

    Args:
        scores: finite; `[seed]` is one task.
        statistic: maps `[resample, seed, task]` to `[resample]`, such as the functions of this module.
        num_resamples: at least 1; a 95% interval wants about 1000 or more.
        confidence: within (0, 1).
        seed: of the resampling; equal arguments give equal intervals.

    Returns:
        Lower and upper end; both NaN with a single seed.

    Raises:
        ValueError: if `scores` is empty, not finite or of another rank, or a number is out of range.
    """
    scores = checked_scores(scores)
    check_settings(num_resamples, confidence)
    generator = np.random.default_rng(seed)
    chunk = max(1, MAX_RESAMPLED // scores.size)
    resampled = []
    for start in range(0, num_resamples, chunk):
        size = (min(chunk, num_resamples - start), *scores.shape)
        index = generator.integers(scores.shape[0], size=size)
        resampled.append(statistic(scores[index, np.arange(scores.shape[1])]))
    low, high = percentile_ends(np.concatenate(resampled), confidence, scores.shape[0])
    return float(low), float(high)


def probability_of_improvement(
    x: Real[ArrayLike, " seed_x *task"] | list,
    y: Real[ArrayLike, " seed_y *task"] | list,
    num_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Probability that a run of X beats a run of Y on a task drawn at random, with its interval.

    `P(X > Y) = 1/M · Σₘ 1/(N K) · Σₙ Σₖ S(x_{n,m}, y_{k,m})`, with S = 1 if x > y, ½ if equal, else 0: the
    Mann-Whitney U statistic over N K, averaged over tasks. Agarwal et al. 2021, section 4.3. The interval is a
    stratified bootstrap that redraws the seeds of X and Y independently; arguments as for `interval`.

    Args:
        x: finite; the number of seeds may differ from that of `y`, the tasks may not.
        y: finite.

    Returns:
        The probability and its interval, within [0, 1]; the ends are NaN with a single seed on either side.

    Raises:
        ValueError: if an array is empty, not finite or of another rank, or the numbers of tasks differ.
    """
    x, y = checked_scores(x, "x"), checked_scores(y, "y")
    check_settings(num_resamples, confidence)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x and y must hold the same tasks, got {x.shape[1]} and {y.shape[1]}")
    wins = np.sign(x[:, None] - y[None]) / 2 + 0.5
    generator = np.random.default_rng(seed)
    resampled = np.zeros(num_resamples)
    for m in range(x.shape[1]):
        # The estimate is linear in the draw counts of either side, so pairs are compared only once.
        counts_x = draw_counts(generator, num_resamples, x.shape[0], 1)[..., 0]
        counts_y = draw_counts(generator, num_resamples, y.shape[0], 1)[..., 0]
        resampled += ((counts_x @ wins[..., m]) * counts_y).sum(axis=1)
    resampled /= wins.size
    low, high = percentile_ends(resampled, confidence, min(x.shape[0], y.shape[0]))
    return Estimate(float(wins.mean()), float(low), float(high))


def performance_profile(
    scores: Scores,
    thresholds: Real[ArrayLike, " threshold"] | list,
    num_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Profile:
    """Run-score distribution: the fraction of runs above each threshold, averaged over tasks.

    `F(τ) = 1/M · Σₘ 1/N · Σₙ 1[x_{n,m} > τ]`. Agarwal et al. 2021, section 4.2. Intervals are stratified
    bootstraps, one per threshold: the curve as a whole leaves them more often than 1 − confidence.

    Args:
        scores: finite; `[seed]` is one task.
        thresholds: finite, in any order, in the unit of `scores`.
        num_resamples, confidence, seed: as for `interval`.

    Raises:
        ValueError: if an array is empty, not finite or of another rank, or a number is out of range.
    """
    scores, thresholds = checked_scores(scores), checked_scores(thresholds, "thresholds", max_rank=1)[:, 0]
    check_settings(num_resamples, confidence)
    above = (scores[..., None] > thresholds).reshape(scores.size, -1).astype(np.float64)
    counts = draw_counts(np.random.default_rng(seed), num_resamples, *scores.shape)
    resampled = counts.reshape(num_resamples, scores.size) @ above / scores.size
    low, high = percentile_ends(resampled, confidence, scores.shape[0])
    return Profile(thresholds, above.mean(axis=0), low, high)


def summary(
    table: "pandas.DataFrame",
    by: Sequence[str],
    value: str = "return",
    num_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> "pandas.DataFrame":
    """One row per group of `table`, with columns `iqm`, `low`, `high`, `mean`, `std` and `count` of `value`.

    `low` and `high` are the interval of the interquartile mean, the rows of a group being independent runs of one
    task; `std` is the sample standard deviation (divisor n − 1, NaN for one row).

    Args:
        table: one row per run; a column `seed`, if there is one, may not repeat within a group.
        by: columns to group by; groups come sorted, as columns of the result.
        value: column of finite scores.
        num_resamples, confidence, seed: as for `interval`.

    Raises:
        ValueError: for unknown columns (with the nearest match), no rows, non-finite values, or a group with several
            rows per seed, which are not independent and would make the interval too narrow.
    """
    import pandas

    by = [by] if isinstance(by, str) else list(by)
    for name in (*by, value):
        require_name("column", name, map(str, table.columns))
    if not by or table.empty:
        raise ValueError(f"summary needs rows and a column to group by, got {len(table)} rows and by={by}")
    if "seed" in table and "seed" not in by and table.duplicated([*by, "seed"]).any():
        raise ValueError(
            f"several rows per seed in groups by {by}: add to `by` what tells them apart, or pick one each"
        )
    rows = []
    for group, scores in table.groupby(by, observed=True, dropna=False)[value]:
        scores = checked_scores(scores.to_numpy(), f"column {value!r} of group {dict(zip(by, group))}")[:, 0]
        low, high = interval(scores, interquartile_mean, num_resamples, confidence, seed)
        std = scores.std(ddof=1) if len(scores) > 1 else np.nan
        rows.append((*group, float(interquartile_mean(scores)), low, high, scores.mean(), std, len(scores)))
    return pandas.DataFrame(rows, columns=[*by, "iqm", "low", "high", "mean", "std", "count"])
