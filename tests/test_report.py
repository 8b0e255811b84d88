"""`jaxrl report`: the page of a run holds its numbers, whatever their names, and is written whole or not at all."""

import errno
import re
import shlex
import shutil
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas
import plotly.graph_objects as graph
import pytest
from PIL import Image

import jaxrl
from jaxrl import pages
from jaxrl.cli import main
from jaxrl.numerics import statistics
from jaxrl.runs import episodes, experiment, kinds
from jaxrl.runs.configuration import Configuration, claim
from jaxrl.runs.episodes import EpisodeLimits, make_episodes
from jaxrl.runs.kinds import KINDS
from jaxrl.sweeps import files
from tests import short
from tests.page_reading import Page

pytestmark = [pytest.mark.quick_compilation, pytest.mark.usefixtures("built_once")]

KIND_PAGE = Path(__file__).parents[1] / "docs" / "how_to" / "kind.md"
QUIET = jaxrl.RunOptions(progress=False)
EVIL = "</script><script>alert('x')</script><b>&amp;"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished Pareto study, and its page with two episodes."""
    place = tmp_path_factory.mktemp("study") / "treasure's <run>"
    settings = {**short.SETTINGS, "total_steps": 512}
    options = {"evaluation_episodes": 2}
    configuration = Configuration(
        "pareto", "ppo", "mo/deep-sea-treasure", {}, settings, (0, 1), weights=3, options=options
    )
    experiment.run(configuration, place, QUIET)
    jaxrl.report(place, episodes=2, max_steps=8)
    return place


@pytest.fixture(scope="module")
def page(study):
    return Page.read(study / "report.html")


@pytest.fixture(scope="module", autouse=True)
def regret(tmp_path_factory):
    """The kind of the how-to page, which has neither environment nor policies."""
    place = tmp_path_factory.mktemp("module")
    (place / "regret.py").write_text(re.search(r"```python\n(.*?)```", KIND_PAGE.read_text(), re.DOTALL)[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        import regret

        yield regret
    del KINDS._entries["regret"], sys.modules["regret"]


@pytest.fixture(scope="module")
def sweep(regret, tmp_path_factory):
    place = tmp_path_factory.mktemp("sweep") / "run"
    swept = {"exploration": [float(value) for value in np.linspace(0.1, 1.0, 9)]}
    configuration = Configuration("regret", "ucb", "", seeds=(0, 1, 2), hyperparameters=swept)
    experiment.run(configuration, place, QUIET)
    return place


def assert_same(shown, table, names=None):
    """Numbers in full."""
    names = [name for name in table.columns if table[name].dtype.kind in "if"] if names is None else names
    assert len(shown) == len(table) and names
    for name in names:
        np.testing.assert_array_equal(shown[name].to_numpy(float), table[name].to_numpy(float))


def test_the_numbers_of_the_page_are_those_of_the_tables_of_the_run(study, page):
    metrics, front = pandas.read_csv(study / "metrics.csv"), pandas.read_csv(study / "front.csv")
    assert_same(page.table("Last evaluation of every member"), metrics.groupby("member").tail(1))
    assert_same(page.table("All policies"), front)
    measures = page.table("Measures of the front, by seed")
    assert_same(measures, pandas.read_csv(study / "measures.csv"))
    assert list(measures["seed"]) == ["0", "1", "all"]
    data, returns = page.explorer, front[["return_treasure", "return_time"]].to_numpy()
    np.testing.assert_array_equal(data["points"], returns)
    assert sorted(data["order"]) == np.flatnonzero(front["on_front"]).tolist()
    assert (np.diff(returns[data["order"], 0]) >= 0).all()
    assert page.facts["state"] == "finished" and page.facts["members"] == "6"
    assert page.facts["total_steps"] == "512" and page.facts["evaluation_episodes (pareto)"] == "2"


def test_curves_are_the_statistics_of_the_table(study, page):
    table = pandas.read_csv(study / "metrics.csv")
    last = table[table["steps"] == table["steps"].max()].assign(weight=lambda rows: rows["weight_time"])
    expected = statistics.summary(last, "weight", "return_time").sort_values("weight", ascending=False)
    shown = page.table("Numbers of return time")
    for name, column in (("return_time", "iqm"), ("low", "low"), ("high", "high"), ("seeds", "count")):
        np.testing.assert_allclose(shown[name].to_numpy(float), expected[column])
    lines = [trace for trace in page.chart("return time")["data"] if not trace["name"].endswith(": interval")]
    assert [line["y"][-1] for line in lines] == shown["return_time"].tolist()
    assert lines[0]["x"] == sorted(table["steps"].unique())


def test_the_page_needs_nothing_besides_itself(page):
    assert "default-src 'none'" in page.soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    for tag in page.soup.find_all(src=True):
        assert tag["src"].startswith("data:"), tag["src"][:80]
    assert all(tag["href"].startswith(("#", "data:")) for tag in page.soup.find_all(href=True))
    assert page.html.count("plotly.js v") >= 1


def test_what_is_used_by_hearing_and_by_keyboard_has_names(page):
    for tag in page.soup.find_all(["input", "select"]):
        assert tag.get("aria-label") or tag.find_parent("label"), tag
    for plot in page.soup.select(".plot"):
        assert plot["aria-hidden"] == "true" and plot.parent["role"] == "img" and len(plot.parent["aria-label"]) > 30
    for image in page.soup.find_all("img"):
        assert image.has_attr("alt")
    for header in page.soup.select(".table thead th[aria-sort]"):
        assert header.find("button") and header["aria-sort"] == "none"
    assert page.soup.find("html")["lang"] and page.soup.find("caption")
    assert {tag["aria-label"] for tag in page.soup.select(".explorer input[type=range]")} == {
        "Weight of treasure", "Weight of time", "Least treasure", "Least time",
    }  # fmt: skip


def test_episodes_are_those_of_policies_on_the_front(study, page):
    data = page.explorer
    assert 1 <= len(data["episodes"]) <= 2
    assert set(map(int, data["episodes"])) <= set(data["order"])
    for number, episode in data["episodes"].items():
        assert episode["source"].startswith("data:image/gif;base64,R0lGOD")
        assert episode["description"].startswith(f"mo/deep-sea-treasure, policy {number}: ")
    assert "policies on the front" in data["missing"] or "of policy #" in data["missing"]
    assert data["commands"][1] == """jaxrl watch '""" + str(study).replace("'", """'"'"'""") + "' --member #"


