"""`jaxrl export --format onnx`: what onnxruntime gives is what the policy gives, on 1,000 observations."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxrl
from jaxrl.exporting.interface import LAWS
from jaxrl.exporting.verification import draw_observations
from tests.exported import POLICIES, untrained

# The extra `onnx` takes 280 MB, of which nothing else here needs any.
pytestmark = [pytest.mark.slow, pytest.mark.quick_compilation]
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("jax2onnx")

PAGE = Path(__file__).parents[1] / "docs" / "how_to" / "policy.md"


def session_of(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run(session, **inputs):
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


@pytest.mark.parametrize("name", POLICIES)
def test_a_model_gives_what_the_policy_gives(name, tmp_path):
    policy = untrained(name)
    found = jaxrl.export(policy, tmp_path / "policy.onnx")
    session = session_of(tmp_path / "policy.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["jaxrl"]) == json.loads(json.dumps(found))
    memory, size = policy.initial_memory((250,)), 250
    for step in range(4):
        seen = draw_observations(policy.agent.spec.observation, size, seed=step)
        inputs = {"observation": seen, **({"memory": np.asarray(memory)} if name == "recurrent" else {})}
        given = run(session, **inputs)
        action, memory = policy.act(jax.random.key(0), seen, memory)
        assert given["action"].dtype == action.dtype
        np.testing.assert_allclose(given["action"], action, atol=2e-6)
        if name == "recurrent":
            np.testing.assert_allclose(given["next_memory"], memory, atol=2e-6)
    assert run(session, **{key: value[:1] for key, value in inputs.items()})["action"].shape == action[:1].shape


@pytest.mark.parametrize(("name", "law"), [("discrete", "uniform on [0, 1)"), ("continuous", "standard normal")])
def test_a_sampled_model_takes_noise(name, law, tmp_path):
    policy = untrained(name, explore=True)
    found = jaxrl.export(policy, tmp_path / "policy.onnx")
    assert found["random"] == {"input": "noise", "law": law}
    seen, key = draw_observations(policy.agent.spec.observation, 100), jax.random.key(4)
    noise = np.asarray(LAWS[law](key, (100, *found["inputs"]["noise"]["shape"][1:])))
    given = run(session_of(tmp_path / "policy.onnx"), observation=seen, noise=noise)["action"]
    np.testing.assert_allclose(given, policy.act(key, seen, ())[0], atol=2e-6)
    assert (given != run(session_of(tmp_path / "policy.onnx"), observation=seen, noise=noise[::-1])["action"]).any()


@pytest.mark.parametrize("name", ["conditioned", "generated"])
def test_preferences_are_an_input(name, tmp_path):
    policy = untrained(name)
    jaxrl.export(policy, tmp_path / "policy.onnx", weights_input=True)
    seen = draw_observations(policy.agent.spec.observation, 40)
    weights = np.random.default_rng(0).dirichlet(np.ones(3), 40).astype(np.float32)
    given = run(session_of(tmp_path / "policy.onnx"), observation=seen, weights=weights)["action"]
    own = [
        policy.with_weights(w.tolist()).act(jax.random.key(0), seen[i : i + 1], ())[0][0] for i, w in enumerate(weights)
    ]
    np.testing.assert_array_equal(given, own)


def test_what_the_converter_lacks_is_one_sentence(tmp_path):
    policy = untrained("discrete")

    def unusual(key, state, observation, memory, hyperparameters, explore=False):
        shape = jax.ShapeDtypeStruct(observation.shape[:-1], np.int32)
        return jax.pure_callback(lambda seen: np.zeros(len(seen), np.int32), shape, observation), memory

    policy = jaxrl.Policy(policy.agent._replace(act=unusual), policy.state, policy.hyperparameters)
    with pytest.raises(ValueError, match=r"cannot be written as ONNX, other than by --format jax-export \(\w+: "):
        jaxrl.export(policy, tmp_path / "policy.onnx")
    assert not list(tmp_path.iterdir())


def test_onnxruntime_alone_runs_what_the_page_shows(tmp_path):
    jaxrl.export(untrained("discrete"), tmp_path / "policy.onnx")
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (snippet,) = (text for text in snippets if "onnxruntime" in text)
    code = f"import sys\nsys.modules['jaxrl'] = sys.modules['jax'] = None\n{snippet}\nprint(action.shape)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "(1,)\n", done.stderr
