"""Modules of users: imported by name, recorded with a run, imported again before it is read."""

import json
import sys
from importlib import metadata

import flax.linen as nn
import jaxtyping
import pytest

import jaxrl
from jaxrl import plugins
from jaxrl.errors import CheckpointError, UnknownNameError
from jaxrl.objectives.surrogate import SURROGATES
from jaxrl.registry import Registry
from jaxrl.runs.configuration import Configuration, claim, read_configuration


@pytest.fixture(autouse=True)
def nothing_imported(monkeypatch):
    """As in a fresh process, whatever other tests were told to import."""
    monkeypatch.setattr(plugins, "_IMPORTED", {})


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of a folder that Python does not know, which registers a loss when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "own_loss.py").write_text(
        "import jaxrl\n"
        "from jaxrl.objectives.surrogate import clip\n"
        "jaxrl.register_objective('own_loss', clip)\n"
    )  # fmt: skip
    yield tmp_path
    sys.modules.pop("own_loss", None)
    SURROGATES._entries.pop("own_loss", None)


def test_a_module_is_found_in_the_current_folder_and_recorded(module):
    plugins.load(["own_loss"])
    assert "own_loss" in SURROGATES and plugins.needed() == ("own_loss",)
    claim(module / "run", Configuration("train", "ppo", "gymnax/CartPole-v1", settings={"surrogate": "own_loss"}))
    SURROGATES._entries.pop("own_loss")
    del sys.modules["own_loss"]
    assert read_configuration(module / "run").imports == ("own_loss",)
    assert "own_loss" in SURROGATES


def test_what_registered_a_name_is_recorded_where_the_name_is_used():
    registry = Registry("colour")
    registry.register("dark_red", 1, "own.colours")
    registry.register("pale_red", 2, "__main__")
    assert plugins.needed({"settings": ["x", "dark_red"]}) == ("own.colours",)
    assert plugins.needed("pale_red", 3, None) == ()


def test_a_run_whose_module_is_gone_says_so(module):
    claim(module / "run", Configuration("train", "ppo", "gymnax/CartPole-v1", imports=("gone_module",)))
    with pytest.raises(CheckpointError, match="needs a module of your own: module 'gone_module' cannot be imported"):
        read_configuration(module / "run")


def test_runs_without_the_record_are_read_as_before(tmp_path):
    claim(tmp_path, Configuration("train", "ppo", "gymnax/CartPole-v1"))
    assert "imports" not in json.loads((tmp_path / "configuration.json").read_text())["configuration"]
    assert read_configuration(tmp_path) == Configuration("train", "ppo", "gymnax/CartPole-v1")
    # Another import changes no numbers.
    claim(tmp_path, Configuration("train", "ppo", "gymnax/CartPole-v1", imports=("json",)))


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("no_such_module", ImportError, "module 'no_such_module' cannot be imported: ModuleNotFoundError"),
        (
            "broken_module",
            ImportError,
            "module 'broken_module' cannot be imported: ZeroDivisionError",
        ),
        ("own/loss.py", ValueError, "the name of a module, such as 'own.loss', got 'own/loss.py'"),
        ("", ValueError, "the name of a module, got ''"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(module, name, error, sentence):
    (module / "broken_module.py").write_text("1 / 0")
    with pytest.raises(error, match=sentence):
        plugins.load([name])


def test_entry_points_are_loaded_when_a_name_is_missing(monkeypatch):
    registry, loaded = Registry("colour", {"red": 1}), []

    class Point:
        name, value = "colours", "own_colours:register"

        def load(self):
            return lambda: (loaded.append(1), registry.register("blue", 2, "own_colours"))

    monkeypatch.setattr(metadata, "entry_points", lambda group: [Point()] if group == "jaxrl.plugins" else [])
    monkeypatch.setattr(plugins, "_INSTALLED", [])
    assert registry["red"] == 1 and loaded == []
    assert registry["blue"] == 2
    with pytest.raises(UnknownNameError):
        registry["green"]
    assert loaded == [1]


def test_a_plugin_that_fails_is_named(monkeypatch):
    class Point:
        name, value = "bad", "bad_package"

        def load(self):
            raise KeyError("missing")

    monkeypatch.setattr(metadata, "entry_points", lambda group: [Point()])
    monkeypatch.setattr(plugins, "_INSTALLED", [])
    with pytest.raises(ImportError, match=r"plugin 'bad' \(bad_package\) fails: KeyError"):
        Registry("colour")["green"]


def test_objects_without_a_name_are_not_recorded(tmp_path):
    settings = {"network": nn.Dense(3)}
    with pytest.raises(ValueError, match="records names, network is a Dense: register it"):
        claim(tmp_path / "run", Configuration("train", "ppo", "gymnax/CartPole-v1", settings=settings))
    assert not (tmp_path / "run").exists()


def test_names_may_be_registered_again_from_where_they_came():
    registry = Registry("colour", {"red": 1})
    registry.register("blue", 1, "notebook")
    registry.register("blue", 2, "notebook")
    assert registry["blue"] == 2
    for name, module in (("blue", "elsewhere"), ("red", "notebook"), ("blue", None)):
        with pytest.raises(ValueError, match="already registered"):
            registry.register(name, 3, module)


@pytest.mark.parametrize("register", [jaxrl.register_agent, jaxrl.register_objective, jaxrl.register_network])
def test_a_decorator_without_a_name_says_so(register, monkeypatch):
    # As users have it, without the checker of types.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=r"an? (agent|surrogate|network) needs a name"):

        @register
        def mine(*_): ...


def test_hyperparameters_of_an_agent_are_a_class_of_settings():
    with pytest.raises(ValueError, match="are a NamedTuple class, got <class 'dict'>"):
        jaxrl.register_agent("mine", hyperparameters=dict)


def test_only_losses_are_registered_as_losses():
    with pytest.raises(ValueError, match="must return a Surrogate or TrajectoryObjective, it returns int"):
        jaxrl.register_objective("three", lambda: 3)
    with pytest.raises(ValueError, match="surrogate 'clip' is already registered"):
        jaxrl.register_objective("clip", SURROGATES["drift"])