def test_names_and_options_are_shown_as_they_are_written(monkeypatch, tmp_path, regret):
    known = KINDS["regret"]
    shown = pages.Section(EVIL, (EVIL, pages.table(pandas.DataFrame({EVIL: [1.5, 2.5]}), EVIL)))
    changed = known._replace(options={"note": ""}, description=EVIL, page=lambda material: [shown])
    monkeypatch.setitem(KINDS._entries, "regret", changed)
    place = tmp_path / "run <b>"
    experiment.run(Configuration("regret", "ucb", "", options={"note": EVIL}), place, QUIET)
    page = Page.read(jaxrl.report(place))
    assert page.facts["note"] == EVIL and EVIL in page.titles and EVIL in page.text
    assert page.soup.find("h1").text == "ucb (run <b>)"
    assert list(page.table(EVIL)[EVIL]) == [1.5, 2.5]
    assert not [tag for tag in page.soup.find_all("script") if "alert" in (tag.string or "")[:20]]
    assert not page.soup.find("b")


def test_evil_names_of_objectives_and_groups_stay_names():
    table = pandas.DataFrame({"run": [EVIL, EVIL], "steps": [1, 2], "return": [0.0, 1.0], "seed": [0, 0]})
    chart = pages.curves(table, "return", "run", labels={"return": EVIL})
    points = np.array([[0.0, 1.0], [1.0, 0.0]])
    explorer = pages.explorer(points, np.array([True, True]), (EVIL, "b"), pandas.DataFrame({EVIL: [1, 2]}), {}, EVIL)
    page = Page(
        pages.document(EVIL, EVIL, {EVIL: EVIL}, [pages.Section(EVIL, (chart, pages.legend([EVIL]), explorer))])
    )
    assert page.explorer["names"] == [EVIL, "b"] and page.explorer["missing"] == EVIL
    (trace,) = page.chart(EVIL)["data"]
    # Plotly reads a part of HTML in names; this way it reads the name.
    assert trace["name"] == EVIL.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#x27;")
    assert len(page.islands) == 2 and not page.soup.find("b")
    assert page.soup.select_one("option").text == EVIL.replace("_", " ")


