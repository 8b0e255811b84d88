"""Acrobot with varied links."""

from jaxrl.environments.family import TaskFamily
from jaxrl.environments.registry import make
from jaxrl.multitask.families.draws import uniform_family
from jaxrl.types import Array, PyTree

__all__ = ["acrobot"]


def acrobot(
    num_tasks: int = 10,
    num_held_out: int = 10,
    seed: int = 0,
    length: tuple[float, float] = (0.6, 1.4),
    mass: tuple[float, float] = (0.6, 1.4),
) -> TaskFamily:
    """Acrobot-v1 with lengths and masses of both links drawn uniformly.

    The centre of mass stays in the middle of a link and the moment of inertia 1 kg m², Gym's constant. The goal is
    Gym's too: −cos θ₁ − cos(θ₁ + θ₂) > 1, whatever the lengths.

    Args:
        num_tasks: tasks to train on.
        num_held_out: further ones for evaluation.
        seed: of the draws.
        length: bounds of the length of each link, metres.
        mass: bounds of the mass of each link, kilograms.
    """
    environment = make("gymnax/Acrobot-v1")

    def apply(drawn: dict[str, Array]) -> PyTree:
        return environment.params.replace(
            link_length_1=drawn["length_1"],
            link_length_2=drawn["length_2"],
            link_com_pos_1=drawn["length_1"] / 2.0,
            link_com_pos_2=drawn["length_2"] / 2.0,
            link_mass_1=drawn["mass_1"],
            link_mass_2=drawn["mass_2"],
        )

    bounds = {"length_1": length, "length_2": length, "mass_1": mass, "mass_2": mass}
    return uniform_family(environment, bounds, apply, num_tasks, num_held_out, seed, least=1e-3)
