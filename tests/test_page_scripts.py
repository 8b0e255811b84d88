"""The scripts of a page without a browser: which policy is chosen, which rows are shown, what is drawn."""

import json

import numpy as np
import pandas
import pytest
from py_mini_racer import MiniRacer

import jaxrl
from jaxrl.morl.front import Front
from jaxrl.pages.filling import plain, static

NAMES = ("a", "b", "c")
COLOURS = {"grey": "#888888", "blue": "#0000FF", "orange": "#FF8800", "green": "#00FF00"}


@pytest.fixture(scope="module")
def call():
    """Calls a function of the scripts with values that JSON can hold."""
    racer = MiniRacer()
    for name in ("choosing", "filtering", "views"):
        racer.eval(static(f"{name}.js"))

    def call(function, *arguments):
        words = ", ".join(json.dumps(plain(argument), allow_nan=False) for argument in arguments)
        return json.loads(racer.eval(f"JSON.stringify({function}({words}) ?? null)"))

    return call


def front_of(points):
    """A front of these points as Python has it."""
    spec, nothing = jaxrl.make("mo/minecart").spec, lambda index: None
    labels = pandas.DataFrame({"seed": np.zeros(len(points))})
    members = np.argsort(points[:, 0], kind="stable")
    return Front(points, np.ones(len(points), bool), members, labels, labels, spec, nothing, nothing)


def test_the_policy_is_the_one_that_python_chooses(call):
    generator = np.random.default_rng(0)
    points = generator.integers(-4, 5, (40, 3)).astype(np.float32)
    found = front_of(points)
    names = found.spec.objective_names
    order, refused = found.members.tolist(), 0
    for _ in range(60):
        raw = generator.integers(0, 5, 3).astype(float)
        weights = list(map(float, call("choosing.normalised", raw)))
        np.testing.assert_allclose(weights, raw / raw.sum() if raw.any() else np.full(3, 1 / 3))
        bounds = [int(bound) if bound > -3 else None for bound in generator.integers(-6, 5, 3)]
        chosen = call("choosing.chosen", points, order, weights, bounds)
        at_least = {name: bound for name, bound in zip(names, bounds) if bound is not None}
        utility = np.where((points >= [-9 if b is None else b for b in bounds]).all(axis=1), points @ weights, -np.inf)
        if chosen is None:
            refused += 1
            with pytest.raises(ValueError, match="no policy on the front has"):
                jaxrl.choose(found, weights, at_least)
        else:
            assert utility[chosen] == pytest.approx(utility.max())
            expected = jaxrl.choose(found, weights, at_least)
            assert utility[expected] == pytest.approx(utility[chosen])
    assert 0 < refused < 60


def test_the_first_of_equals_is_chosen_and_what_is_no_number_is_not(call):
    points = [[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]]
    assert call("choosing.chosen", points, [1, 2, 0], [0.5, 0.5], [None, None]) == 1
    assert call("choosing.chosen", points, [1, 2, 0], [0.5, 0.5], [0.5, None]) == 2
    # Infinity times a weight of 0 is no number, here as in Python.
    read = "((points, ...rest) => choosing.chosen(points.map((point) => point.map(Number)), ...rest))"
    assert call(read, [[float("inf"), 0.0], [0.0, 1.0]], [1, 0], [0, 1], [None, None]) == 1


def test_a_slider_bounds_nothing_at_its_start_and_reaches_the_best_at_its_end(call):
    low, high = -0.3, 1.3640625
    assert call("choosing.bound", 0, 200, low, high) is None
    assert call("choosing.bound", 200, 200, low, high) == high
    assert call("choosing.bound", 100, 200, low, high) == pytest.approx((low + high) / 2)
    assert call("choosing.ranges", [[0.0, 5.0], [2.0, 1.0], [9.0, 9.0]], [0, 1]) == [[0, 2], [1, 5]]


def cells(*values):
    numeric = [isinstance(value, float) for value in values]
    return [{"text": str(v), "value": v if number else str(v)} for v, number in zip(values, numeric)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", [0, 1, 2]),
        ("ADAM", [0]),
        ("return>1", [1, 2]),
        ("return>=1.5 seed=0", [2]),
        ("Return<1.5", [0]),
        ("optimiser!=sgd", [0]),
        ("optimiser=sg", []),
        ("other=1", [2]),
        ("return>", [0, 1, 2]),
        ("sgd return<2", [1]),
    ],
)
def test_rows_meet_words_and_conditions(call, text, shown):
    names = ["optimiser", "seed", "return", "setting"]
    rows = [cells("adam", 0.0, 0.5, "x"), cells("sgd", 1.0, 1.5, "x"), cells("sgd", 0.0, 2.5, "other=1, y=2")]
    conditions = call("filtering.parse", text, names)
    assert [i for i, row in enumerate(rows) if call("filtering.matches", row, conditions)] == shown