def test_numbers_that_are_none_are_shown_and_break_nothing():
    table = pandas.DataFrame({"value": [np.nan, np.inf, -np.inf, 1.25], "count": [1, 2, 3, 4], "good": [True] * 4})
    figure = graph.Figure(graph.Scatter(x=[1, 2, 3], y=[np.nan, np.inf, 2.0]))
    points = np.array([[0.0, np.nan], [np.inf, 1.0], [2.0, -np.inf], [1.0, 1.0]])
    explorer = pages.explorer(points, np.array([True] * 4), ("a", "b"), table, {}, "")
    chart = pages.chart(figure, "figure", "what it shows", numbers=table)
    page = Page(pages.document("t", "l", {}, [pages.Section("s", (pages.table(table, "numbers"), chart, explorer))]))
    shown = page.table("numbers")
    np.testing.assert_array_equal(shown["value"].to_numpy(float), table["value"])
    assert list(shown["good"]) == ["yes"] * 4 and "NaN" in page.text
    assert page.chart("figure")["data"][0]["y"] == [None, None, 2.0]
    assert page.explorer["points"] == [[0.0, "NaN"], ["Infinity", 1.0], [2.0, "-Infinity"], [1.0, 1.0]]


def test_a_lost_member_leaves_a_gap(sweep, tmp_path):
    place = tmp_path / "run"
    shutil.copytree(sweep, place)
    table = pandas.read_csv(place / "metrics.csv")
    lost = table["member"] == 4
    table.loc[lost, ["average", "gain"]], table.loc[lost, "finite"] = np.nan, False
    table.to_csv(place / "metrics.csv", index=False)
    page = Page.read(jaxrl.report(place))
    assert page.facts["lost members"] == "1" and page.facts["members"] == "27"
    shown = page.table("Last evaluation of every member").set_index("member")
    assert np.isnan(shown.loc[4.0, "average"]) and shown.loc[4.0, "finite"] == "no"
    assert set(page.table("Numbers of average")["seeds"]) == {2.0, 3.0}


def test_of_many_settings_the_best_have_colours(sweep):
    page = Page.read(jaxrl.report(sweep, sweep / "other.html"))
    table = pandas.read_csv(sweep / "metrics.csv")
    last = table[table["steps"] == table["steps"].max()]
    best = last.groupby("setting")["gain"].mean().nlargest(7).index
    legend = [tag.text for tag in page.soup.select(".legend li")]
    assert legend == [*best, "2 others"]
    lines = [trace for trace in page.chart("average")["data"] if not trace["name"].endswith(": interval")]
    coloured = {line["name"] for line in lines if line["line"]["color"] != "#8A8A8A"}
    assert len(lines) == 9 and coloured == set(best)
    bands = {trace["name"]: trace for trace in page.chart("average")["data"]}
    expected = statistics.summary(table, ["setting", "steps"], "average").set_index("setting")
    for line in lines:
        own = expected.loc[line["name"]]
        np.testing.assert_allclose([line["x"], line["y"]], [own["steps"], own["iqm"]])
        if line["name"] in coloured:
            ends = [*own["high"], *own["low"][::-1]]
            np.testing.assert_allclose(bands[f"{line['name']}: interval"]["y"], ends)


