"""What a surrogate does, in numbers: its loss, drift and slopes, and whether it keeps mirror learning's conditions."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.meta.response import TargetResponse, response_table, target_response
from jaxrl.objectives.base import Surrogate, SurrogateInputs
from jaxrl.types import Array, Float, PyTree

if TYPE_CHECKING:
    import pandas

__all__ = [
    "SurrogateSlopes",
    "TargetResponse",
    "drift_of",
    "mirror_conditions",
    "response_table",
    "slopes_table",
    "surrogate_slopes",
    "target_response",
    "traced_conditions",
]

_NEAR = 0.01

Numbers = Sequence[float] | Float[np.ndarray, " number"] | Float[Array, " number"]


class SurrogateSlopes(NamedTuple):
    """A surrogate's loss L over ratio and advantage.

    Attributes:
        ratios: r > 0.
        advantages: A.
        progress: t/T of every slice.
        loss: L.
        drift: L + r A, what is put in the way of the plain gain.
        gradient: ∂L/∂r.
    """

    ratios: Float[Array, " ratio"]
    advantages: Float[Array, " advantage"]
    progress: Float[Array, " slice"]
    loss: Float[Array, "slice advantage ratio"]
    drift: Float[Array, "slice advantage ratio"]
    gradient: Float[Array, "slice advantage ratio"]


def _loss(
    surrogate: Surrogate,
    parameters: PyTree,
    ratio: Float[Array, ""],
    advantage: Float[Array, ""],
    progress: Float[Array, ""],
    horizon: Float[Array, ""] | float,
) -> Float[Array, ""]:
    zero = jnp.zeros(())
    inputs = SurrogateInputs(jnp.log(ratio), advantage, zero, zero, progress, horizon)
    return surrogate.apply(inputs, parameters, surrogate.init_state(parameters))


def _require_ratios_suffice(surrogate: Surrogate) -> None:
    if surrogate.uses_divergence:
        raise ValueError(
            "this surrogate reads divergences between whole policies, which no ratio of one action determines; "
            "only surrogates of ratio and advantage can be drawn over them"
        )


def surrogate_slopes(
    surrogate: Surrogate,
    parameters: PyTree,
    ratios: Numbers,
    advantages: Numbers,
    progress: Numbers = (0.0,),
    horizon: float = 1.0,
) -> SurrogateSlopes:
    """Loss, drift and gradient of a surrogate over a grid of ratios and advantages.

    Args:
        surrogate: one that reads ratio, advantage and progress only.
        parameters: its leaf of hyperparameters.
        ratios: r > 0.
        advantages: A.
        progress: t/T in [0, 1], one slice each.
        horizon: T, in iterations.

    Raises:
        ValueError: for a surrogate that reads divergences, or ratios that are not positive.
    """
    _require_ratios_suffice(surrogate)
    if np.min(ratios) <= 0.0:
        raise ValueError(f"ratios of probabilities must be positive, got {np.min(ratios)}")
    axes = (np.asarray(axis, np.float32) for axis in (ratios, advantages, progress))
    return _slopes(surrogate, parameters, *axes, horizon)


@partial(jax.jit, static_argnums=0)
def _slopes(
    surrogate: Surrogate, parameters: PyTree, ratios: Array, advantages: Array, progress: Array, horizon: float | Array
) -> SurrogateSlopes:
    point = jax.value_and_grad(lambda r, a, t: _loss(surrogate, parameters, r, a, t, horizon))
    over_ratios = jax.vmap(point, (0, None, None))
    grid = jax.vmap(jax.vmap(over_ratios, (None, 0, None)), (None, None, 0))
    loss, gradient = grid(ratios, advantages, progress)
    drift = loss + ratios * advantages[:, None]
    return SurrogateSlopes(ratios, advantages, progress, loss, drift, gradient)


def drift_of(
    surrogate: Surrogate,
    parameters: PyTree,
    log_ratios: Float[Array, "*batch"],
    advantages: Float[Array, "*batch"],
    progress: float | Float[Array, ""] = 0.0,
    horizon: float | Float[Array, ""] = 1.0,
) -> Float[Array, "*batch"]:
    """f = L + r A, the drift of a surrogate -(r A - f), at every sample."""
    _require_ratios_suffice(surrogate)
    zeros = jnp.zeros_like(log_ratios)
    inputs = SurrogateInputs(log_ratios, advantages, zeros, zeros, jnp.asarray(progress, jnp.float32), horizon)
    loss = surrogate.apply(inputs, parameters, surrogate.init_state(parameters))
    return loss + jnp.exp(log_ratios) * advantages


def mirror_conditions(
    surrogate: Surrogate, parameters: PyTree, progress: float = 0.0, horizon: float = 1.0
) -> dict[str, float]:
    """What mirror learning asks of a drift f: f ≥ 0, and f = 0 and ∂f/∂r = 0 at r = 1 (Grudzien et al., 2022).

    Returns:
        `least`, the least f for |log r| ≤ 1.5, |A| ≤ 4; `at_one`, the largest |f| at r = 1; `slope_at_one`, the
        largest |∂f/∂r| there; and `slope_near_one`, the largest at |log r| = 0.01, which is not small where f has a
        kink beside r = 1 and keeps the conditions to the letter only. Rounding of L + r A leaves some 10⁻⁶.
    """
    found = jax.jit(traced_conditions, static_argnums=0)(surrogate, parameters, progress, horizon)
    return {name: float(value) for name, value in found.items()}


def traced_conditions(
    surrogate: Surrogate, parameters: PyTree, progress: float | Array = 0.0, horizon: float | Array = 1.0
) -> dict[str, Float[Array, ""]]:
    """As `mirror_conditions`, for use in a program."""
    drift = partial(drift_of, surrogate, parameters, progress=progress, horizon=horizon)
    log_ratios, advantages = jnp.linspace(-1.5, 1.5, 301), jnp.linspace(-4.0, 4.0, 81)
    grid = drift(*jnp.meshgrid(log_ratios, advantages))
    # In log r, whose slope is that in r but for the factor r.
    near = jnp.asarray([0.0, -_NEAR, _NEAR])
    value, slope = jax.vmap(jax.vmap(jax.value_and_grad(drift), (None, 0)), (0, None))(near, advantages)
    slope = jnp.abs(slope / jnp.exp(near)[:, None]).max(axis=1)
    return {
        "least": grid.min(),
        "at_one": jnp.abs(value[0]).max(),
        "slope_at_one": slope[0],
        "slope_near_one": slope[1:].max(),
    }


def slopes_table(slopes: SurrogateSlopes) -> "pandas.DataFrame":
    """One row per point of the grid: progress, advantage, ratio, loss, drift, gradient."""
    import pandas

    names = ["progress", "advantage", "ratio"]
    axes = [np.asarray(axis) for axis in (slopes.progress, slopes.advantages, slopes.ratios)]
    index = pandas.MultiIndex.from_product(axes, names=names)
    values = {name: np.asarray(getattr(slopes, name)).ravel() for name in ("loss", "drift", "gradient")}
    return pandas.DataFrame(values, index).reset_index()
