"""Cart-pole with varied physics: the family of PolicyGradEx's and many meta-learning experiments."""

from functools import partial

import jax

from jaxrl.environments.registry import make
from jaxrl.multitask.families.draws import draw_family
from jaxrl.multitask.family import TaskFamily
from jaxrl.types import PRNGKeyArray, PyTree

__all__ = ["cart_pole"]


def cart_pole(
    num_tasks: int = 10,
    num_held_out: int = 10,
    seed: int = 0,
    length: tuple[float, float] = (0.25, 2.0),
    gravity: tuple[float, float] = (5.0, 20.0),
    force: tuple[float, float] = (5.0, 15.0),
) -> TaskFamily:
    """CartPole-v1 under physics drawn uniformly.

    Args:
        num_tasks: tasks to train on.
        num_held_out: further ones for evaluation.
        seed: of the draws.
        length: bounds of half the pole's length, metres.
        gravity: bounds, m/s².
        force: bounds of the push, newtons.
    """
    environment = make("gymnax/CartPole-v1")
    bounds = {"length": length, "gravity": gravity, "force_mag": force}
    for name, (low, high) in bounds.items():
        if not 0.0 < low <= high:
            raise ValueError(f"bounds of {name} must satisfy 0 < low <= high, got ({low}, {high})")
    sample = partial(_sample, environment.params, bounds)
    return draw_family(environment, sample, num_tasks, num_held_out, seed, _name)


def _sample(params: PyTree, bounds: dict[str, tuple[float, float]], key: PRNGKeyArray) -> PyTree:
    keys = jax.random.split(key, len(bounds))
    drawn = {
        name: jax.random.uniform(key, (), minval=low, maxval=high)
        for key, (name, (low, high)) in zip(keys, bounds.items(), strict=True)
    }
    return params.replace(polemass_length=params.masspole * drawn["length"], **drawn)


def _name(params: PyTree) -> str:
    return f"length_{params.length:.2f}_gravity_{params.gravity:.1f}_force_{params.force_mag:.1f}"