def test_a_write_that_fails_leaves_what_was_there(sweep, tmp_path, monkeypatch, capsys):
    out = tmp_path / "page.html"
    out.write_text("former")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    assert main(["report", str(sweep), "--out", str(out)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert out.read_text() == "former" and [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_run_in_progress_has_a_page_and_trains_nothing(study, tmp_path, monkeypatch):
    monkeypatch.setattr(episodes, "policies_of", lambda *_: pytest.fail("a policy was asked for"))
    place = tmp_path / "run"
    shutil.copytree(study, place, ignore=shutil.ignore_patterns("front.csv", "measures.csv", "outcome.json", "*.html"))
    table = pandas.read_csv(place / "metrics.csv")
    half = table[table["steps"] < table["steps"].max()]
    (place / "metrics.csv").write_text(half.to_csv(index=False) + "0,0,def")
    page = Page.read(jaxrl.report(place))
    assert page.facts["state"] == "stopped" and page.facts["to go on"] == f"jaxrl resume {place}"
    assert page.facts["steps"] == f"{half['steps'].max()} of {table['steps'].max()}"
    assert "The front comes when the run has ended." in page.text and "Episodes come when" in page.text
    assert_same(page.table("Last evaluation of every member"), half.groupby("member").tail(1))


CLAIMED = {
    "train": ("ppo", "gymnax/CartPole-v1"),
    "sweep": ("ppo", "gymnax/CartPole-v1"),
    "pareto": ("c_morl", "mo/deep-sea-treasure"),
    "policy": ("ppo", "mo/deep-sea-treasure"),
    "meta": ("lpo", "grid/tiny"),
    "maml": ("maml", "multitask/cart-pole"),
    "align": ("barfi", "alignment/goal-grid"),
    "regret": ("ucb", ""),
}


def test_the_kinds_below_are_all_of_jaxrls_own():
    assert set(CLAIMED) == {*kinds._JAXRL, "regret"}


@pytest.mark.parametrize("kind", CLAIMED)
def test_every_kind_has_a_page_before_and_after_its_first_evaluation(kind, tmp_path):
    agent, environment = CLAIMED[kind]
    configuration = Configuration(kind, agent, environment)
    claim(tmp_path / "run", configuration)
    page = Page.read(jaxrl.report(tmp_path / "run"))
    assert page.facts["kind"] == kind and page.facts["steps"] == "no evaluation yet"
    built = experiment.build(configuration)
    columns = list(dict.fromkeys((*built.curves, *built.summary)))
    rows = pandas.DataFrame({"member": [0, 1], "seed": [0, 1], "setting": "default", "finite": True, "steps": [8, 8]})
    values = {name: np.array([0.25, 0.75]) + index for index, name in enumerate(columns)}
    rows.assign(**values).to_csv(tmp_path / "run" / "metrics.csv", index=False)
    page = Page.read(jaxrl.report(tmp_path / "run"))
    for index, name in enumerate(columns):
        assert page.table(f"Numbers of {name.replace('_', ' ')}")[name].tolist() == [0.5 + index]
    assert "No episode" in page.text or "come when the run has ended" in page.text


def test_tables_and_figures_beside_a_run_are_on_its_page_and_those_of_other_runs_are_not(sweep, tmp_path):
    place = tmp_path / "run"
    shutil.copytree(sweep, place)
    for folder in ("grouping", "checkpoints", "inner"):
        (place / folder).mkdir(exist_ok=True)
        pandas.DataFrame({"value": [1.5]}).to_csv(place / folder / "own.csv", index=False)
    (place / "inner" / "configuration.json").write_text("{}")
    (place / "broken.csv").write_text('"\n')
    page = Page.read(jaxrl.report(place))
    assert page.table("grouping/own.csv")["value"].tolist() == [1.5]
    captions = {tag.text for tag in page.soup.find_all("caption")}
    assert not captions & {"inner/own.csv", "checkpoints/own.csv", "metrics.csv"}
    assert "broken.csv is damaged" in page.text
    assert [tag["alt"] for tag in page.soup.select(".pictures img")] == ["sensitivity exploration"]


def test_a_kind_adds_sections_and_takes_away_what_it_shows_itself(sweep, monkeypatch):
    seen = []

    def own(material):
        seen.append(material)
        return [pages.Section("Pulls", ("Of arms.",), ("episode", "figures/sensitivity_exploration.png"))]

    plain = Page.read(jaxrl.report(sweep))
    assert plain.titles == ["Settings", "Curves", "Members", "Figures", "A policy at work"]
    assert "this program's members hold no policy" in plain.text
    monkeypatch.setitem(KINDS._entries, "regret", KINDS["regret"]._replace(page=own))
    page = Page.read(jaxrl.report(sweep))
    assert page.titles == ["Settings", "Pulls", "Curves", "Members"]
    assert seen[0].directory == sweep and len(seen[0].table) == 27 * 4


def test_the_section_of_the_how_to_page_is_one(sweep, monkeypatch):
    *_, snippet = re.findall(r"```python\n(.*?)```", (KIND_PAGE.parent / "report.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(snippet, names)
    monkeypatch.setitem(KINDS._entries, "regret", KINDS["regret"]._replace(page=names["page"]))
    pulls = Page.read(jaxrl.report(sweep)).table("Pulls")
    assert (pulls.filter(like="pulls_").sum(axis=1) == 40.0).all() and len(pulls) == 27


def test_a_single_run_shows_its_last_evaluation_and_its_policy(tmp_path):
    place = tmp_path / "run"
    experiment.run(Configuration("train", "ppo", "gymnax/CartPole-v1", settings=short.SETTINGS), place, QUIET)
    page = Page.read(jaxrl.report(place, max_steps=5))
    table = pandas.read_csv(place / "metrics.csv")
    last = page.table("Last row of metrics.csv with an evaluation").set_index("column")["value"]
    assert last["return"] == table["return"].iloc[-1] and last["policy_loss"] == table["policy_loss"].iloc[-1]
    assert page.soup.select_one(".episode img")["src"].startswith("data:image/gif;base64,")
    assert "5 steps, left there" in page.soup.select_one(".episode figcaption").text
    assert {"policy loss", "entropy"} <= {tag.text for tag in page.soup.find_all("h3")}
    assert page.facts["num_envs"] == "4" and "clip_epsilon" in page.soup.select_one(".settings").text
    written = {row.find("th").text: row.find("td").text for row in page.soup.select(".settings tbody tr")}
    assert written["learning_rate"] == "0.00025" and written["hidden_sizes"] == "(8,)"


def test_a_policy_that_was_saved_alone_has_a_page(study, tmp_path):
    front = pandas.read_csv(study / "front.csv")
    member = int(np.flatnonzero(front["on_front"])[0])
    assert main(["policy", str(study), "--point", str(member), "--episodes", "1", "--save", str(tmp_path / "one")]) == 0
    page = Page.read(jaxrl.report(tmp_path / "one", max_steps=3))
    assert page.facts["state"] == "finished" and page.titles == ["Settings", "A policy at work"]
    assert page.soup.select_one(".episode img")["src"].startswith("data:image/gif")


def test_episodes_are_as_many_as_there_is_time_for(study, monkeypatch):
    configuration = experiment.read_configuration(study)
    made, missing = make_episodes(study, configuration, [0, 1, 2], EpisodeLimits(seconds=0.0))
    assert list(made) == [0] and missing == "The page holds episodes of 1 of 3 policies, and none of policy #."
    assert make_episodes(study, configuration, [0], EpisodeLimits(count=0))[0] == {}

    def broken(*_):
        raise RuntimeError("no picture of this")

    monkeypatch.setattr(episodes, "frames", broken)
    made, missing = make_episodes(study, configuration, [0, 1], EpisodeLimits())
    assert made == {} and missing == "No episode: no picture of this."


def test_long_episodes_are_thinned_and_show_their_end(study, monkeypatch):
    configuration, drawn = experiment.read_configuration(study), []
    play, write = episodes.play, episodes.write_frames

    def eight(*arguments):
        first = next(play(*arguments))
        yield from (first._replace(ended="terminated" if index == 7 else "") for index in range(8))

    monkeypatch.setattr(episodes, "play", eight)
    monkeypatch.setattr(episodes, "_MOST_PICTURES", 3)
    monkeypatch.setattr(episodes, "write_frames", lambda found, *rest: drawn.extend(found) or write(found, *rest))
    made, _ = make_episodes(study, configuration, [0], EpisodeLimits())
    assert "7 steps, terminated, one picture every 3 steps" in made[0].description
    first, *_, last = drawn
    assert len(drawn) == 4 and (np.asarray(first) != np.asarray(last)).any()
    assert Image.open(BytesIO(made[0].picture)).size == first.size


def test_the_shell_says_where_the_page_is_and_what_is_wrong(sweep, tmp_path, capsys):
    out = tmp_path / "new" / "page.html"
    assert main(["report", str(sweep), "--out", str(out), "--episodes", "0"]) == 0
    assert capsys.readouterr().out == f"Written to {out}\n" and "made without episodes" in out.read_text()
    for words, message in (
        ([str(sweep), "--out", str(tmp_path / "page.pdf")], "a page is written as a file that ends in .html, got"),
        ([str(tmp_path)], "is not a run directory"),
        ([str(sweep), "--episodes", "-1"], "at least 0, got -1"),
        ([str(sweep), "--seconds", "nan"], "nan"),
    ):
        assert main(["report", *words]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    with pytest.raises(ValueError, match="max_steps must be at least 1"):
        jaxrl.report(sweep, max_steps=0)


def test_an_empty_front_says_so(study, tmp_path):
    place = tmp_path / "run"
    shutil.copytree(study, place)
    front = pandas.read_csv(place / "front.csv").assign(on_front=False)
    front.to_csv(place / "front.csv", index=False)
    page = Page.read(jaxrl.report(place, episodes=0))
    assert "The front is empty" in page.text and not page.soup.select(".explorer")


@pytest.fixture(scope="module")
def weighted(tmp_path_factory):
    """A finished sweep over preference weights and a setting, and its page with one episode."""
    place = tmp_path_factory.mktemp("weighted") / "run"
    settings = {**short.SETTINGS, "total_steps": 512}
    rates = {"learning_rate": [1e-3, 1e-2]}
    configuration = Configuration("sweep", "ppo", "mo/deep-sea-treasure", {}, settings, (0, 1), rates, weights=3)
    experiment.run(configuration, place, QUIET)
    jaxrl.report(place, episodes=1, max_steps=8)
    return place


def test_a_sweep_over_preference_weights_has_its_front_to_explore(weighted):
    page = Page.read(weighted / "report.html")
    table = pandas.read_csv(weighted / "metrics.csv")
    last = table[table["steps"] == table["steps"].max()].sort_values("member")
    points = last[["return_treasure", "return_time"]].to_numpy()
    data, shown = page.explorer, page.table("All policies")
    np.testing.assert_array_equal(data["points"], points)
    beaten = [any((rival >= own).all() and (rival > own).any() for rival in points) for own in points]
    front = np.flatnonzero(shown["on_front"] == "yes")
    assert sorted(data["order"]) == front.tolist() and len(front)
    assert not any(beaten[number] for number in front)
    assert {tuple(points[number]) for number in front} == {
        tuple(own) for own, worse in zip(points, beaten, strict=True) if not worse
    }
    assert_same(shown, last, ["member", "seed", "learning_rate", "weight_treasure", "weight_time", "return_time"])
    assert data["exact"] and data["commands"][2] == f"policy = jaxrl.load({str(weighted)!r}, member=#)"
    assert page.titles == ["Settings", "Pareto front", "Curves", "Members"]
    (number,) = data["episodes"]
    assert int(number) in data["order"]
    assert data["episodes"][number]["description"].startswith(f"mo/deep-sea-treasure, policy {number}: ")


def test_a_policy_of_a_sweeps_front_is_that_member(weighted, tmp_path, capsys):
    number = Page.read(weighted / "report.html").explorer["order"][0]
    for command in Page.read(weighted / "report.html").explorer["commands"][:2]:
        words = shlex.split(command.replace("#", str(number)).replace("DIRECTORY", str(tmp_path / "one")))
        assert (
            main([*words[1:], *(["--max-steps", "2", "--out", str(tmp_path / "x.gif")] if "watch" in words else [])])
            == 0
        )
    assert "member" in capsys.readouterr().out and (tmp_path / "one" / "configuration.json").exists()


def test_the_front_of_a_sweep_waits_for_every_member_and_leaves_lost_ones_out(weighted, tmp_path):
    place = tmp_path / "run"
    shutil.copytree(weighted, place)
    table = pandas.read_csv(place / "metrics.csv")
    table[table["member"] != 3].to_csv(place / "metrics.csv", index=False)
    page = Page.read(jaxrl.report(place, episodes=0))
    assert "The front comes when every member has been evaluated." in page.text and not page.soup.select(".explorer")
    lost = Page.read(weighted / "report.html").explorer["order"][0]
    table.loc[table["member"] == lost, ["return_treasure", "return_time"]] = np.nan
    table.to_csv(place / "metrics.csv", index=False)
    assert lost not in Page.read(jaxrl.report(place, episodes=0)).explorer["order"]
    table.loc[:, ["return_treasure", "return_time"]] = np.nan
    table.to_csv(place / "metrics.csv", index=False)
    page = Page.read(jaxrl.report(place, episodes=0))
    assert "The front is empty" in page.text and not page.soup.select(".explorer")


@pytest.mark.slow  # A sweep of its own; the one over preference weights is the quick test.
def test_a_sweep_without_preference_weights_has_no_front(tmp_path):
    configuration = Configuration("sweep", "ppo", "mo/deep-sea-treasure", settings=short.SETTINGS, seeds=(0, 1))
    experiment.run(configuration, tmp_path / "run", QUIET)
    assert "Pareto front" not in Page.read(jaxrl.report(tmp_path / "run", episodes=0)).titles
