"""Defaults that give way: what a user left out is fitted to what was written, which alone can be wrong."""

import jax
import numpy as np
import pytest

import jaxrl
from jaxrl.agents.fitting import nearest_divisor, nearest_multiple

pytestmark = pytest.mark.quick_compilation

CARTPOLE = "gymnax/CartPole-v1"


def test_the_nearest_divisor_is_found_as_by_trying_all():
    for number in range(1, 61):
        for wanted in range(1, 61):
            for least in (1, 2, 5):
                divisors = [n for n in range(least, number + 1) if number % n == 0]
                # The smaller of two that are as near.
                expected = min(divisors, key=lambda n: (abs(n - wanted), n)) if divisors else wanted
                assert nearest_divisor(number, wanted, least) == expected, (number, wanted, least)


@pytest.mark.parametrize(("wanted", "number", "nearest"), [(8, 3, 9), (8, 5, 10), (1, 4, 4), (10, 4, 8), (12, 4, 12)])
def test_the_nearest_multiple(wanted, number, nearest):
    assert nearest_multiple(wanted, number) == nearest


@pytest.mark.parametrize("total_steps", [1, 3, 100, 1000, 1024, 4096, 10_000])
def test_a_short_run_has_shorter_iterations_and_fewer_evaluations(total_steps):
    built = jaxrl.trainer("ppo", CARTPOLE, total_steps=total_steps)
    assert built.num_iterations >= 1 and built.steps_per_iteration <= total_steps
    assert 1 <= built.config.num_evaluations <= min(10, built.num_iterations)
    config = built.agent.config
    assert config.num_envs * config.num_steps % config.num_minibatches == 0
    if total_steps >= 1024:
        # Where an iteration fits as it is, it stays.
        assert (config.num_envs, config.num_steps) == (8, 128)
        assert built.config.num_evaluations == min(10, total_steps // 1024)


def test_a_run_of_one_step_trains():
    built = jaxrl.trainer("ppo", CARTPOLE, total_steps=1, evaluation_episodes=1, evaluation_steps=5)
    result = jax.jit(built.run)(jax.random.key(0), built.hyperparameters)
    assert np.isfinite(result.evaluation.returns).all() and result.evaluation.returns.shape == (1, 1)


@pytest.mark.parametrize("num_envs", [1, 3, 5, 6, 7])
def test_minibatches_divide_any_number_of_copies(num_envs):
    config = jaxrl.trainer("ppo", CARTPOLE, num_envs=num_envs, num_steps=5).agent.config
    assert config.num_envs == num_envs and config.num_steps == 5
    assert config.num_minibatches == nearest_divisor(5 * num_envs, 4)


def test_sequences_of_a_recurrent_network_stay_whole():
    config = jaxrl.trainer("ppo", CARTPOLE, network="gru", num_envs=6).agent.config
    assert config.num_minibatches == 3


def test_groups_and_copies_fit_each_other():
    by_copies = jaxrl.trainer("grpo", CARTPOLE, num_envs=9).agent.config
    assert by_copies.num_envs == 9 and 9 % by_copies.group_size == 0 and by_copies.group_size > 1
    by_size = jaxrl.trainer("grpo", CARTPOLE, group_size=5).agent.config
    assert by_size.group_size == 5 and by_size.num_envs % 5 == 0
    assert by_copies.num_steps >= jaxrl.make(CARTPOLE).spec.time_limit


def test_an_iteration_that_was_asked_for_sets_the_shortest_run():
    built = jaxrl.trainer("ppo", CARTPOLE, num_envs=1024, num_steps=1024)
    assert built.num_iterations == 1 and built.config.total_steps == 1024 * 1024


@pytest.mark.parametrize("name", ["c_morl", "pgmorl", "morl_d", "conditioned", "gpi_ls"])
def test_studies_give_way_too(name):

    built = jaxrl.study(name, "mo/deep-sea-treasure", total_steps=20_000)
    assert built.num_iterations >= 1 and built.num_iterations * built.steps_per_iteration <= 20_000


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"total_steps": 100, "num_envs": 8, "num_steps": 128}, "total_steps=100 is less than one iteration of"),
        ({"total_steps": 4096, "num_evaluations": 10}, "num_evaluations=10 must lie between 1 and .* 4"),
        ({"num_minibatches": 3}, "num_minibatches=3 does not divide num_envs .* = 1024; nearest that does: 2"),
        ({"num_envs": 2**31 - 1, "num_steps": 2**31 - 1, "num_minibatches": 7}, "is more than 2147483647 samples"),
        ({"num_envs": 2**31 - 1, "num_steps": 2**31 - 1}, "is more than 2147483647 samples"),
    ],
)
def test_what_was_written_alone_is_an_error(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        jaxrl.trainer("ppo", CARTPOLE, **settings)
