"""A kind of run that jaxrl does not know: regret over rounds of a bandit, without environment, agent or policy."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl.cli import main
from jaxrl.errors import CheckpointError
from jaxrl.hyperparameters import split_settings
from jaxrl.runs import experiment
from jaxrl.runs.comparison import compare
from jaxrl.runs.kinds import KINDS
from jaxrl.runs.report import describe
from jaxrl.runs.saved import evaluate

pytestmark = pytest.mark.quick_compilation


@dataclass(frozen=True, kw_only=True)
class RegretConfig:
    """Static settings."""

    rule: str = "ucb"
    """ucb (optimism) or greedy (after one pull of every arm)."""
    num_arms: int = 3
    """Arms, whose means are drawn anew in every run."""
    num_rounds: int = 40
    """Rounds of a run."""
    num_evaluations: int = 4
    """Moments at which the regret so far is reported."""


class RegretHyperparameters(NamedTuple):
    """What is traced.

    Attributes:
        exploration: c of the bound, at least 0.
        noise: standard deviation of rewards.
    """

    exploration: float = 1.0
    noise: float = 0.5


class RegretState(NamedTuple):
    means: jax.Array
    counts: jax.Array
    sums: jax.Array
    regret: jax.Array
    key: jax.Array


class Regret(NamedTuple):
    average: jax.Array
    pulls: jax.Array


@jaxrl.complete_program
class RegretProgram(NamedTuple):
    init: object
    step: object
    hyperparameters: RegretHyperparameters
    config: RegretConfig
    rebuild: object
    num_iterations: int

    curves = ("average",)
    score = "gain"

    def columns(self, evaluation):
        pulls = {f"pulls_{i}": evaluation.pulls[:, i] for i in range(self.config.num_arms)}
        return {"average": evaluation.average, "gain": -evaluation.average, **pulls}

    def learned(self, state):
        return state.sums / jnp.maximum(state.counts, 1.0)


def regret(rule: str = "ucb", **settings) -> RegretProgram:
    config, defaults = split_settings({"rule": rule, **settings}, RegretConfig, RegretHyperparameters())
    if config.rule not in ("ucb", "greedy"):
        raise ValueError(f"rule must be ucb or greedy, got {config.rule!r}")

    def init(key, hyperparameters):
        own, key = jax.random.split(key)
        zeros = jnp.zeros(config.num_arms)
        return RegretState(jax.random.uniform(own, (config.num_arms,)), zeros, zeros, jnp.zeros(()), key)

    def step(state, hyperparameters, index):
        counts = jnp.maximum(state.counts, 1.0)
        bonus = hyperparameters.exploration * jnp.sqrt(jnp.log(index + 1.0) / counts) * (config.rule == "ucb")
        arm = jnp.argmax(jnp.where(state.counts == 0, jnp.inf, state.sums / counts + bonus))
        noise = hyperparameters.noise * jax.random.normal(jax.random.fold_in(state.key, index))
        pulled = jax.nn.one_hot(arm, config.num_arms)
        gap = state.means.max() - state.means[arm]
        state = state._replace(
            counts=state.counts + pulled,
            sums=state.sums + pulled * (state.means[arm] + noise),
            regret=state.regret + gap,
        )
        return state, ({"gap": gap}, Regret(state.regret / (index + 1.0), state.counts))

    rebuild = lambda **changes: regret(**{"rule": rule, **settings, **changes})  # noqa: E731
    return RegretProgram(init, step, defaults, config, rebuild, config.num_rounds)


KIND = jaxrl.Kind(
    "regret",
    "regret of a rule over the rounds of a bandit",
    lambda configuration: regret(configuration.agent, **configuration.settings),
    names=("ucb", "greedy"),
    settings=lambda name: (RegretConfig(rule=name), RegretHyperparameters()),
    takes_environment=False,
)


@pytest.fixture(scope="module", autouse=True)
def registered():
    """Known to this module's tests alone."""
    jaxrl.register_kind(KIND)
    yield
    del KINDS._entries["regret"]


