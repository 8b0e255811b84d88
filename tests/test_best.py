"""`--keep best`: the state of every member's best evaluation, through kills, in sweeps, and as policies."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl.cli import main
from jaxrl.errors import CheckpointError
from jaxrl.runs import experiment, saved
from jaxrl.runs.configuration import Configuration, read_configuration
from jaxrl.sweeps.best import BEST, Best, read_best
from jaxrl.sweeps.checkpoint import Checkpoints
from tests import short, walks

pytestmark = [pytest.mark.quick_compilation, pytest.mark.usefixtures("built_once")]

# A large rate, so that returns go up and down.
SETTINGS = {
    "total_steps": 6 * 64, "num_envs": 4, "num_steps": 16, "num_evaluations": 6, "evaluation_episodes": 3,
    "hidden_sizes": (8,), "learning_rate": 0.05,
}  # fmt: skip
RUN = Configuration("train", "ppo", "gymnax/CartPole-v1", settings=SETTINGS)
SWEEP = Configuration(
    "sweep", "ppo", "gymnax/CartPole-v1", settings=SETTINGS, seeds=(0, 1, 2),
    hyperparameters={"hidden_sizes": [(8,), (4,)]},
)  # fmt: skip
KEEP = jaxrl.RunOptions(progress=False, num_chunks=2, checkpoint_seconds=0.0, keep="best")


def params(state):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state.params)]


def assert_equal(one, two):
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    for seed in range(12):
        place = tmp_path_factory.mktemp("best") / "run"
        experiment.run(replace(RUN, seeds=(seed,)), place, KEEP)
        if 0 < best_of(place) < 5:
            return place
    pytest.fail("no run has its best evaluation between the first and the last")


def best_of(place):
    return int(pandas.read_csv(place / "metrics.csv").dropna(subset="return")["return"].argmax())


def test_the_kept_state_is_that_of_the_best_evaluation(directory):
    table = pandas.read_csv(directory / "metrics.csv")
    evaluated = table.dropna(subset="return").reset_index(drop=True)
    best, seed = best_of(directory), int(table["seed"][0])
    built = experiment.build(RUN)
    # The same run, stopped there.
    state = jax.jit(built.init)(jax.random.key(seed), built.hyperparameters)
    step = jax.jit(built.step)
    for index in range(int(built.evaluation_iterations[best]) + 1):
        state, _ = step(state, built.hyperparameters, jnp.asarray(index))
    kept = saved.load(directory, which="best")
    for ours, theirs in zip(params(kept.state), params(state.agent), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    last = saved.load(directory)
    assert any((a != b).any() for a, b in zip(params(last.state), params(kept.state), strict=True))
    record = Checkpoints(directory / "checkpoints" / BEST).metadata()
    assert record["score"] == [pytest.approx(evaluated["return"][best])]
    assert record["iteration"] == [int(built.evaluation_iterations[best])]


def test_keeping_the_best_changes_no_number(directory, tmp_path):
    experiment.run(read_configuration(directory), tmp_path / "run", jaxrl.RunOptions(progress=False, num_chunks=2))
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == (directory / "metrics.csv").read_bytes()
    with pytest.raises(CheckpointError, match="kept its last state alone: train with --keep best"):
        saved.load(tmp_path / "run", which="best")


def test_a_killed_run_goes_on_keeping_and_ends_with_the_same(directory, tmp_path, monkeypatch):
    class KilledError(Exception):
        pass

    written, configuration = [], read_configuration(directory)

    def save(self, step, *rest, original=Checkpoints.save):
        original(self, step, *rest)
        written.append(self.directory.name)
        if written.count("checkpoints") == 3:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save)
        with pytest.raises(KilledError):
            experiment.run(configuration, tmp_path / "run", KEEP)
    # Without being told again.
    experiment.run(configuration, tmp_path / "run", jaxrl.RunOptions(progress=False, num_chunks=2))
    assert_equal(
        params(saved.load(tmp_path / "run", which="best").state), params(saved.load(directory, which="best").state)
    )


@pytest.mark.slow  # Five programs; a single run's best is the quick test.
def test_every_member_of_a_sweep_has_its_own_best(tmp_path):
    experiment.run(SWEEP, tmp_path / "run", KEEP)
    table = pandas.read_csv(tmp_path / "run" / "metrics.csv")
    best = saved.load_sweep(tmp_path / "run", "best")
    last = saved.load_sweep(tmp_path / "run")
    scores = [json.loads(json.dumps(score)) for group in (0, 1) for score in _record(tmp_path, group)["score"]]
    np.testing.assert_allclose(scores, table.groupby("member")["return"].max(), rtol=1e-6)
    for member in range(6):
        assert_equal(
            params(best.policy(member).state), params(saved.load(tmp_path / "run", member, which="best").state)
        )
        rows = table[table["member"] == member]["return"].to_numpy()
        same = all((a == b).all() for a, b in zip(params(best.policy(member).state), params(last.policy(member).state)))
        assert same == (rows.argmax() == len(rows) - 1)


def _record(tmp_path, group):
    return Checkpoints(tmp_path / "run" / "checkpoints" / f"group_{group}" / BEST).metadata()


def test_scores_that_are_not_finite_rank_last_and_equal_ones_keep_the_first(tmp_path):
    walk = walks.walk(num_iterations=8)
    kept = Best(walk, walk.hyperparameters, 2, tmp_path)
    for end, values in enumerate(([np.nan, -np.inf], [1.0, np.inf], [1.0, -5.0], [np.nan, -7.0]), start=1):
        evaluation = walks.Position(np.asarray(values)[:, None])
        state = {"place": np.full(2, end, np.float32)}
        # The program evaluates after every second iteration; between them there is nothing to see.
        kept.look(evaluation, 2 * end - 1, lambda: pytest.fail("no evaluation is due"))
        kept.look(evaluation, 2 * end, lambda state=state: state)
    kept.save()
    found, score, iteration = read_best(tmp_path, {"place": np.zeros(2, np.float32)})
    np.testing.assert_array_equal(found["place"], [2.0, 3.0])
    np.testing.assert_array_equal(score, [1.0, -5.0])
    np.testing.assert_array_equal(iteration, [3, 5])


@pytest.mark.slow  # A sweep of its own; one objective is the quick test.
def test_several_objectives_are_judged_by_the_members_weights(tmp_path):
    settings = {**SETTINGS, "total_steps": 4 * 64, "num_evaluations": 4}
    configuration = Configuration("sweep", "ppo", "mo/deep-sea-treasure", settings=settings, weights=3)
    experiment.run(configuration, tmp_path / "run", KEEP)
    table = pandas.read_csv(tmp_path / "run" / "metrics.csv")
    utility = table["weight_treasure"] * table["return_treasure"] + table["weight_time"] * table["return_time"]
    np.testing.assert_allclose(_record(tmp_path, 0)["score"], utility.groupby(table["member"]).max(), rtol=1e-5)


def test_the_shell_keeps_and_evaluates_the_best(tmp_path, capsys):
    words = [*short.WORDS, "--num-evaluations", "4"]
    out = str(tmp_path / "run")
    assert main([*words, "--keep", "best", "--out", out]) == 0
    assert main(["evaluate", out, "--episodes", "4", "--which", "best"]) == 0
    assert "return" in capsys.readouterr().out
    assert main(["evaluate", out, "--which", "worst"]) == 2
    assert "--which takes one of last, best, got 'worst'" in capsys.readouterr().err


def test_what_has_no_place_or_no_best_is_refused(tmp_path):
    trainer = jaxrl.trainer("ppo", "gymnax/CartPole-v1", **SETTINGS)
    with pytest.raises(ValueError, match="keep='best' needs a directory to keep it in"):
        jaxrl.sweep(trainer, options=jaxrl.RunOptions(progress=False, keep="best"), say=lambda _: None)
    with pytest.raises(ValueError, match="unknown state to keep 'bets'"):
        jaxrl.RunOptions(keep="bets")


def test_a_damaged_best_state_stops_no_run_and_says_so(tmp_path):
    said = []
    options = jaxrl.RunOptions(progress=False, num_chunks=2, checkpoint_seconds=0.0, keep="best", say=said.append)
    experiment.run(RUN, tmp_path / "run", options)
    (kept,) = (tmp_path / "run" / "checkpoints" / BEST).glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:-100])
    experiment.run(RUN, tmp_path / "run", options)
    assert len(said) == 1 and said[0].endswith("the best is that of the evaluations from here on")
    with pytest.raises(CheckpointError, match="damaged"):
        saved.load(tmp_path / "run", which="best")
