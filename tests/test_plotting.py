import os
import subprocess
import sys

import numpy as np
import pandas
import pytest
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from jaxrl import plotting, statistics

PNG = b"\x89PNG\r\n\x1a\n"


def _curves(num_seeds=5):
    generator = np.random.default_rng(0)
    rows = [
        {"setting": name, "seed": seed, "steps": 1000 * step, "rate": rate}
        for name, rate in (("ppo", 1e-3), ("dpo", 1e-2), ("mdpo", 1e-1))
        for seed in range(num_seeds)
        for step in range(4)
    ]
    values = generator.normal(size=(2, len(rows)))
    return pandas.DataFrame(rows).assign(**{"return_speed": values[0], "return_energy": values[1]})


def _sweep():
    rows = [
        {
            "rate": rate,
            "width": width,
            "aggregator": name,
            "seed": seed,
            "steps": step,
            "return": step * rate * width + seed,
        }
        for rate, name in ((1e-4, "linear"), (1e-3, "chebyshev"), (1e-2, "lagrangian"))
        for width in (32, 64)
        for seed in range(4)
        for step in (0, 100)
    ]
    return pandas.DataFrame(rows)


def _legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def _offsets(axes, label):
    (collection,) = [c for c in axes.collections if c.get_label() == label]
    return np.asarray(collection.get_offsets())


