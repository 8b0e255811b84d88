"""Every kind of program on eight devices as on one, and stopped and resumed to the same bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.bilevel import barfi, goal_grid, parl
from jaxrl.environments.grid import grid, random_levels
from jaxrl.meta import differentiate, evolve, evolve_persistently, make_tasks
from jaxrl.multitask import maml
from jaxrl.multitask.families import family
from jaxrl.sweeps import running

pytestmark = pytest.mark.quick_compilation

QUIET = {"options": jaxrl.RunOptions(progress=False), "say": lambda _: None}
# Small levels full of objects, so that every rollout has rewards.
RICH = grid(random_levels("rich", (3, 3), (3, 3), (8, 8)))
SMALL = {"num_envs": 4, "num_steps": 6, "num_evaluations": 1, "evaluation_episodes": 2}
UPDATE = {"num_epochs": 2, "num_minibatches": 1, "learning_rate": 0.1, "network": "table", "total_steps": 5 * 24}
RULE = {"num_outputs": 3, "objective_size": 4, "optimiser": "sgd", "learning_rate": 5.0, "network": "table"}
EVOLVED = {"population_size": 4, "num_generations": 3, "num_evaluations": 1, "evaluation_tasks": 2, "deviation": 0.5}
OPEN = {"num_epochs": 1, "num_minibatches": 2, "hidden_sizes": (4,), "optimiser": "open", "total_steps": 3 * 24}
GRADIENT = {"num_agents": 2, "unroll": 2, "num_meta_steps": 3, "num_evaluations": 1, "evaluation_tasks": 2}


def agent(name, **settings):
    return jaxrl.trainer(name, RICH, **SMALL, **settings)


def meta_gradient(name, **settings):
    trainer = agent(name, total_steps=5 * 24, **RULE) if name == "lpg" else agent(name, total_steps=3 * 24)
    return differentiate(trainer, make_tasks(RICH, (2, 5)), critic_network="table", **GRADIENT, **settings)


KINDS = {
    "lpg by evolution": lambda: evolve(agent("lpg", total_steps=5 * 24, **RULE), make_tasks(RICH, (2, 4)), **EVOLVED),
    "drifts by persistent evolution": lambda: evolve_persistently(
        agent("ppo", surrogate="learned_drift", **UPDATE), make_tasks(RICH, (2, 6)),
        population_size=4, num_meta_steps=3, unroll=2, num_evaluations=1, evaluation_tasks=2, deviation=0.05,
    ),
    "lpg by gradient, regret": lambda: meta_gradient("lpg", curriculum="algorithmic_regret", buffer_size=3),
    "open": lambda: evolve(agent("ppo", **OPEN), make_tasks(RICH, 3), "optimiser", **{**EVOLVED, "deviation": 0.01}),
    "maml": lambda: maml(
        family("point-mass", num_groups=2, group_size=1, time_limit=5),
        num_iterations=3, num_evaluations=1, num_envs=4, hidden_sizes=(4,), order="first",
    ),
    "barfi": lambda: barfi(
        goal_grid(3, "decoy", limit=6), network="table", residual_network="table", num_outer_steps=4, num_episodes=4,
        # Adam would turn rounding into whole steps of the coefficients whose gradient is zero but for it.
        hypergradient="unrolled", coefficient_learning_rate=0.0, residual_learning_rate=0.0, discount_learning_rate=0.1,
    ),
    "parl": lambda: parl(goal_grid(3, limit=6), weights=[0.0, 1.0], num_rounds=4, num_pairs=2, evaluation_episodes=4),
    "c_morl": lambda: jaxrl.study(
        "c_morl", "mo/deep-sea-treasure", num_initial=2, num_selected=1, total_steps=2_000,
        **{**SMALL, "num_evaluations": 4}, num_epochs=1, num_minibatches=1,
    ),
    "conditioned": lambda: jaxrl.study(
        "conditioned", "mo/deep-sea-treasure", num_evaluation_weights=3, num_policies=3, total_steps=200,
        **{**SMALL, "num_evaluations": 2}, num_epochs=1, num_minibatches=1,
    ),
    "pareto_q_learning": lambda: jaxrl.study(
        "pareto_q_learning", "mo/deep-sea-treasure", total_steps=600, num_evaluations=3, capacity=4
    ),
    "stac": lambda: agent("stac", total_steps=4 * 24),
}  # fmt: skip
# The others are run by hand, with what else is slow.
QUICK = ("pareto_q_learning",)


def kinds():
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in KINDS]


def leaves(tree):
    plain = lambda leaf: jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf  # noqa: E731
    return [np.asarray(plain(jnp.asarray(leaf))) for leaf in jax.tree.leaves(tree)]


@pytest.mark.parametrize("name", kinds())
def test_eight_devices_change_nothing(name):
    program = KINDS[name]()
    assert jax.device_count() == 8
    eight = jaxrl.sweep(program, seeds=8, **QUIET).groups[0].result
    one = jaxrl.sweep(program, seeds=8, max_devices=1, **QUIET).groups[0].result
    # What is reported; of the state, Adam turns rounding into whole steps where a gradient is zero but for it.
    for left, right in zip(leaves(eight[1:]), leaves(one[1:]), strict=True):
        np.testing.assert_allclose(left, right, rtol=2e-3, atol=1e-4)
    numbers = [leaf for leaf in jax.tree.leaves(eight.state) if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)]
    assert any(np.any(leaf != leaf[:1]) for leaf in map(np.asarray, numbers)), "seeds are runs of their own"


@pytest.mark.slow  # Two programs more; sweeps of agents stop and go on in quick tests.
@pytest.mark.parametrize("name", KINDS)
def test_a_stop_changes_nothing(name, tmp_path, monkeypatch):
    program = KINDS[name]()
    options = jaxrl.RunOptions(progress=False, checkpoint_seconds=0.0, num_chunks=2)
    calls = []

    def stop(*_):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt

    # The chunk that was under way is lost; the last checkpoint is of the one before.
    whole = jaxrl.sweep(program, seeds=8, options=options, say=lambda _: None).groups[0].result
    with monkeypatch.context() as patched:
        patched.setattr(running, "_advance_bar", lambda *rest: len(rest))
        patched.setattr(running.Checkpoints, "save", _saving_then(stop, running.Checkpoints.save))
        with pytest.raises(KeyboardInterrupt):
            jaxrl.sweep(program, seeds=8, options=options, directory=tmp_path, say=lambda _: None)
    resumed = jaxrl.sweep(program, seeds=8, options=options, directory=tmp_path, say=lambda _: None).groups[0].result
    for left, right in zip(leaves(whole), leaves(resumed), strict=True):
        np.testing.assert_array_equal(left, right)


def _saving_then(act, save):
    def both(self, *arguments, **options):
        save(self, *arguments, **options)
        act()

    return both
