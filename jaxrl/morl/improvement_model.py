"""How much a policy will gain in each objective under a weight: a hyperbolic model of past gains.

Source: Xu et al., 2020 (PGMORL), section 3.2 and appendix B.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.types import Array, Bool, Float, Int

__all__ = ["History", "empty_history", "predict", "record"]

# Bounds of the model's slope a and centre b, and the scale of its robust loss, from the paper's appendix. Gains are in
# units of the archive's extent, which takes the place of the paper's bounds on A and c.
_SLOPE, _CENTRE = (0.1, 20.0), (-5.0, 5.0)
_LOSS_SCALE = 1.0
_FIT_STEPS, _FIT_RATE = 150, 0.1
_MIN_RECORDS = 4


class History(NamedTuple):
    """Past gains.

    Attributes:
        points: returns before.
        weights: trained under.
        gains: what was gained.
        mask: which rows are filled.
        count: rows written so far.
    """

    points: Float[Array, "record objective"]
    weights: Float[Array, "record objective"]
    gains: Float[Array, "record objective"]
    mask: Bool[Array, " record"]
    count: Int[Array, ""]


def empty_history(capacity: int, num_objectives: int) -> History:
    """A history without records."""
    rows = jnp.zeros((capacity, num_objectives))
    return History(rows, rows, rows, jnp.zeros(capacity, bool), jnp.zeros((), jnp.int32))


def record(
    history: History,
    points: Float[Array, "batch objective"],
    weights: Float[Array, "batch objective"],
    gains: Float[Array, "batch objective"],
) -> History:
    """Appends a batch; rows that are not finite stay empty."""
    rows = history.count + jnp.arange(points.shape[0])
    finite = jnp.all(jnp.isfinite(points) & jnp.isfinite(gains), axis=-1)
    clean = lambda values: jnp.where(finite[:, None], values, 0.0)  # noqa: E731
    return History(
        history.points.at[rows].set(clean(points)),
        history.weights.at[rows].set(weights),
        history.gains.at[rows].set(clean(gains)),
        history.mask.at[rows].set(finite),
        history.count + points.shape[0],
    )


def predict(
    history: History,
    points: Float[Array, "policy objective"],
    weights: Float[Array, "weight objective"],
    scale: Float[Array, " objective"],
    neighbourhood: Float[Array, ""],
) -> Float[Array, "policy weight objective"]:
    """Predicted gains of every policy under every weight.

    Δⱼ(w) = A (e^{a(wⱼ−b)} − 1)/(e^{a(wⱼ−b)} + 1) + c, fitted for every policy and objective to the gains of similar
    policies by a robust loss, records weighted by exp(−‖J − Jᵢ‖²/2σ²). σ begins at `neighbourhood` and doubles until at
    least four records lie within 2σ (all records, if there are fewer).

    Args:
        history: past gains.
        points: returns of the policies.
        weights: preference weights to predict for.
        scale: one unit of each objective.
        neighbourhood: first σ, in those units.
    """
    distance = jnp.linalg.norm((points[:, None] - history.points[None]) / scale, axis=-1)
    distance = jnp.where(history.mask[None], distance, jnp.inf)
    width = jax.vmap(_width, in_axes=(0, None, None))(distance, neighbourhood, history.mask.sum())
    trust = jnp.where(history.mask[None], jnp.exp(-0.5 * (distance / width[:, None]) ** 2), 0.0)
    gains = history.gains / scale
    # One model per policy and objective; objective j's depends on the weight of j alone.
    fit = jax.vmap(jax.vmap(_fit, in_axes=(1, 1, None)), in_axes=(None, None, 0))
    parameters = fit(history.weights, gains, trust)
    curves = jax.vmap(jax.vmap(_curve, in_axes=(0, 1)), in_axes=(0, None))(parameters, weights)
    return jnp.moveaxis(curves, 1, 2) * scale


def _width(distance: Float[Array, " record"], first: Float[Array, ""], count: Int[Array, ""]) -> Float[Array, ""]:
    enough = jnp.minimum(_MIN_RECORDS, count)
    short = lambda width: (jnp.sum(distance <= 2.0 * width) < enough) & (width < 1e6)  # noqa: E731
    return jax.lax.while_loop(short, lambda width: 2.0 * width, jnp.asarray(first, distance.dtype))


def _curve(raw: Float[Array, "4"], weight: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """The model at unconstrained parameters; (e^x − 1)/(e^x + 1) = tanh(x/2)."""
    height, slope, centre, offset = raw
    slope = _SLOPE[0] + (_SLOPE[1] - _SLOPE[0]) * jax.nn.sigmoid(slope)
    centre = _CENTRE[0] + (_CENTRE[1] - _CENTRE[0]) * jax.nn.sigmoid(centre)
    # More weight on an objective never predicts less of it.
    return jax.nn.softplus(height) * jnp.tanh(0.5 * slope * (weight - centre)) + offset


def _fit(
    weight: Float[Array, " record"], gain: Float[Array, " record"], trust: Float[Array, " record"]
) -> Float[Array, "4"]:
    """Weighted soft-L1 regression by Adam from a flat start at the mean gain."""
    total = jnp.maximum(trust.sum(), 1e-9)

    def loss(raw: Array) -> Array:
        error = (_curve(raw, weight) - gain) / _LOSS_SCALE
        return jnp.sum(trust * 2.0 * (jnp.sqrt(1.0 + error**2) - 1.0)) / total

    optimiser = optax.adam(_FIT_RATE)
    start = jnp.stack([jnp.asarray(-2.0), jnp.asarray(-1.0), jnp.asarray(0.2), jnp.sum(trust * gain) / total])

    def body(_: Array, carry: tuple) -> tuple:
        raw, state = carry
        changes, state = optimiser.update(jax.grad(loss)(raw), state)
        return optax.apply_updates(raw, changes), state

    return jax.lax.fori_loop(0, _FIT_STEPS, body, (start, optimiser.init(start)))[0]
