"""What candidates of evolution are compared by."""

import jax
import jax.numpy as jnp

from jaxrl.environments.base import EnvironmentSpec
from jaxrl.errors import require_name
from jaxrl.meta.lifetimes import Outcome
from jaxrl.numerics.dominance import dominates
from jaxrl.numerics.hypervolume import hypervolume
from jaxrl.types import Array, Float

__all__ = ["FITNESS", "SELECTIONS", "fitness_components", "fitness_weights", "select_by"]

FITNESS = ("final", "area", "early", "robust", "hypervolume")
SELECTIONS = ("weighted", "pareto")


def fitness_weights(fitness: str | dict[str, float], spec: EnvironmentSpec) -> Float[Array, " component"]:
    """Weights of the components of `FITNESS`, from one of their names or weights by name.

    Raises:
        UnknownNameError: for an unknown name, with the nearest match.
        ValueError: for the hypervolume of an environment that has none.
    """
    named = {fitness: 1.0} if isinstance(fitness, str) else fitness
    for name in named:
        require_name("fitness", name, FITNESS)
    if "hypervolume" in named and (spec.num_objectives < 2 or spec.reference_point is None):
        raise ValueError(f"hypervolume needs two objectives and a reference point, which {spec.name} does not have")
    return jnp.asarray([named.get(name, 0.0) for name in FITNESS], jnp.float32)


def fitness_components(
    outcome: Outcome, weights: Float[Array, "task objective"], reference_point: tuple[float, ...] | None
) -> Float[Array, "member component"]:
    """`FITNESS` of every member, from outcomes with leading axes `[member, task]`."""
    final, area, early = (jnp.sum(leaf * weights, axis=-1) for leaf in outcome[:3])
    worse = jnp.sort(final, axis=1)[:, : max(1, final.shape[1] // 2)]
    means = [leaf.mean(axis=1) for leaf in (final, area, early, worse)]
    if reference_point is None or weights.shape[1] == 1:
        return jnp.stack([*means, jnp.zeros_like(means[0])], axis=-1)
    reference = jnp.asarray(reference_point, jnp.float32)
    return jnp.stack([*means, jax.vmap(lambda points: hypervolume(points, reference))(outcome.final)], axis=-1)


def select_by(
    selection: str, components: Float[Array, "member component"], weights: Float[Array, " component"]
) -> Float[Array, " member"]:
    """What candidates are worth: w·f, or minus how many candidates dominate w∘f; components without a weight tie.

    A candidate that is not finite is worth NaN, which shaping takes for the worst.
    """
    if selection == "weighted":
        return components @ weights
    scaled = jnp.where(weights == 0.0, 0.0, components * weights)
    over_all = jax.vmap(lambda one: dominates(jnp.broadcast_to(one, scaled.shape), scaled))(scaled)
    worth = -jnp.sum(over_all, axis=0).astype(components.dtype)
    return jnp.where(jnp.all(jnp.isfinite(scaled), axis=-1), worth, jnp.nan)
