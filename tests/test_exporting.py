"""`jaxrl export`: policies that JAX alone runs, checked against the policy before there is a file."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxrl
from jaxrl.cli import main
from jaxrl.environments.spaces import Box, MultiDiscrete
from jaxrl.exporting import jax_export
from jaxrl.exporting.description import plain
from jaxrl.exporting.verification import draw_observations
from jaxrl.runs import experiment
from jaxrl.runs.configuration import Configuration
from tests import short
from tests.exported import untrained

pytestmark = [pytest.mark.quick_compilation, pytest.mark.usefixtures("built_once")]

QUIET = jaxrl.RunOptions(progress=False)
PAGE = Path(__file__).parents[1] / "docs" / "how_to" / "policy.md"


def load(path):
    """As the page says."""
    with zipfile.ZipFile(path) as file:
        return jax.export.deserialize(bytearray(file.read("policy.stablehlo"))), json.loads(
            file.read("description.json")
        )


@pytest.mark.parametrize(
    "name", [pytest.param("image", marks=pytest.mark.slow), "discrete", "continuous", "recurrent", "table"]
)
def test_a_file_gives_what_the_policy_gives(name, tmp_path):
    policy = untrained(name)
    jaxrl.export(policy, tmp_path / "policy.zip")
    exported, description = load(tmp_path / "policy.zip")
    assert exported.platforms == ("cpu", "cuda", "tpu")
    for count in (1, 9):
        seen = draw_observations(policy.agent.spec.observation, count, seed=count)
        memory = policy.initial_memory((count,))
        inputs = {"observation": seen, **({"memory": memory} if name == "recurrent" else {})}
        for _ in range(2):
            found = exported.call(**inputs)
            action, memory = policy.act(jax.random.key(0), seen, memory)
            np.testing.assert_allclose(found["action"], action, atol=1e-6)
            if name == "recurrent":
                np.testing.assert_allclose(found["next_memory"], memory, atol=1e-6)
                inputs["memory"] = found["next_memory"]
    choices = np.asarray(
        policy.act(
            jax.random.key(0), draw_observations(policy.agent.spec.observation, 64), policy.initial_memory((64,))
        )[0]
    )
    assert len(np.unique(choices)) > 1
    assert description["inputs"]["observation"]["shape"] == ["batch", *policy.agent.spec.observation.shape]
    assert description["memory"] == (
        {"memory": {"next": "next_memory", "initial": [0.0] * 6}} if name == "recurrent" else {}
    )
    assert description["random"] is None and description["jaxrl"] == jaxrl.__version__
    assert description["agreement"]["observations"] == 1000


def test_a_description_says_what_spaces_and_preferences_are(tmp_path):
    found = jaxrl.export(untrained("continuous"), tmp_path / "policy.zip")
    assert load(tmp_path / "policy.zip")[1] == json.loads(json.dumps(found))
    assert found["action"] == {"type": "Box", "low": -2.0, "high": 2.0, "shape": [1], "dtype": "float32"}
    assert plain(MultiDiscrete((3, 2))) == {
        "type": "MultiDiscrete", "sizes": [3, 2], "dtype": "int32", "shape": [2],
    }  # fmt: skip
    assert plain(Box((-np.inf, 0.0), np.inf, (2,)))["low"] == [None, 0.0]
    found = jaxrl.export(untrained("table"), tmp_path / "policy.zip")
    assert found["objectives"] == ["treasure", "time"] and found["weights"] == [0.5, 0.5]


@pytest.mark.parametrize("name", ["discrete", pytest.param("continuous", marks=pytest.mark.slow)])
def test_a_sampled_policy_takes_a_key(name, tmp_path):
    policy = untrained(name, explore=True)
    jaxrl.export(policy, tmp_path / "policy.zip")
    exported, description = load(tmp_path / "policy.zip")
    assert description["random"] == {"input": "key"} and description["inputs"]["key"] == {
        "shape": [2],
        "dtype": "uint32",
    }
    seen = np.tile(draw_observations(policy.agent.spec.observation, 1), (50, 1))
    drawn = []
    for key in map(jax.random.key, range(2)):
        drawn.append(np.asarray(exported.call(observation=seen, key=jax.random.key_data(key))["action"]))
        np.testing.assert_allclose(drawn[-1], policy.act(key, seen, ())[0], atol=1e-6)
    assert (drawn[0] != drawn[1]).any() and len(np.unique(drawn[0])) > 1
    # The most likely action takes no key.
    assert "key" not in jaxrl.export(policy, tmp_path / "policy.zip", explore=False)["inputs"]


@pytest.mark.parametrize("name", ["conditioned", pytest.param("generated", marks=pytest.mark.slow)])
def test_preferences_are_an_input_or_built_in(name, tmp_path):
    policy = untrained(name)
    found = jaxrl.export(policy, tmp_path / "open.zip", weights_input=True)
    assert found["weights"] is None and found["inputs"]["weights"]["shape"] == ["batch", 3]
    exported, _ = load(tmp_path / "open.zip")
    seen = draw_observations(policy.agent.spec.observation, 40)
    weights = np.random.default_rng(0).dirichlet(np.ones(3), 40).astype(np.float32)
    actions = np.asarray(exported.call(observation=seen, weights=weights)["action"])
    own = [
        policy.with_weights(w.tolist()).act(jax.random.key(0), seen[i : i + 1], ())[0][0] for i, w in enumerate(weights)
    ]
    np.testing.assert_array_equal(actions, own)
    assert (actions != np.asarray(policy.act(jax.random.key(0), seen, ())[0])).any()
    found = jaxrl.export(policy, tmp_path / "fixed.zip", weights=[0.7, 0.2, 0.1])
    np.testing.assert_allclose(found["weights"], [0.7, 0.2, 0.1], atol=1e-6)
    fixed = load(tmp_path / "fixed.zip")[0].call(observation=seen)["action"]
    np.testing.assert_array_equal(fixed, policy.with_weights([0.7, 0.2, 0.1]).act(jax.random.key(0), seen, ())[0])


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        (
            "discrete",
            lambda action: (action + 1) % 2,
            r"100\.0% of the exported policy's actions are others than jaxrl's",
        ),
        ("continuous", lambda action: action + 1e-2, r"the exported policy's action is 0\.01 away from jaxrl's"),
        ("continuous", lambda action: action[:, 0], r"action is float32\[1000\], jaxrl's float32\[1000, 1\]"),
        ("continuous", lambda action: action * np.nan, "action is nan away from jaxrl's"),
    ],
)
def test_what_acts_otherwise_is_not_written(name, change, sentence, tmp_path, monkeypatch):
    path = tmp_path / "policy.zip"
    path.write_text("what was there")
    call = jax_export.StableHLO.__call__

    def changed(self, inputs):
        found = call(self, inputs)
        return {**found, "action": change(found["action"])}

    monkeypatch.setattr(jax_export.StableHLO, "__call__", changed)
    with pytest.raises(ValueError, match=sentence):
        jaxrl.export(untrained(name), path)
    assert path.read_text() == "what was there" and list(tmp_path.iterdir()) == [path]


def test_a_policy_that_is_not_finite_is_not_written(tmp_path):
    policy = untrained("continuous")
    broken = jax.tree.map(lambda leaf: leaf * np.nan, policy.state.params)
    policy = jaxrl.Policy(policy.agent, policy.state._replace(params=broken), policy.hyperparameters)
    with pytest.raises(ValueError, match="the policy's own action is not finite"):
        jaxrl.export(policy, tmp_path / "policy.zip")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("exported") / "sweep"
    rates = {"learning_rate": [1e-3, 1e-1]}
    configuration = Configuration("sweep", "ppo", "gymnax/CartPole-v1", settings=short.SETTINGS, hyperparameters=rates)
    experiment.run(configuration, place, QUIET)
    return place


def test_the_shell_writes_a_member_and_says_what_it_takes(run, tmp_path, capsys):
    assert main(["export", str(run), "--member", "1", "--out", str(tmp_path / "deep" / "policy.zip")]) == 0
    printed = capsys.readouterr().out
    assert "input   observation  float32 [batch, 4]" in printed and "output  action       int32 [batch]" in printed
    assert "on 1,000 observations, beside the policy itself: action in 100.0% the same" in printed
    exported, description = load(tmp_path / "deep" / "policy.zip")
    assert description["source"] == {"run": "sweep", "agent": "ppo", "policy": 1, "which": "last"}
    policy = jaxrl.load(run, member=1)
    seen = draw_observations(policy.agent.spec.observation, 100)
    np.testing.assert_array_equal(exported.call(observation=seen)["action"], policy(jax.random.key(0), seen))
    assert main(["export", str(run)]) == 0 and (run / "policy.zip").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--member", "2"], "member 2 does not exist"),
        (["--weights", "1.0"], "holds no front to choose from by preference"),
        (["--weights-input"], "only policies that are conditioned on weights take them as an input"),
        (["--weights-input", "--weights", "1.0"], "either an input or chosen, not both"),
        (["--which", "best"], "best"),
        (["--out", "."], ". is a folder: a policy is written to a file, such as policy.zip"),
        (["--format", "onxn"], "--format takes one of jax-export, onnx, got 'onxn'"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(run, words, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run), *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_what_chooses_from_a_run_chooses_nothing_from_a_policy(tmp_path):
    for choice in ({"member": 1}, {"which": "best"}, {"at_least": {"x": 1.0}}):
        with pytest.raises(ValueError, match="choose from a run, and a policy is one already"):
            jaxrl.export(untrained("discrete"), tmp_path / "policy.zip", **choice)


def test_onnx_without_its_extra_says_which(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxrl\[onnx\]'"):
        jaxrl.export(untrained("discrete"), tmp_path / "policy.onnx")
    assert not list(tmp_path.iterdir())


def test_a_policy_of_a_key_of_its_own_is_no_onnx_model(tmp_path):
    policy = untrained("discrete")
    agent = policy.agent._replace(noise=lambda key, shape: jax.random.split(key, shape[0]))
    with pytest.raises(ValueError, match="draws random numbers in a way of its own, which takes a key: use"):
        jaxrl.export(jaxrl.Policy(agent, policy.state, policy.hyperparameters, explore=True), tmp_path / "policy.onnx")

    def restless(key, state, observation, memory, hyperparameters, explore=False):
        return jax.random.randint(key, observation.shape[:-1], 0, 2), memory

    policy = jaxrl.Policy(agent._replace(act=restless), policy.state, policy.hyperparameters)
    with pytest.raises(ValueError, match="which takes a key: use --format jax-export"):
        jaxrl.export(policy, tmp_path / "policy.onnx")
    # Where it takes the most likely action, too.
    assert jaxrl.export(policy, tmp_path / "policy.zip")["random"] == {"input": "key"}


def test_a_policy_that_calls_python_is_refused_in_a_sentence(tmp_path):
    def calling(key, state, observation, memory, hyperparameters, explore=False):
        shape = jax.ShapeDtypeStruct(observation.shape[:-1], np.int32)
        return jax.pure_callback(lambda seen: np.zeros(len(seen), np.int32), shape, observation), memory

    policy = untrained("discrete")
    policy = jaxrl.Policy(policy.agent._replace(act=calling), policy.state, policy.hyperparameters)
    with pytest.raises(ValueError, match=r"cannot be written by jax.export \(NotImplementedError: "):
        jaxrl.export(policy, tmp_path / "policy.zip")


def test_jax_alone_runs_what_the_page_shows(tmp_path):
    """The page's lines in a process where there is no jaxrl."""
    jaxrl.export(untrained("discrete"), tmp_path / "policy.zip")
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (snippet,) = (text for text in snippets if "zipfile" in text)
    assert len([line for line in snippet.splitlines() if line and not line.startswith(("import", "from"))]) <= 5
    code = f"import sys\nsys.modules['jaxrl'] = sys.modules['flax'] = None\n{snippet}\nprint(action.shape)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "(1,)\n", done.stderr
