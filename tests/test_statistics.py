import numpy as np
import pandas
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from jaxrl import statistics

FINITE = st.floats(-1e3, 1e3, allow_nan=False, width=32)
SCORES = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=FINITE)
STATISTICS = [
    statistics.interquartile_mean,
    statistics.mean,
    statistics.median,
    statistics.median_of_task_means,
    statistics.optimality_gap,
]


@settings(deadline=None, max_examples=100)
@given(SCORES)
def test_interquartile_mean_is_scipy_trimmed_mean(scores):
    np.testing.assert_allclose(
        statistics.interquartile_mean(scores), scipy.stats.trim_mean(scores.ravel(), 0.25), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(
    "scores, expected", [([1, 2, 3, 100], 2.5), ([1, 2, 9], 4.0), ([5], 5.0), ([9, 1, 2, 4, 3], 3)]
)
def test_interquartile_mean_closed_form(scores, expected):
    assert statistics.interquartile_mean(scores) == expected


def test_statistics_closed_form():
    scores = np.array([[0.0, 2.0, 10.0], [1.0, 4.0, 30.0]])
    assert statistics.mean(scores) == pytest.approx(47 / 6)
    assert statistics.median(scores) == 3.0
    assert statistics.median_of_task_means(scores) == 3.0
    assert statistics.median_of_task_means([0.0, 0.0, 9.0]) == 3.0  # one task: its mean
    assert statistics.median([0.0, 0.0, 9.0]) == 0.0
    assert statistics.optimality_gap(scores, target=2.0) == pytest.approx((2 + 1) / 6)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_statistics_keep_leading_axes(statistic):
    scores = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    expected = [[statistic(scores[i, j]) for j in range(3)] for i in range(2)]
    np.testing.assert_allclose(statistic(scores), expected)


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("scores", [[], np.zeros((0, 3)), [1.0, np.nan], [[1.0, np.inf]], 3.0])
def test_statistics_reject_bad_scores(statistic, scores):
    with pytest.raises(ValueError, match=r"empty|non-finite|\[seed\]"):
        statistic(scores)


@pytest.mark.parametrize("statistic", [statistics.interquartile_mean, statistics.mean, statistics.median])
def test_interval_coverage(statistic):
    """A 95% interval holds the known centre of a normal for about 95% of data sets."""
    generator = np.random.default_rng(1)
    scores = 3.0 + generator.normal(size=(300, 12, 4)) * np.array([0.5, 1.0, 2.0, 1.5])
    ends = np.array([statistics.interval(s, statistic, num_resamples=600, seed=i) for i, s in enumerate(scores)])
    assert 0.90 <= np.mean((ends[:, 0] <= 3.0) & (ends[:, 1] >= 3.0)) <= 0.99


def test_interval_of_the_mean_is_the_normal_one():
    scores = np.random.default_rng(2).normal(size=(200, 3))
    low, high = statistics.interval(scores, statistics.mean, num_resamples=8000, confidence=0.9)
    # Strata add up: Var = 1/M² Σₘ σ²ₘ / N, with the variance of the data at hand.
    half = 1.645 * np.sqrt((scores.var(axis=0) / 200).sum()) / 3
    np.testing.assert_allclose([low, high], scores.mean() + np.array([-half, half]), atol=0.06 * half)


def test_interval_resamples_within_tasks():
    scores = np.repeat([[0.0, 100.0]], 6, axis=0)  # tasks differ, seeds do not
    assert statistics.interval(scores, statistics.mean) == (50.0, 50.0)


def test_interval_is_repeatable_and_chunked(monkeypatch):
    scores = np.random.default_rng(0).normal(size=(7, 3))
    whole = statistics.interval(scores, num_resamples=500, seed=4)
    assert whole == statistics.interval(scores, num_resamples=500, seed=4)
    assert whole != statistics.interval(scores, num_resamples=500, seed=5)
    monkeypatch.setattr(statistics, "MAX_RESAMPLED", 21 * 37)
    assert whole == statistics.interval(scores, num_resamples=500, seed=4)


def test_one_seed_leaves_no_interval():
    assert np.isnan(statistics.interval([[1.0, 2.0]])).all()
    estimate = statistics.probability_of_improvement([1.0], [0.0, 2.0, 0.5])
    assert estimate.value == pytest.approx(2 / 3) and np.isnan([estimate.low, estimate.high]).all()


@pytest.mark.parametrize("change", [{"num_resamples": 0}, {"confidence": 1.0}, {"confidence": 0.0}])
def test_bootstrap_rejects_settings(change):
    scores = np.ones((3, 2))
    for call in (
        lambda: statistics.interval(scores, **change),
        lambda: statistics.probability_of_improvement(scores, scores, **change),
        lambda: statistics.performance_profile(scores, [0.0], **change),
    ):
        with pytest.raises(ValueError, match=next(iter(change))):
            call()


def test_interval_rejects_rank():
    with pytest.raises(ValueError, match=r"\[seed, task\]"):
        statistics.interval(np.ones((2, 3, 4)))


def test_probability_of_improvement_is_mann_whitney():
    generator = np.random.default_rng(3)
    x, y = generator.integers(0, 6, size=(7, 5)), generator.integers(0, 5, size=(4, 5))  # with ties
    u = [scipy.stats.mannwhitneyu(x[:, m], y[:, m]).statistic for m in range(5)]
    estimate = statistics.probability_of_improvement(x, y)
    assert estimate.value == pytest.approx(np.mean(u) / (7 * 4))
    assert 0 <= estimate.low < estimate.value < estimate.high <= 1
    assert statistics.probability_of_improvement(y, x).value == pytest.approx(1 - estimate.value)


def test_probability_of_improvement_interval_is_the_direct_bootstrap():
    generator = np.random.default_rng(4)
    x, y = generator.normal(0.3, size=(8, 3)), generator.normal(size=(6, 3))
    direct = []
    for _ in range(3000):
        a = np.take_along_axis(x, generator.integers(8, size=(8, 3)), 0)
        b = np.take_along_axis(y, generator.integers(6, size=(6, 3)), 0)
        direct.append((a[:, None] > b[None]).mean())
    estimate = statistics.probability_of_improvement(x, y, num_resamples=3000)
    np.testing.assert_allclose([estimate.low, estimate.high], np.quantile(direct, [0.025, 0.975]), atol=0.02)


def test_probability_of_improvement_extremes_and_errors():
    assert statistics.probability_of_improvement([2.0, 3.0], [0.0, 1.0]) == (1.0, 1.0, 1.0)
    assert statistics.probability_of_improvement(np.ones((3, 2)), np.ones((4, 2))) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="same tasks, got 2 and 3"):
        statistics.probability_of_improvement(np.ones((4, 2)), np.ones((4, 3)).tolist())
    with pytest.raises(ValueError, match="y holds 1 non-finite"):
        statistics.probability_of_improvement([1.0], [np.nan, 1.0])


