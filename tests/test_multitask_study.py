"""Which tasks belong together, from rollouts of one policy: planted groups, projected policies, groups that train."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import jaxrl
from jaxrl import cli
from jaxrl.errors import UnknownNameError
from jaxrl.multitask import merge
from jaxrl.multitask.comparison import compare_groupings
from jaxrl.multitask.experience import gather, log_probability, policy_parameters, policy_samples, with_policy
from jaxrl.multitask.families import family
from jaxrl.multitask.fine_tuning import fine_tune, group_masks, own_returns
from jaxrl.multitask.grouping.projection import ProjectionConfig, random_projection
from jaxrl.multitask.study import group_study

pytestmark = pytest.mark.quick_compilation

AGENT = {
    "num_envs": 16,
    "num_steps": 32,
    "hidden_sizes": (16,),
    "learning_rate": 3e-3,
    "num_evaluations": 1,
    "evaluation_episodes": 4,
}
SETTINGS = {"projection_dimension": 64, "num_subsets": 60}


def trainer(**settings):
    environment = merge(family("point-mass", num_groups=3, group_size=2, time_limit=16))
    return jaxrl.trainer("ppo", environment, **{**AGENT, "total_steps": 8192, "observe_task": False, **settings})


@pytest.fixture(scope="module")
def trained():
    built = trainer()
    return built, jax.jit(built.run)(jax.random.key(0), built.hyperparameters).state


@pytest.fixture(scope="module")
def experience(trained):
    built, state = trained
    return jax.jit(lambda key: gather(built, key, state.agent, built.hyperparameters))(jax.random.key(1))


def test_every_task_has_transitions_of_its_own(experience):
    found = experience
    assert found.advantage.shape == (6, 512)
    np.testing.assert_array_equal(
        found.observation[..., -6:].argmax(axis=-1), np.repeat(np.arange(6), 512).reshape(6, -1)
    )
    assert bool(jnp.all(found.advantage.std(axis=1) > 0.0))


def test_features_are_projected_gradients_of_log_probabilities(trained, experience):
    built, state = trained
    policy, parts = policy_parameters(state.agent.params), built.agent.update.args[0]
    assert not any(name.startswith("critic") for name in policy)
    few = jax.tree.map(lambda leaf: leaf[:, :5], experience)
    projection, key = random_projection(policy, ProjectionConfig(projection_dimension=7)), jax.random.key(2)
    samples = jax.jit(lambda few: policy_samples(built, state.agent, few, projection, key))(few)
    taken = (few.observation[2, 3], few.raw_action[2, 3])
    gradient = jax.grad(lambda policy: log_probability(parts, state.agent.params, policy, taken))(policy)
    np.testing.assert_allclose(samples.features[2, 3], projection.project(key, gradient), rtol=2e-4, atol=1e-5)
    standard = (few.advantage[2] - few.advantage[2].mean()) / few.advantage[2].std()
    np.testing.assert_allclose(samples.advantage[2], standard, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param({"affinity": "cosine"}, marks=pytest.mark.slow),
        pytest.param({"estimator": "ridge"}, marks=pytest.mark.slow),
    ],
)
def test_planted_groups_are_found(trained, settings):
    built, state = trained
    study = group_study(built, **SETTINGS, num_groups=3, **settings)
    found = jax.jit(study.estimate)(jax.random.key(1), state.agent, built.hyperparameters)
    np.testing.assert_array_equal(jax.jit(study.group)(found.affinity).labels, [0, 1, 2, 0, 1, 2])


@pytest.mark.slow  # Both performances of one study are the quick test, in test_multitask_estimation.
def test_rollouts_of_adapted_policies_agree_with_the_surrogate(trained):
    built, state = trained
    built = built.rebuild(evaluation_episodes=32)
    study = group_study(
        built, **{**SETTINGS, "num_subsets": 40}, performance="rollouts", relative_distance=0.2, num_groups=3
    )
    found = jax.jit(study.estimate)(jax.random.key(1), state.agent, built.hyperparameters)
    same = np.arange(6)[:, None] % 3 == np.arange(6) % 3
    affinity, other = np.asarray(found.affinity), ~np.eye(6, dtype=bool)
    assert affinity[same & other].mean() > affinity[~same].mean() + 0.3
    # The performances are returns of the perturbed policies themselves.
    assert bool(jnp.all(found.performance < 0.0)) and float(found.performance.std()) > 0.0


@pytest.mark.slow  # A learning run; the stages on a run directory train groups as well.
def test_groups_train_on_their_own_tasks_and_keep_the_agent(trained):
    built, state = trained
    masks = group_masks([0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(masks, [[True, False, False] * 2, [False, True, False] * 2, [False, False, True] * 2])
    part = built.rebuild(total_steps=16_384)
    result = jax.jit(lambda state: fine_tune(part, jax.random.key(1), state, part.hyperparameters, masks))(state)
    counted = np.isfinite(np.asarray(result.metrics["episode_return"])).any(axis=1)
    np.testing.assert_array_equal(counted, masks)
    before = jax.jit(built.evaluate)(jax.random.key(1), state.agent, built.hyperparameters).returns
    assert float(own_returns(result, masks).returns.mean()) > float(before.mean()) + 1.0


def test_an_adapted_policy_keeps_the_critic(trained):
    _, state = trained
    changed = with_policy(state.agent, jax.tree.map(jnp.zeros_like, policy_parameters(state.agent.params)))
    kept = [name for name in state.agent.params if name.startswith("critic")]
    assert kept and all(changed.params[name] is state.agent.params[name] for name in kept)
    assert float(jnp.abs(changed.params["actor_head"]["kernel"]).max()) == 0.0


@pytest.mark.slow
def test_groupings_share_one_budget():
    built = trainer(total_steps=4096)
    found = compare_groupings(built, (0, 1), 6144, num_groups=3, **SETTINGS)
    counts = found.table.groupby("grouping")["group"].nunique()
    assert counts.to_dict() == {"all": 1, "cosine": 3, "each": 6, "estimated": 3, "random": 3}
    for tuned in found.fine_tuned[0].values():
        metrics = tuned.result.metrics["policy_loss"]
        assert metrics.shape[0] * metrics.shape[1] == 6144 // 512
    assert len(found.table) == 2 * 5 * 6 and np.isfinite(found.table["return"]).all()


def test_stages_on_a_run_directory(tmp_path, capsys):
    run = tmp_path / "run"
    options = ["--total-steps", "8192", "--num-envs", "16", "--num-steps", "32", "--hidden-sizes", "16"]
    tasks = ["--environment-option", "num_groups=2", "--environment-option", "group_size=2"]
    train = ["multitask", "train", "ppo", "multitask/point-mass", "--no-observe-task", "--out", str(run)]
    assert cli.main([*train, *options, *tasks, "--num-evaluations", "1"]) == 0
    assert cli.main(["multitask", "group", str(run)]) == 2
    assert "jaxrl multitask affinity" in capsys.readouterr().err
    assert cli.main(["multitask", "affinity", str(run), "--projection-dimension", "32", "--subset-size", "2"]) == 0
    assert cli.main(["multitask", "group", str(run), "--num-groups", "2"]) == 0
    assert cli.main(["multitask", "finetune", str(run), "--total-steps", "4096"]) == 0
    groups = pandas.read_csv(run / "grouping" / "groups.csv")
    assert list(groups["group"]) == [0, 1, 0, 1]
    returns = pandas.read_csv(run / "grouping" / "returns.csv")
    assert list(returns["task"]) == list(groups["task"]) and np.isfinite(returns["return"]).all()
    policy = jaxrl.load(run / "groups" / "1")
    np.testing.assert_allclose(policy.hyperparameters.environment.probabilities, [0.0, 0.5, 0.0, 0.5])
    assert {path.name for path in (run / "figures").glob("*.png")} >= {
        "affinity.png",
        "dendrogram.png",
        "groups.png",
        "returns.png",
    }


def test_what_cannot_be_grouped_is_refused():
    with pytest.raises(ValueError, match="no tasks"):
        group_study(jaxrl.trainer("ppo", "gymnax/CartPole-v1"))
    with pytest.raises(ValueError, match="feed-forward"):
        group_study(trainer(network="gru"))
    with pytest.raises(ValueError, match="on-policy"):
        group_study(jaxrl.trainer("lpg", "multitask/point-mass"))
    with pytest.raises(ValueError, match="subset_size"):
        group_study(trainer(), subset_size=7)
    with pytest.raises(UnknownNameError, match="subset_size"):
        group_study(trainer(), subsets_size=3)
    with pytest.raises(UnknownNameError, match="rollouts"):
        group_study(trainer(), performance="rollout")
    with pytest.raises(UnknownNameError, match="cosine"):
        compare_groupings(trainer(), groupings=("cosin",))