def test_learning_curves_draw_the_statistics():
    table = _curves()
    figure = plotting.learning_curves(
        table, value=["return_speed", "return_energy"], labels={"return_speed": "distance (m)"}, title="Ant"
    )
    assert len(figure.axes) == 2 and _legend(figure) == ["dpo", "mdpo", "ppo"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["distance (m)", "return energy"]
    assert figure.axes[0].get_xlabel() == "environment steps" and figure.get_suptitle() == "Ant"
    for axes, value in zip(figure.axes, ("return_speed", "return_energy")):
        assert len(axes.lines) == len(axes.collections) == 3
        expected = statistics.summary(table[table["setting"] == "dpo"], ["steps"], value)
        np.testing.assert_allclose(axes.lines[0].get_xdata(), expected["steps"])
        np.testing.assert_allclose(axes.lines[0].get_ydata(), expected["iqm"])
        band = axes.collections[0].get_paths()[0].vertices
        assert band[:, 1].min() == expected["low"].min() and band[:, 1].max() == expected["high"].max()


def test_learning_curves_of_one_seed_and_many_groups():
    table = _curves(num_seeds=1)
    figure = plotting.learning_curves(table, value="return_speed")
    np.testing.assert_allclose(figure.axes[0].lines[2].get_ydata(), table["return_speed"][:4])
    many = pandas.DataFrame({"setting": range(20), "seed": 0, "steps": 1, "return": 1.0})
    lines = plotting.learning_curves(many).axes[0].lines
    assert len({(to_hex(line.get_color()), line.get_linestyle()) for line in lines}) == 20


def _note(figure):
    return figure._supxlabel.get_text()


def test_figures_say_which_statistic_interval_and_seeds_they_show():
    assert _note(plotting.learning_curves(_curves(), value="return_speed")) == (
        "interquartile mean over 5 seeds, 95 % bootstrap interval"
    )
    assert _note(plotting.learning_curves(_curves(num_seeds=1), value="return_speed")).startswith("one seed, mean")
    few = plotting.learning_curves(
        _curves().query("setting == 'ppo' or seed == 0"), value="return_speed", confidence=0.9
    )
    assert "90 %" in _note(few) and "; thin: one seed" in _note(few)
    assert "seeds" in _note(plotting.sensitivity(_sweep(), "width", by="rate"))


def test_one_seed_is_thin_with_the_spread_of_its_episodes():
    table = _curves(num_seeds=1).assign(deviation_speed=2.0)
    (axes,) = plotting.learning_curves(table, value="return_speed").axes
    assert all(line.get_linewidth() < 1.0 for line in axes.lines)
    band = axes.collections[2].get_paths()[0].vertices[:, 1]
    own = table[table["setting"] == "ppo"]["return_speed"]
    assert (band.min(), band.max()) == pytest.approx((own.min() - 2.0, own.max() + 2.0))


@pytest.mark.parametrize("num_seeds", [1, 4])
def test_a_single_evaluation_is_a_point_with_its_interval(num_seeds):
    table = _curves(num_seeds=num_seeds).query("steps == steps.max() and setting == 'ppo'").assign(deviation_speed=2.0)
    (axes,) = plotting.learning_curves(table, value="return_speed").axes
    ((_, low), (_, high)) = axes.collections[0].get_segments()[0]
    (point,) = axes.lines[0].get_ydata()
    expected = statistics.summary(table, ["steps"], "return_speed").iloc[0]
    interval = (point - 2.0, point + 2.0) if num_seeds == 1 else (expected["low"], expected["high"])
    assert (low, high) == pytest.approx(interval) and low < high


def test_panels_show_each_group_with_the_others_in_grey():
    figure = plotting.learning_curves(_curves(), value="return_speed", panels=True)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == ["dpo", "mdpo", "ppo"] and not figure.legends
    assert all(len(axes.lines) == 3 + 1 and len(axes.collections) == 1 for axes in panels)
    with pytest.raises(ValueError, match="panels of groups show one value"):
        plotting.learning_curves(_curves(), value=["return_speed", "return_energy"], panels=True)


def test_two_settings_are_points_without_a_trend():
    (axes,) = plotting.sensitivity(_sweep(), "width", by="rate").axes
    assert {line.get_linestyle() for line in axes.lines} == {"None"}
    assert not any(isinstance(part, FillBetweenPolyCollection) for part in axes.collections)


def test_parts_show_every_run():
    figure = plotting.new_figure(6.0, 3.0)
    lines, dots, bars = figure.subplots(1, 3)
    plotting.runs(lines, [0, 1], [[0.0, 1.0], [2.0, 3.0]], 0, "two seeds")
    np.testing.assert_allclose(lines.lines[2].get_ydata(), [1.0, 2.0])
    assert [line.get_label() for line in lines.lines][2] == "two seeds"
    plotting.dots_by_row(dots, {"a": [1.0, 3.0], "b": [2.0]}, "score")
    assert dots.lines[1].get_xdata() == [2.0]
    assert [text.get_text() for text in dots.get_yticklabels()] == ["a", "b"] and dots.yaxis_inverted()
    plotting.intervals_by_row(bars, {"a": (1.0, 0.5, 2.0)}, "score")
    assert bars.collections[0].get_segments()[0][:, 0].tolist() == [0.5, 2.0]


def test_sweep_heatmap_holds_final_values():
    table = _sweep()
    table = table[~((table["rate"] == 1e-2) & (table["width"] == 64))]
    figure = plotting.sweep_heatmap(table, "rate", "width", labels={"width": "hidden units"})
    axes, bar = figure.axes
    final = table[table["steps"] == 100].groupby(["width", "rate"])["return"].mean().unstack()
    np.testing.assert_allclose(axes.collections[0].get_array().filled(np.nan), final)
    numbers = {text.get_position(): text.get_text() for text in axes.texts}
    assert len(numbers) == 5 and numbers[(0, 1)] == f"{final.iloc[1, 0]:.3g}" and (2, 1) not in numbers
    assert [t.get_text() for t in axes.get_xticklabels()] == ["0.0001", "0.001", "0.01"]
    assert axes.get_ylabel() == "hidden units" and bar.get_ylabel() == "return (IQM)"


def test_sensitivity_axis_follows_the_parameter():
    table = _sweep()
    narrow = table[table["width"] == 32]
    axes = plotting.sensitivity(narrow, "rate").axes[0]
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "rate"
    expected = statistics.summary(narrow[narrow["steps"] == 100], ["rate"])
    np.testing.assert_allclose(axes.lines[0].get_xydata(), expected[["rate", "iqm"]])
    bars = np.array(axes.collections[1].get_segments())
    np.testing.assert_allclose(bars[:, :, 1], expected[["low", "high"]])

    grouped = plotting.sensitivity(table, "width", by="rate")
    assert grouped.axes[0].get_xscale() == "linear" and _legend(grouped) == ["0.0001", "0.001", "0.01"]

    named = plotting.sensitivity(narrow, "aggregator").axes[0]
    assert [t.get_text() for t in named.get_xticklabels()] == ["chebyshev", "lagrangian", "linear"]
    assert named.lines[0].get_linestyle() == "None"


def test_front_of_two_objectives_draws_the_staircase():
    points = np.array([[1.0, 4.0], [3.0, 2.0], [0.5, 3.0], [3.0, 2.0]])
    known = np.array([[2.0, 5.0], [4.0, 3.0]])
    figure = plotting.front(points, ["treasure", "−time (steps)"], reference=[0.0, 1.0], known_front=known)
    (axes,) = figure.axes
    assert _legend(figure) == ["known front", "dominated", "non-dominated", "reference"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("treasure", "−time (steps)")
    np.testing.assert_array_equal(_offsets(axes, "known front"), known)
    np.testing.assert_array_equal(_offsets(axes, "dominated"), [[0.5, 3.0]])
    np.testing.assert_array_equal(_offsets(axes, "reference"), [[0.0, 1.0]])
    np.testing.assert_array_equal(np.unique(_offsets(axes, "non-dominated"), axis=0), [[1.0, 4.0], [3.0, 2.0]])
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), [[0, 4], [1, 4], [1, 2], [3, 2], [3, 1]])


