"""Cart-pole with varied physics: the family of PolicyGradEx's and many meta-learning experiments."""

from jaxrl.environments.family import TaskFamily
from jaxrl.environments.registry import make
from jaxrl.multitask.families.draws import uniform_family
from jaxrl.types import Array, PyTree

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

    PolicyGradEx (arXiv 2511.12779) varies length and gravity over 10 tasks to train on and 50 unseen ones; its ranges
    are not public, these are ours.

    Args:
        num_tasks: tasks to train on.
        num_held_out: further ones for evaluation.
        seed: of the draws.
        length: bounds of half the pole's length, metres.
        gravity: bounds, m/s².
        force: bounds of the push, newtons.
    """
    environment = make("gymnax/CartPole-v1")
    params = environment.params

    def apply(drawn: dict[str, Array]) -> PyTree:
        return params.replace(
            length=drawn["length"],
            polemass_length=params.masspole * drawn["length"],
            gravity=drawn["gravity"],
            force_mag=drawn["force"],
        )

    bounds = {"length": length, "gravity": gravity, "force": force}
    return uniform_family(environment, bounds, apply, num_tasks, num_held_out, seed, least=1e-3)