def test_rows_are_sorted_by_number_or_letter_and_what_is_none_comes_last(call):
    read = "values.map((value) => value === 'NaN' ? NaN : value)"
    sort = f"((values, direction) => {read}.sort((a, b) => filtering.compare(a, b, direction)))"
    assert call(sort, [10, 9, float("nan"), -1], 1) == [-1, 9, 10, None]
    assert call(sort, [10, 9, float("nan"), -1], -1) == [10, 9, -1, None]
    assert call(sort, ["member 10", "", "member 9"], 1) == ["member 9", "member 10", ""]


@pytest.fixture(scope="module")
def front():
    points = [[0.0, 3.0, 1.0], [1.0, 2.0, 0.0], [2.0, 0.0, 4.0], [0.0, 0.0, 0.0]]
    ranges = [[0, 2], [0, 3], [0, 4]]
    titles = ["a", "<b>", "c"]
    return {
        "names": NAMES, "titles": titles, "points": points, "order": [0, 1, 2], "ranges": ranges, "exact": None,
        "colours": COLOURS,
    }  # fmt: skip


STATE = {"axes": [0, 1, 2], "bounds": [1, None, None], "weights": [0.2, 0.3, 0.5], "chosen": 2, "byHand": None}


def test_policies_are_drawn_by_what_they_are(call, front):
    drawn = call("views.plane", front, {**STATE, "dominated": True})
    by_name = {trace["name"]: trace["customdata"] for trace in drawn["data"]}
    assert by_name == {"dominated": [3], "below a threshold": [0], "on the front": [1], "chosen": [2]}
    # Told apart without colours.
    symbols = {trace["marker"]["symbol"] for trace in drawn["data"]}
    assert len(symbols) == 4
    (bound,) = drawn["layout"]["shapes"]
    assert bound["x0"] == bound["x1"] == 1
    assert drawn["layout"]["yaxis"]["title"]["text"] == "&lt;b&gt;"
    assert "dominated" not in {
        trace["name"] for trace in call("views.plane", front, {**STATE, "dominated": False})["data"]
    }


def test_three_objectives_have_three_axes_in_any_order(call, front):
    drawn = call("views.space", front, {**STATE, "axes": [2, 0, 1], "dominated": False})
    (chosen,) = [trace for trace in drawn["data"] if trace["name"] == "chosen"]
    assert (chosen["x"], chosen["y"], chosen["z"]) == ([4], [2], [0])
    assert drawn["layout"]["scene"]["xaxis"]["title"]["text"] == "c"
    assert "policy 2" in chosen["text"][0] and "c 4" in chosen["text"][0]


def test_parallel_coordinates_scale_every_objective_to_the_front(call, front):
    drawn = call("views.parallel", front, {**STATE, "dominated": False})
    lines = {trace["name"]: trace for trace in drawn["data"]}
    assert lines["chosen"]["y"] == [1, 0, 1, None]
    np.testing.assert_allclose(lines["on the front"]["y"][:3], [0.5, 2 / 3, 0.0])
    assert lines["threshold"]["x"] == [0] and lines["threshold"]["y"] == [0.5]
    assert [note["text"] for note in drawn["layout"]["annotations"]] == ["0", "2", "0", "3", "0", "4"]


def test_of_two_objectives_what_is_worth_as_much_is_a_line_through_the_chosen(call):
    front = {
        "names": ["a", "b"], "titles": ["a", "b"], "points": [[0.0, 2.0], [1.5, 1.5], [2.0, 0.0]], "order": [0, 1, 2],
        "ranges": [[0, 2], [0, 2]], "exact": [[2.0, 0.5], [0.0, 2.5]], "colours": COLOURS,
    }  # fmt: skip
    state = {"axes": [0, 1, 2], "bounds": [None, None], "weights": [0.25, 0.75], "chosen": 1, "byHand": None}
    drawn = {trace["name"]: trace for trace in call("views.plane", front, state)["data"]}
    line = drawn["worth as much"]
    np.testing.assert_allclose(0.25 * np.array(line["x"]) + 0.75 * np.array(line["y"]), 1.5)
    assert min(line["y"]) >= -0.1 and max(line["y"]) <= 2.1
    assert drawn["exact front"]["x"] == [0, 2]
    by_hand = call("views.plane", front, {**state, "byHand": 1})["data"]
    assert "worth as much" not in {trace["name"] for trace in by_hand}