def test_front_of_two_series():
    series = {"a": [[1.0, 2.0]], "b": [[2.0, 1.0], [0.0, 0.0]]}
    figure = plotting.front(series, ["x", "y"])
    assert _legend(figure) == ["a", "b"] and len(figure.axes[0].lines) == 2


def test_front_of_three_objectives_has_a_space_and_three_projections():
    points = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0], [-1.0, -1.0, -1.0]])
    figure = plotting.front(points, ["x", "y", "z"], reference=[-2.0, -3.0, -4.0], known_front=2 * points[:3])
    space, *planes = figure.axes
    assert space.name == "3d" and (space.get_xlabel(), space.get_zlabel()) == ("x", "z")
    assert [(p.get_xlabel(), p.get_ylabel()) for p in planes] == [("x", "y"), ("x", "z"), ("y", "z")]
    for plane, pair in zip(planes, ([0, 1], [0, 2], [1, 2])):
        np.testing.assert_array_equal(_offsets(plane, "non-dominated"), points[:3][:, pair])
        np.testing.assert_array_equal(_offsets(plane, "dominated"), points[3:][:, pair])
        np.testing.assert_array_equal(_offsets(plane, "reference")[0], np.array([-2.0, -3.0, -4.0])[pair])
    assert _legend(figure) == ["known front", "dominated", "non-dominated", "reference"]


def test_front_of_four_objectives_is_normalised_with_real_ranges():
    points = np.array([[0.0, 10.0, 5.0, 1.0], [4.0, 0.0, 5.0, 2.0], [0.0, 0.0, 5.0, 1.0]])
    figure = plotting.front(points, ["a", "b", "c", "d"])
    (axes,) = figure.axes
    heights = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == 4]
    np.testing.assert_allclose(heights, [[0, 0, 0.5, 0], [0, 1, 0.5, 0], [1, 0, 0.5, 1]])
    assert [t.get_text() for t in axes.get_xticklabels()] == ["a", "b", "c", "d"]
    ticks = [text.get_text() for text in axes.texts]
    assert {"0", "10", "4", "1", "2"} <= set(ticks)


def test_performance_profiles_draw_what_they_are_given():
    generator = np.random.default_rng(0)
    profiles = {
        name: statistics.performance_profile(generator.normal(size=(5, 3)), [1.0, -1.0, 0.0]) for name in ("ppo", "dqn")
    }
    figure = plotting.performance_profiles(profiles, xlabel="normalised score τ")
    (axes,) = figure.axes
    assert _legend(figure) == ["ppo", "dqn"] and axes.get_xlabel() == "normalised score τ"
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), [-1.0, 0.0, 1.0])
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), profiles["dqn"].fraction[[1, 2, 0]])