SWEPT = ["--sweep", "exploration=0.1,1.0", "--sweep", "noise=0.1,0.5", "--seeds", "3", "--progress", "False"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    place = tmp_path_factory.mktemp("own") / "run"
    assert main(["regret", "ucb", *SWEPT, "--num-arms", "4", "--out", str(place)]) == 0
    return place


def test_it_sweeps_over_seeds_and_two_leaves_from_the_shell(directory):
    table = pandas.read_csv(directory / "metrics.csv")
    assert len(table) == 3 * 2 * 2 * 4 and set(table["steps"]) == {10, 20, 30, 40}
    assert {"average", "gain", "pulls_3", "exploration", "noise"} <= set(table.columns)
    np.testing.assert_allclose(table.filter(like="pulls_").sum(axis=1), table["steps"])
    for (noise, exploration), rows in table.groupby(["noise", "exploration"]):
        values = RegretHyperparameters(jnp.float32(exploration), jnp.float32(noise))
        alone = jax.jit(regret(num_arms=4).run)(jax.random.key(1), values)
        np.testing.assert_allclose(rows[rows["seed"] == 1]["average"], alone.evaluation.average, rtol=1e-5)
    assert {path.name for path in (directory / "figures").iterdir()} == {"curve_average.png", "heatmap.png"}
    record = json.loads((directory / "configuration.json").read_text())["configuration"]
    assert (record["kind"], record["agent"], record["settings"]) == ("regret", "ucb", {"num_arms": 4})


def test_it_is_resumed_drawn_again_and_says_what_it_learned(directory, capsys):
    before = (directory / "metrics.csv").read_bytes()
    (directory / "figures" / "curve_average.png").unlink()
    assert main(["plot", str(directory)]) == 0 and "curve_average.png" in capsys.readouterr().out
    assert main(["resume", str(directory)]) == 0
    shown = capsys.readouterr().out
    assert "exploration=0.1, noise=0.5" in shown and "average" in shown
    assert (directory / "metrics.csv").read_bytes() == before
    assert jaxrl.load_sweep(directory).learned(11).shape == (4,)


def test_it_has_no_policy_and_says_so_in_one_sentence(directory, capsys):
    for arguments in (["evaluate", str(directory)], ["policy", str(directory), "--point", "0"]):
        assert main(arguments) == 2
        assert "hold no policy" in capsys.readouterr().err
    with pytest.raises(ValueError, match="hold no policy"):
        jaxrl.load(directory, member=0)
    with pytest.raises(ValueError, match="hold no policy"):
        evaluate(directory)
    with pytest.raises(ValueError, match="no objectives that weights could weigh"):
        jaxrl.sweep(regret(), weights=3)


def test_it_is_listed_and_its_settings_are_options(capsys):
    assert main(["list", "kinds"]) == 0
    assert "regret of a rule" in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert "regret" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["regret", "greedy", "--help"])
    text = capsys.readouterr().out
    assert "--num-arms" in text and "--exploration" in text and "--seeds" in text and "ENVIRONMENT" not in text
    assert main(["regret", "thomson"]) == 2
    assert "unknown" in capsys.readouterr().err


WORKER = """
import sys
from jaxrl.sweeps import running
import jaxrl
from tests.test_own_kind import KIND
from jaxrl.cli import main

jaxrl.register_kind(KIND)

save = running.Checkpoints.save
saved = []

def stop_after_two(self, *arguments):
    save(self, *arguments)
    saved.append(1)
    if len(saved) == 2:
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)

running.Checkpoints.save = stop_after_two
main([*sys.argv[1:], "--checkpoint-seconds", "0"])
"""


def test_a_killed_run_ends_with_the_same_bits(directory, own_devices, tmp_path):
    place = tmp_path / "killed"
    command = ["regret", "ucb", *SWEPT, "--num-arms", "4", "--out", str(place)]
    root = str(Path(__file__).parents[1])
    environment = {**own_devices, "PYTHONPATH": root, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    environment["XLA_FLAGS"] = os.environ["XLA_FLAGS"]
    killed = subprocess.run([sys.executable, "-c", WORKER, *command], env=environment, cwd=root, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    assert main(["resume", str(place)]) == 0
    assert (place / "metrics.csv").read_bytes() == (directory / "metrics.csv").read_bytes()
    whole, resumed = (jaxrl.load_sweep(path).groups[0].result for path in (directory, place))
    for one, two in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, two = jax.random.key_data(one), jax.random.key_data(two)
        np.testing.assert_array_equal(one, two)


def test_it_is_tuned_by_its_score():
    space = {"exploration": jaxrl.Uniform(0.0, 2.0)}
    tuned = jaxrl.tune(regret(), space, samples=2, seeds=2, rungs=2, held_out_seeds=2, say=lambda _: None)
    assert set(tuned.best) == {"exploration"} and (tuned.trials["score"] <= 0.0).all()
    with pytest.raises(ValueError, match="scored by its average"):
        jaxrl.tune(regret(), space, measure="hypervolume", say=lambda _: None)


def test_its_rules_are_compared(tmp_path):
    settings = {"ucb.exploration": 0.5, "num_rounds": 20}
    table = compare(("ucb", "greedy"), ("",), tmp_path, 3, settings, options=jaxrl.RunOptions(progress=False))
    assert list(table["algorithm"]) == ["ucb", "greedy"]
    assert {"average", "average_low", "average_high"} <= set(table.columns)
    assert {"profiles.png", "improvement.png"} <= {path.name for path in (tmp_path / "figures").iterdir()}
    record = json.loads((tmp_path / "ucb" / "configuration.json").read_text())["configuration"]
    assert record["settings"] == {"num_rounds": 20, "exploration": 0.5}


def test_one_seed_and_static_settings(tmp_path):
    swept = {"num_arms": [2, 3], "noise": [0.0]}
    configuration = experiment.Configuration("regret", "ucb", "", hyperparameters=swept)
    outcome = experiment.run(configuration, tmp_path / "run", jaxrl.RunOptions(progress=False))
    assert outcome.sweep.num_members == 2 and "num_arms=3" in describe(outcome)


def test_a_run_of_a_kind_that_nobody_registered_is_refused(tmp_path, monkeypatch):
    place = tmp_path / "run"
    experiment.run(experiment.Configuration("regret", "ucb", ""), place, jaxrl.RunOptions(progress=False))
    monkeypatch.delitem(KINDS._entries, "regret")
    with pytest.raises(CheckpointError, match="a run of the kind 'regret', which nothing has registered"):
        jaxrl.load(place)


def test_what_is_no_program_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(KINDS._entries, "broken", KIND._replace(name="broken", build=lambda _: "nothing"))
    with pytest.raises(ValueError, match="a program needs init, step"):
        experiment.run(experiment.Configuration("broken", "ucb", ""), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_names_of_kinds_are_taken_once():
    with pytest.raises(ValueError, match="'regret' is already registered"):
        jaxrl.register_kind(KIND._replace(description="another"))
