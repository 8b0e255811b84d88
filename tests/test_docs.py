"""The documentation says what is measured, what is registered, and code that runs."""

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import jaxrl
from jaxrl.moved import MODULES
from jaxrl.objectives.surrogate import SURROGATES

pytestmark = pytest.mark.quick_compilation

DOCS = Path(__file__).parents[1] / "docs"
SNIPPET = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def write_pages():
    spec = importlib.util.spec_from_file_location("write_pages", DOCS / "write_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_of_results_have_the_numbers_of_results(write_pages):
    pages = write_pages.results()
    written = {path.name for path in (DOCS / "results").glob("*.md")}
    assert {path.name for path in pages} == {*written, "tutorial.md"}
    for path, text in pages.items():
        assert path.read_text() == text, f"{path.name} is not what results/ says: run python docs/write_pages.py"


def test_the_readme_has_the_numbers_of_results(write_pages):
    assert (DOCS.parent / "README.md").read_text() == write_pages.readme(), "run python docs/write_pages.py"


def test_the_catalogue_is_what_is_registered():
    # In a process of its own: here other tests may have registered names of theirs. That listings hold what registries
    # do is a test of imports.
    words = [sys.executable, "-m", "jaxrl", "list", "--markdown"]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert (DOCS / "catalogue.md").read_text() == printed, "run python docs/write_pages.py"


def test_a_changed_number_is_a_changed_page(write_pages, monkeypatch):
    def changed(path):
        found = write_pages.json.loads((write_pages.RESULTS / path).read_text())
        if path == "learning/summary.json":
            found["acrobot"]["variants"]["ppo"]["final_return_iqm"] = -123.4
        return found

    monkeypatch.setattr(write_pages, "read_json", changed)
    pages = {path.name: text for path, text in write_pages.results().items()}
    assert "−123.4" in pages["learning.md"]
    assert "−123.4" not in (DOCS / "results" / "learning.md").read_text()


@pytest.mark.parametrize(
    "written, shown",
    [
        (("number", -0.04, 1), "0.0"),
        (("number", -80.52, 1), "−80.5"),
        (("number", 101480.0, 0), "101,480"),
        (("significant", 4658400.0, 3), "4.66e6"),
        (("significant", 0.109404, 3), "0.109"),
        (("significant", 8.6, 2), "8.6"),
        (("thousands", 274424.4), "274k"),
        (("thousands", 1_500_000), "1.5M"),
        (("listed", (0.85, 0.89, 0.962), 2), "0.85, 0.89 and 0.96"),
        (("interval", (-0.15, -0.03), 0, 100), "[−15, −3]"),
        (("span", (3, 1, 2), 0), "1 to 3"),
        (("span", (2, 2), 0), "2"),
    ],
)
def test_numbers_are_written_as_people_read_them(write_pages, written, shown):
    name, *arguments = written
    assert getattr(write_pages, name)(*arguments) == shown


def test_the_environment_of_the_how_to_is_one(monkeypatch):
    monkeypatch.setattr("jaxrl.environments.registry._REGISTERED", {})
    snippet, _ = SNIPPET.findall((DOCS / "how_to" / "environment.md").read_text())
    cheap = "total_steps=512, num_envs=4, num_steps=32, num_epochs=1, num_evaluations=1, evaluation_episodes=1"
    for written, replacement in (("total_steps=500_000", cheap), ("weights=8", "weights=2"), ("seeds=2", "seeds=1")):
        assert written in snippet
        snippet = snippet.replace(written, replacement)
    names: dict = {}
    exec(snippet, names)
    assert names["sweep"].num_members == 4
    assert names["front"].points.shape == (4, 2)


def test_the_environment_with_parts_and_a_mask_is_one():
    _, snippet = SNIPPET.findall((DOCS / "how_to" / "environment.md").read_text())
    names: dict = {}
    exec(snippet.replace("check(warehouse)", "check(warehouse, num_steps=5)"), names)
    trainer, warehouse = names["trainer"], names["warehouse"]
    params = jax.eval_shape(trainer.init, jax.random.key(0), trainer.hyperparameters).agent.params
    assert {"Part_0", "Part_1"} < set(params["actor_torso"]) and "Part_2" not in params["actor_torso"]

    def step(key, state, action, params):
        state, timestep = warehouse.step(key, state, action, params)
        empty = jax.numpy.zeros(5, bool)
        return state, timestep._replace(observation={**timestep.observation, "legal": empty})

    with pytest.raises(jaxrl.environments.EnvironmentContractError, match="from step has no legal action"):
        jaxrl.environments.check(warehouse._replace(step=step), num_steps=5)


def _stands(name: str) -> bool:
    """Whether a dotted name is a module, or is found in one, under its present path."""
    module, _, attribute = name.rpartition(".")
    if module and hasattr(importlib.import_module(module), attribute):
        return True
    return name not in MODULES and importlib.util.find_spec(name) is not None


def test_names_in_prose_stand_where_they_are_said_to():
    pages = [DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md", *DOCS.glob("*.md"), *DOCS.glob("*/*.md")]
    text = "\n".join(page.read_text() for page in pages if page.parent.name not in ("reference", "notebooks"))
    names = set(re.findall(r"[`<](jaxrl(?:\.\w+)+)[`>(]", text))
    assert len(names) > 20
    assert [name for name in sorted(names) if not _stands(name)] == []


@pytest.mark.parametrize(
    ("page", "agent", "settings"),
    [
        ("network", "ppo", {"network": "residual"}),
        ("network", "ppo", {"network": "clock"}),
        ("objective", "ppo", {"surrogate": "closing_clip", "first_epsilon": 0.5}),
    ],
)
def test_what_how_to_pages_register_trains(monkeypatch, page, agent, settings):
    from jaxrl.networks import NETWORKS

    for registry in (NETWORKS, SURROGATES):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
        monkeypatch.setattr(registry, "_modules", dict(registry._modules))
    for snippet in SNIPPET.findall((DOCS / "how_to" / f"{page}.md").read_text()):
        if "@jaxrl.register" in snippet:
            exec(snippet, {"__name__": "__main__"})
    trainer = jaxrl.trainer(agent, "bandit/bernoulli", **settings, num_envs=4, num_steps=8, total_steps=32)
    metrics = jax.eval_shape(trainer.run, jax.random.key(0), trainer.hyperparameters).metrics
    assert metrics["policy_loss"].shape == (1,)


def test_the_how_to_page_shows_the_agent_that_is_tested():
    text = (DOCS / "how_to" / "agent.md").read_text()
    assert "literalinclude} ../../tests/my_dqn.py" in text