def test_probability_of_improvement_draws_intervals():
    comparisons = {
        ("ppo", "dqn"): statistics.Estimate(0.8, 0.7, 0.9),
        ("ppo", "dpo"): statistics.Estimate(0.4, 0.3, 0.6),
    }
    (axes,) = plotting.probability_of_improvement(comparisons).axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["ppo > dqn", "ppo > dpo"]
    np.testing.assert_allclose(np.array(axes.collections[0].get_segments())[:, :, 0], [[0.7, 0.9], [0.3, 0.6]])
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [0.8, 0.4])
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], [0.3, -0.1])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: plotting.learning_curves(_curves(), value="return_sped"), "Did you mean 'return_speed'"),
        (lambda: plotting.learning_curves(_curves(), value=[]), "no column"),
        (lambda: plotting.sweep_heatmap(_sweep(), "rate", "rate"), "must differ"),
        (lambda: plotting.sweep_heatmap(_sweep(), "rat", "width"), "Did you mean 'rate'"),
        (lambda: plotting.sensitivity(_sweep(), "rate"), "several rows per seed"),
        (lambda: plotting.front([[1.0]], ["x"]), "two objectives"),
        (lambda: plotting.front([[1.0, 2.0, 3.0]], ["x", "y"]), "with 2 objectives"),
        (lambda: plotting.front(np.zeros((0, 2)), ["x", "y"]), "non-dominated"),
        (lambda: plotting.front({}, ["x", "y"]), "no series"),
        (lambda: plotting.front([[1.0, np.nan]], ["x", "y"]), "non-finite"),
        (lambda: plotting.front([[1.0, 2.0]], ["x", "y"], reference=[0.0]), "reference"),
        (lambda: plotting.front([[1.0, 2.0]], ["x", "y"], known_front=[1.0, 2.0]), "known_front"),
        (lambda: plotting.performance_profiles({}), "empty"),
        (lambda: plotting.probability_of_improvement({}), "pairs|keys"),
        (lambda: plotting.save(Figure(), "figure.pdf"), r"\.png"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_save_is_whole_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "figures" / "curve.png"
    assert plotting.save(plotting.learning_curves(_curves(), value="return_speed"), path) == path
    written = path.read_bytes()
    assert written.startswith(PNG) and os.listdir(path.parent) == ["curve.png"]
    width = int.from_bytes(written[16:20], "big")
    assert width == round(6.4 * 150)

    def broken(self, file, **_):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", broken)
    with pytest.raises(OSError, match="disk full"):
        plotting.save(Figure(), path)
    assert path.read_bytes() == written and os.listdir(path.parent) == ["curve.png"]


def test_every_figure_is_written(tmp_path):
    estimate = statistics.Estimate(0.8, 0.7, 0.9)
    points = np.random.default_rng(0).normal(size=(9, 4))
    figures = {
        "heatmap": plotting.sweep_heatmap(_sweep(), "rate", "width"),
        "sensitivity": plotting.sensitivity(_sweep(), "rate", by="width"),
        "profiles": plotting.performance_profiles({"a": statistics.performance_profile([1.0, 2.0], [0.0, 1.5])}),
        "improvement": plotting.probability_of_improvement({("a", "b"): estimate}),
        **{f"front{n}": plotting.front(points[:, :n], list("wxyz")[:n]) for n in (2, 3, 4)},
    }
    for name, figure in figures.items():
        assert plotting.save(figure, tmp_path / f"{name}.png").read_bytes().startswith(PNG)


def test_import_is_light_and_pyplot_stays_out():
    code = (
        "import sys, jaxrl.plotting as p\n"
        "assert 'matplotlib' not in sys.modules and 'pandas' not in sys.modules\n"
        "p.performance_profiles({'a': p.statistics.performance_profile([1., 2.], [0.])})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