def test_performance_profile_counts_runs():
    scores = np.random.default_rng(5).normal(size=(9, 4))
    thresholds = np.array([-9.0, 0.5, -0.5, 9.0])
    profile = statistics.performance_profile(scores, thresholds)
    np.testing.assert_allclose(profile.fraction, [(scores > t).mean() for t in thresholds])
    assert profile.low[0] == profile.high[0] == 1.0 and profile.low[3] == profile.high[3] == 0.0
    for i in (1, 2):
        direct = statistics.interval((scores > thresholds[i]).astype(float), statistics.mean, num_resamples=4000)
        np.testing.assert_allclose([profile.low[i], profile.high[i]], direct, atol=0.03)


def test_performance_profile_is_strict_and_checked():
    assert statistics.performance_profile([1.0, 2.0], [1.0]).fraction[0] == 0.5
    for thresholds in ([], [[1.0]], [np.nan]):
        with pytest.raises(ValueError, match="thresholds"):
            statistics.performance_profile([1.0, 2.0], thresholds)


def _table(**extra):
    generator = np.random.default_rng(6)
    rows = [{"setting": name, "size": size, "seed": seed} for name in "ba" for size in (8, 4) for seed in range(6)]
    return pandas.DataFrame(rows).assign(**{"return": generator.normal(size=24), **extra})


def test_summary_matches_the_functions():
    table = _table()
    result = statistics.summary(table, by=["setting", "size"], seed=3)
    assert list(result.columns) == ["setting", "size", "iqm", "low", "high", "mean", "std", "count"]
    assert list(zip(result["setting"], result["size"])) == [("a", 4), ("a", 8), ("b", 4), ("b", 8)]
    for row in result.to_dict("records"):
        scores = table[(table["setting"] == row["setting"]) & (table["size"] == row["size"])]["return"].to_numpy()
        assert row["iqm"] == pytest.approx(scipy.stats.trim_mean(scores, 0.25))
        assert (row["low"], row["high"]) == statistics.interval(scores, seed=3)
        assert row["mean"] == pytest.approx(scores.mean()) and row["count"] == 6
        assert row["std"] == pytest.approx(scores.std(ddof=1))


def test_summary_of_one_row_and_another_value():
    table = pandas.DataFrame({"setting": ["a"], "seed": [0], "cost": [2.0]})
    row = statistics.summary(table, "setting", "cost").iloc[0]
    assert row["iqm"] == row["mean"] == 2.0 and row["count"] == 1
    assert np.isnan([row["low"], row["high"], row["std"]]).all()


def test_summary_errors():
    table = _table()
    with pytest.raises(ValueError, match="Did you mean 'setting'"):
        statistics.summary(table, ["settin"])
    with pytest.raises(ValueError, match="several rows per seed"):
        statistics.summary(table, ["setting"])
    with pytest.raises(ValueError, match="needs rows"):
        statistics.summary(table.iloc[:0], ["setting"])
    with pytest.raises(ValueError, match="needs rows"):
        statistics.summary(table, [])
    table.loc[3, "return"] = np.nan
    with pytest.raises(ValueError, match=r"'setting': 'b'.*1 non-finite"):
        statistics.summary(table, ["setting", "size"])
