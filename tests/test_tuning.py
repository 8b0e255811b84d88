"""Successive halving keeps the better settings, goes on from where they were, and is judged on held-out seeds."""

import numpy as np
import pytest

import jaxrl
from jaxrl.sweeps import tuning
from tests import environments as probes

pytestmark = pytest.mark.quick_compilation

SMALL = {"num_envs": 4, "num_steps": 4, "num_minibatches": 1, "num_epochs": 1, "evaluation_episodes": 2}


@pytest.fixture(scope="module")
def found():
    # A learning rate of zero learns nothing; the default is one of the settings.
    environment = probes.choice([[0.0], [1.0]])
    trainer = jaxrl.trainer("ppo", environment, total_steps=6_400, learning_rate=0.0, num_evaluations=8, **SMALL)
    space = {"learning_rate": jaxrl.LogUniform(1e-8, 3e-1)}
    return jaxrl.tune(trainer, space, samples=5, seeds=2, rungs=2, held_out_seeds=3, say=lambda _: None)


def test_half_of_the_settings_go_on_after_each_rung_and_the_best_wins(found):
    first, second = (found.trials[found.trials["rung"] == rung] for rung in (0, 1))
    assert (len(first), len(second)) == (6, 3)
    assert set(second["setting"]) == set(first[first["kept"]]["setting"])
    assert first[first["kept"]]["score"].min() >= first[~first["kept"]]["score"].max()
    winner = second[second["kept"]].iloc[0]
    assert winner["learning_rate"] == found.best["learning_rate"]


def test_the_winner_beats_the_default_on_seeds_that_the_search_never_saw(found):
    assert list(found.held_out["seed"]) == [2, 3, 4]
    assert found.best["learning_rate"] > 1e-4
    assert found.held_out["tuned"].mean() > found.held_out["default"].mean()


@pytest.mark.slow
def test_a_surviving_setting_ends_as_if_it_had_run_alone():
    environment = probes.choice([[0.0], [1.0]])
    trainer = jaxrl.trainer("ppo", environment, total_steps=3_200, num_evaluations=4, **SMALL)
    space = {"learning_rate": jaxrl.Uniform(0.01, 0.02)}
    tuned = jaxrl.tune(trainer, space, samples=1, seeds=2, rungs=2, held_out_seeds=1, say=lambda _: None)
    last = tuned.trials[tuned.trials["rung"] == 1].iloc[0]
    alone = jaxrl.sweep(
        trainer,
        seeds=2,
        hyperparameters={"learning_rate": [float(last["learning_rate"])]},
        options=jaxrl.RunOptions(progress=False),
    )
    np.testing.assert_allclose(last["score"], alone.final_returns().mean(), rtol=1e-6)


@pytest.mark.parametrize(("settings", "rungs"), [({}, 3), ({"num_evaluations": 2}, 2), ({"num_evaluations": 1}, 1)])
def test_the_number_of_rungs_gives_way_to_a_run_that_is_too_short_for_them(settings, rungs, monkeypatch):
    trainer = jaxrl.trainer("ppo", probes.choice([[0.0], [1.0]]), total_steps=3_200, **{**SMALL, **settings})
    spans = []

    def run(_, settings, seeds, state, start, end, score):
        spans.append((start, end))
        return (), np.zeros(len(settings))

    monkeypatch.setattr(tuning, "_run_rung", run)
    monkeypatch.setattr(tuning, "_final", lambda *_: np.zeros(1))
    space = {"learning_rate": jaxrl.Uniform(0.0, 1.0)}
    jaxrl.tune(trainer, space, samples=1, seeds=1, held_out_seeds=1, say=lambda _: None)
    assert len(spans) == rungs and spans[0][0] == 0 and spans[-1][1] == trainer.num_iterations


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": {"learning_rat": jaxrl.Uniform(0.0, 1.0)}}, "Did you mean 'learning_rate'"),
        ({"keep": 1.0}, r"keep must lie in \(0, 1\)"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"rungs": 1000}, "rungs=1000 is more than"),
        ({"rungs": 11}, "rungs=11: a rung ends before its first evaluation"),
        ({"space": {}}, "needs a range of at least one"),
        ({"space": {"num_envs": jaxrl.Integer(1, 4)}}, "'num_envs' is static: sweep it instead"),
        ({"space": {"weights": jaxrl.Uniform(0.0, 1.0)}}, r"'weights' has shape \(1,\)"),
        ({"space": {"discount": jaxrl.Uniform(0.5, 2.0)}}, "'discount' must lie in"),
        ({"samples": 10**20}, "samples must be at most"),
        ({"measure": "hypervolume"}, "scored by its return"),
        ({"design": "grid"}, "unknown design"),
    ],
)
def test_bad_searches_are_refused(arguments, message):
    trainer = jaxrl.trainer("ppo", probes.choice([[0.0], [1.0]]), total_steps=3_200, **SMALL)
    arguments = {"space": {"learning_rate": jaxrl.Uniform(0.0, 1.0)}, **arguments}
    with pytest.raises(ValueError, match=message):
        jaxrl.tune(trainer, arguments.pop("space"), **arguments)
