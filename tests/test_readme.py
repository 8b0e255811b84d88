"""The README's snippet is true."""

import ast
import re
from pathlib import Path

import pytest

import jaxrl
from jaxrl.cli import main

pytestmark = pytest.mark.quick_compilation

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_names_of_the_snippet_exist():
    snippet = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    names = {
        node.attr for node in ast.walk(ast.parse(snippet)) if getattr(getattr(node, "value", None), "id", "") == "jaxrl"
    }
    assert names and all(hasattr(jaxrl, name) for name in names)


@pytest.mark.slow  # Every line of it; the first notebook takes the same steps.
def test_the_snippet_runs_as_written_but_for_its_budget(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["--total-steps", "10240", "--num-evaluations", "1", "--progress", "False"]
    assert main(["train", "ppo", "gymnax/CartPole-v1", *small, "--out", "runs/cartpole"]) == 0
    snippet = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    budgets = (("500_000", "10_240"), ("200_000", "10_240"))
    members = ((", 64)", ", 3)"), ("seeds=8", "seeds=1"), ("seeds=4, weights=32", "seeds=2, weights=4"))
    for written, cheap in budgets + members:
        assert written in snippet
        snippet = snippet.replace(written, cheap)
    names: dict = {}
    exec(snippet, names)
    assert names["result"].evaluation.returns.shape == (10, 1)
    assert names["many"].evaluation.returns.shape == (3, 10, 1)
    assert names["sweep"].num_members == 6
    assert names["front"].points.shape == (2 * 4, 2)
    environments = {"policy": names["env"], "saved": names["env"], "chosen": names["treasure"].environment}
    key = names["jax"].random.key(0)
    for name, environment in environments.items():
        _, observation = environment.reset(key, environment.params)
        assert environment.spec.action.contains(names[name](key, observation))
