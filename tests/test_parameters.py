"""Parameters of environments do what they are called; those of other libraries that do not are known, and not swept."""

import jax
import jax.numpy as jnp
import pytest
from jax._src.interpreters import partial_eval

import jaxrl
from jaxrl.environments.registry import list_environments

# Physics engines take a minute to trace, and what they read of a model is theirs.
SUITES = ("bandit", "grid", "gymnax", "mo")
DEAD = {
    "bandit/bernoulli": {"deviation"},
    "gymnax/Acrobot-v1": {"link_length_2"},
    "gymnax/CartPole-v1": {"masscart"},
    "mo/mountaincar": {"speed_scale"},
    "mo/mountaincar-continuous": {"speed_scale"},
    "mo/mountaincar-timemove": {"speed_scale"},
    "mo/swimmer": {"friction"},
    "mo/swimmer-pgmorl": {"friction"},
}


def named():
    """Every environment; those that take long to trace, and do not change with another library, are slow."""
    for name in list_environments():
        if name.split("/")[0] in SUITES:
            quick = name.startswith("gymnax/") or name in ("bandit/bernoulli", "mo/mountaincar", "mo/minecart")
            yield pytest.param(name, marks=[] if quick else pytest.mark.slow)


def unread(environment):
    """Floating parameters that neither a reset nor a step depends on."""
    flat, structure = jax.tree_util.tree_flatten_with_path(environment.params)

    def outcome(leaves, key):
        params = jax.tree.unflatten(structure, leaves)
        state, observation = environment.reset(key, params)
        return observation, environment.step(key, state, environment.spec.action.sample(key), params), state

    traced = jax.make_jaxpr(outcome)([leaf for _, leaf in flat], jax.random.key(0))
    _, used = partial_eval.dce_jaxpr(traced.jaxpr, [True] * len(traced.jaxpr.outvars))
    floating = [jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.floating) for _, leaf in flat]
    paths = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in flat]
    return {path for path, is_number, is_used in zip(paths, floating, used, strict=False) if is_number and not is_used}


@pytest.mark.parametrize("name", named())
def test_every_parameter_changes_something_but_those_that_are_known(name):
    environment = jaxrl.make(name)
    assert unread(environment) == DEAD.get(name, set())
    assert DEAD.get(name, set()) <= {parameter for parameter, _ in environment.spec.unswept}


@pytest.mark.parametrize(
    ("name", "parameter", "message"),
    [
        (
            "gymnax/CartPole-v1",
            "masscart",
            "'masscart' of gymnax/CartPole-v1 cannot be swept: it changes nothing .* total_mass",
        ),
        (
            "gymnax/CartPole-v1",
            "environment.length",
            "cannot be swept: total_mass and polemass_length do not follow it",
        ),
        ("gymnax/Acrobot-v1", "link_length_2", "it changes nothing"),
    ],
)
def test_what_does_not_do_what_it_is_called_is_not_swept(name, parameter, message):
    trainer = jaxrl.trainer("ppo", name, total_steps=1024)
    with pytest.raises(ValueError, match=message):
        jaxrl.sweep(trainer, hyperparameters={parameter: [0.5, 1.0]})
