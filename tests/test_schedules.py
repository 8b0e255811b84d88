"""Schedules against optax's own, which take numbers of Python, and what they do to an agent."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxrl
from jaxrl.agents.optimisation import make_optimiser
from jaxrl.agents.scheduling import rate, scheduled
from jaxrl.cli import main
from jaxrl.errors import UnknownNameError
from jaxrl.hyperparameters import leaves
from jaxrl.numerics.schedules import SCHEDULES, Schedule
from tests import short

pytestmark = pytest.mark.quick_compilation

STEPS, START = 400, 0.03
# What optax builds for the same parameters over STEPS steps.
OPTAX = {
    "constant": (lambda p: optax.constant_schedule(START), {}),
    "linear": (
        lambda p: optax.linear_schedule(START, p["end"], int(p["until"] * STEPS)),
        {"end": 0.002, "until": 0.75},
    ),
    "cosine": (
        lambda p: optax.cosine_decay_schedule(START, p["until"] * STEPS, p["end"] / START),
        {"end": 0.01, "until": 0.6},
    ),
    "polynomial": (
        lambda p: optax.polynomial_schedule(START, p["end"], p["power"], int(p["until"] * STEPS)),
        {"end": 0.05, "until": 0.5, "power": 3.0},
    ),
    "exponential": (lambda p: optax.exponential_decay(START, STEPS, p["decay"]), {"decay": 0.2}),
    "warmup_constant": (
        lambda p: optax.warmup_constant_schedule(p["initial"], START, int(p["warmup"] * STEPS)),
        {"initial": 0.001, "warmup": 0.25},
    ),
    "warmup_linear": (
        lambda p: optax.join_schedules(
            [
                optax.linear_schedule(p["initial"], START, int(p["warmup"] * STEPS)),
                optax.linear_schedule(START, p["end"], int((1 - p["warmup"]) * STEPS)),
            ],
            [int(p["warmup"] * STEPS)],
        ),
        {"initial": 0.001, "warmup": 0.25, "end": 0.004},
    ),
    "warmup_cosine": (
        lambda p: optax.warmup_cosine_decay_schedule(p["initial"], START, int(p["warmup"] * STEPS), STEPS, p["end"]),
        {"initial": 0.001, "warmup": 0.25, "end": 0.004},
    ),
    "warmup_exponential": (
        lambda p: optax.warmup_exponential_decay_schedule(
            p["initial"], START, int(p["warmup"] * STEPS), int((1 - p["warmup"]) * STEPS), p["decay"]
        ),
        {"initial": 0.001, "warmup": 0.25, "decay": 0.3},
    ),
    "piecewise_constant": (
        lambda p: optax.piecewise_constant_schedule(START, bounds(p)),
        {"boundaries": [0.25, 0.5], "factors": [0.5, 3.0]},
    ),
    "piecewise_linear": (
        lambda p: optax.piecewise_interpolate_schedule("linear", START, bounds(p)),
        {"boundaries": [0.25, 0.5], "factors": [0.5, 3.0]},
    ),
    "piecewise_cosine": (
        lambda p: optax.piecewise_interpolate_schedule("cosine", START, bounds(p)),
        {"boundaries": [0.25, 0.75], "factors": [0.5, 3.0]},
    ),
    "sgdr": (
        lambda p: optax.sgdr_schedule(
            int(p["cycles"])
            * [
                {
                    "init_value": p["initial"],
                    "peak_value": START,
                    "warmup_steps": int(p["warmup"] * STEPS / p["cycles"]),
                    "decay_steps": int(STEPS / p["cycles"]),
                    "end_value": p["end"],
                }
            ]
        ),
        {"cycles": 4.0, "warmup": 0.2, "initial": 0.001, "end": 0.002},
    ),
    "cosine_onecycle": (
        lambda p: optax.cosine_onecycle_schedule(STEPS, START, p["warmup"], p["divisor"], p["final_divisor"]),
        {"warmup": 0.25, "divisor": 10.0, "final_divisor": 50.0},
    ),
    "linear_onecycle": (
        lambda p: optax.linear_onecycle_schedule(
            STEPS, START, p["warmup"], p["cooldown"], p["divisor"], p["final_divisor"]
        ),
        {"warmup": 0.25, "cooldown": 0.75, "divisor": 10.0, "final_divisor": 50.0},
    ),
}


def bounds(p):
    return {int(share * STEPS): factor for share, factor in zip(p["boundaries"], p["factors"], strict=True)}


def built(name):
    return SCHEDULES.make(name, 3)


def test_every_schedule_has_an_oracle():
    assert set(OPTAX) == set(SCHEDULES)
    for name, (_, parameters) in OPTAX.items():
        assert set(parameters) == set(built(name).parameters) == set(built(name).ranges)


@pytest.mark.parametrize("name", list(OPTAX))
def test_a_schedule_with_traced_ends_is_optax_own(name):
    build, parameters = OPTAX[name]
    oracle, schedule = build(parameters), built(name)
    count = np.arange(STEPS)
    traced = jax.jit(jax.vmap(schedule.apply, in_axes=(None, 0, None)))
    found = traced(
        START,
        jnp.asarray(count / STEPS, jnp.float32),
        {name: jnp.asarray(value, jnp.float32) for name, value in parameters.items()},
    )
    expected = np.asarray([float(oracle(int(step))) for step in count])
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-8)
    assert name == "constant" or np.ptp(expected) > 0.0


@pytest.mark.parametrize("name", list(OPTAX))
def test_slopes_and_ends_are_finite(name):
    schedule = built(name)
    parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), dict(schedule.parameters))
    for fraction in (0.0, 0.5, 0.999):
        slopes = jax.grad(lambda x, p, u=fraction: schedule.apply(x, u, p) * 1.0, argnums=(0, 1))(0.1, parameters)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes)), (name, fraction)


def trainer(**settings):
    return jaxrl.trainer("ppo", "gymnax/CartPole-v1", **{**short.SETTINGS, **settings})


def test_an_agent_steps_by_the_schedules_of_its_settings():
    settings = {"entropy_schedule": "linear", "clip_schedule": "cosine", "learning_rate_schedule": "warmup_cosine"}
    made = trainer(**settings, learning_rate_warmup=0.5, entropy_coefficient_end=-0.02, clip_epsilon=0.4)
    config, hp = made.agent.config, made.hyperparameters
    assert set(hp.schedules) == {
        *(f"learning_rate_{name}" for name in ("warmup", "initial", "end")),
        *(f"entropy_coefficient_{name}" for name in ("end", "until")),
        *(f"clip_epsilon_{name}" for name in ("end", "until")),
    }
    now = scheduled(config, hp, jnp.asarray(0.5))
    np.testing.assert_allclose(now.entropy_coefficient, (0.01 - 0.02) / 2, rtol=1e-5)
    np.testing.assert_allclose(now.objective["clip_epsilon"], 0.2, rtol=1e-5)
    np.testing.assert_allclose([rate(config, hp, u) for u in (0.25, 0.5, 0.75)], 2.5e-4 * np.array([0.5, 1, 0.5]))
    gradient = {"a": jnp.ones(3)}
    plain = replace(config, optimiser="sgd")
    optimiser = make_optimiser(plain, hp._replace(max_gradient_norm=jnp.inf), 0.25)
    np.testing.assert_allclose(optimiser.update(gradient, optimiser.init(gradient))[0]["a"], -1.25e-4, rtol=1e-5)


def test_members_of_one_program_have_ends_of_their_own():
    made = trainer(entropy_schedule="linear", clip_schedule="exponential", learning_rate_schedule="linear")
    start = made.hyperparameters
    state = made.init(jax.random.key(0), start)

    def entropy(schedules):
        chosen = start._replace(schedules={**start.schedules, **schedules}, learning_rate=jnp.asarray(0.01))
        # The second half of a run.
        return made.learn(state, chosen, jnp.asarray(2), made.num_iterations)[0].agent.params["actor_head"]["bias"]

    ends = {name: jnp.full(4, value) for name, value in start.schedules.items()}
    ends["entropy_coefficient_end"] = ends["entropy_coefficient_end"].at[1].set(5.0)
    ends["clip_epsilon_decay"] = ends["clip_epsilon_decay"].at[2].set(1e-9)
    ends["learning_rate_end"] = ends["learning_rate_end"].at[3].set(0.5)
    first, *others = jax.jit(jax.vmap(entropy))(ends)
    assert all(np.abs(first - other).max() > 1e-5 for other in others)


def test_linear_by_name_is_the_annealing_of_old():
    run = lambda **settings: jax.jit(trainer(**settings).run)(jax.random.key(0), trainer(**settings).hyperparameters)  # noqa: E731
    old, new = run(), run(learning_rate_schedule="linear")
    for one, other in zip(jax.tree.leaves(old.state.agent.params), jax.tree.leaves(new.state.agent.params)):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_the_natural_step_and_learned_optimisers_follow_the_learning_rate():
    npg = jaxrl.trainer("npg", "gymnax/CartPole-v1", **{**short.SETTINGS, "learning_rate_schedule": "linear"})
    from jaxrl.agents.scheduling import annealed_share

    config, hp = npg.agent.config, npg.hyperparameters
    np.testing.assert_allclose(annealed_share(config, hp, 0.25), 0.75, rtol=1e-6)
    assert annealed_share(config, hp._replace(learning_rate=jnp.zeros(())), 0.25) == 0.0


def test_a_schedule_of_ones_own_is_a_name():
    name = "test-halving"
    jaxrl.register_schedule(name, optax.exponential_decay(1.0, 1, 0.5))
    try:
        made = trainer(learning_rate_schedule=name, learning_rate=0.1)
        np.testing.assert_allclose(rate(made.agent.config, made.hyperparameters, 0.5), 0.1 * 0.5**0.5, rtol=1e-6)
        own = Schedule("x + u rise", lambda x, u, p: x + u * p["rise"], {"rise": 2.0})
        made = trainer(entropy_schedule=own)
        assert leaves(made.hyperparameters)["schedules.entropy_coefficient_rise"] == 2.0
    finally:
        SCHEDULES._entries.pop(name)
    with pytest.raises(ValueError, match="schedule 'x' must be a Schedule or a function, got 3"):
        jaxrl.register_schedule("x", 3)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"learning_rate_end": 0.0}, "learning_rate_end would have no effect here: it needs learning_rate_schedule=l"),
        ({"clip_epsilon_until": 0.5}, "it needs clip_schedule=linear or cosine or polynomial"),
        ({"entropy_schedule": "linear", "entropy_coefficient_until": 0.0}, "entropy_coefficient_until' must lie in"),
        ({"learning_rate_schedule": "cosine", "learning_rate_end": -1.0}, "learning_rate_end' must be at least 0, got"),
        ({"learning_rate_schedule": "cosine", "anneal_learning_rate": False}, "contradicts learning_rate_schedule='co"),
        ({"clip_schedule": "linear", "surrogate": "policy_gradient"}, "it needs surrogate='clip'"),
        ({"schedule_pieces": 4}, "schedule_pieces=4 would have no effect here: it needs a"),
        ({"schedule_pieces": 1, "entropy_schedule": "piecewise_linear"}, "schedule_pieces must be at least 2, got 1"),
        ({"entropy_schedule": "piecewise_linear", "entropy_coefficient_factors": [1.0]}, "has shape .2,., got a value"),
    ],
)  # fmt: skip
def test_what_has_no_effect_or_no_sense_is_one_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        trainer(**settings)


@pytest.mark.parametrize("setting", ["learning_rate_schedule", "entropy_schedule", "clip_schedule"])
def test_an_unknown_schedule_names_the_nearest(setting):
    with pytest.raises(UnknownNameError, match=r"unknown schedule 'cosin'.* Did you mean 'cosine'"):
        trainer(**{setting: "cosin"})
    if setting != "learning_rate_schedule":
        with pytest.raises(UnknownNameError, match="unknown schedule 'auto'"):
            trainer(**{setting: "auto"})


def test_self_tuning_agents_take_no_schedule_of_what_they_tune():
    with pytest.raises(ValueError, match="stac and stacx find the settings of their loss by themselves"):
        jaxrl.trainer("stac", "gymnax/CartPole-v1", entropy_schedule="linear")


def test_the_shell_has_an_option_for_every_end(capsys):
    with pytest.raises(SystemExit):
        main(["train", "ppo", "gymnax/CartPole-v1", "--learning-rate-schedule", "warmup_cosine", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--learning-rate-warmup NUMBER schedules.learning_rate_warmup. [in [0, 1); default 0.1]" in text
    assert "--learning-rate-end NUMBER schedules.learning_rate_end. [at least 0; default 0]" in text
