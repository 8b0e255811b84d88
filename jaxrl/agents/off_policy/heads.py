"""What a critic's outputs mean: a mean, a categorical distribution, or quantiles; every objective has its own.

Outputs have the shape `[*batch, objective, atom]`, those of a whole network actions before the objectives.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.ranges import NUMBER, Range
from jaxrl.registry import Registry
from jaxrl.types import Array, Float, PRNGKeyArray

__all__ = ["HEADS", "Head", "huber", "project", "quantile_loss"]

Parameters = Mapping[str, Any]
Atoms = Float[Array, "*batch objective atom"]
# Of quantiles, a target may have another number.
Targets = Float[Array, "*batch objective target_atom"]
Vector = Float[Array, "*batch objective"]


class Head(NamedTuple):
    """A meaning of a critic's outputs.

    Attributes:
        num_atoms: outputs for each value.
        mean: `(outputs, parameters) -> [*batch, objective]`: E[Z].
        target: `(rewards, factor, outputs, parameters) -> target`: of rewards + factor Z', from the outputs for Z';
            `factor` is `[*batch, objective]` or broadcasts, 0 after a termination.
        loss: `(outputs, target, taus, parameters) -> [*batch, objective]`.
        parameters: traced defaults, by name.
        ranges: of these.
        taus: `(key, batch shape) -> fractions [*batch, atom]` of an implicit network; None of others.
        fractions: those to act by, `[fraction]`.
        averages: whether a mixture over actions of outputs is the outputs of the mixture's mean or quantiles, so that
            values may be soft; not so of logits.
    """

    num_atoms: int
    mean: Callable[[Array, Parameters], Vector]
    target: Callable[[Vector, Array, Atoms, Parameters], Atoms]
    loss: Callable[[Atoms, Atoms, Array | None, Parameters], Vector]
    parameters: Mapping[str, float] = MappingProxyType({})
    ranges: Mapping[str, Range] = MappingProxyType({})
    taus: Callable[[PRNGKeyArray, tuple[int, ...]], Array] | None = None
    fractions: Array | None = None
    averages: bool = True


def huber(errors: Array, threshold: float = 1.0) -> Array:
    """½ e² within ±κ, κ (|e| - ½ κ) beyond (Huber, 1964)."""
    size = jnp.abs(errors)
    inner = jnp.minimum(size, threshold)
    return 0.5 * inner**2 + threshold * (size - inner)


def _shifted(rewards: Vector, factor: Array, outputs: Atoms, parameters: Parameters) -> Atoms:
    """r + γ z, atom by atom."""
    return rewards[..., None] + factor[..., None] * outputs


def _scalar(error: Callable[[Array], Array]) -> Callable[[int], Head]:
    def build(num_atoms: int) -> Head:
        def loss(outputs: Atoms, target: Atoms, taus: Array | None, parameters: Parameters) -> Vector:
            return error(outputs - target)[..., 0]

        return Head(1, lambda outputs, _: outputs[..., 0], _shifted, loss)

    return build


def support(num_atoms: int, parameters: Parameters) -> Float[Array, " atom"]:
    """Evenly spaced values from v_min to v_max."""
    low, high = parameters["v_min"], parameters["v_max"]
    return low + (high - low) * jnp.arange(num_atoms) / (num_atoms - 1)


def project(
    values: Atoms, probabilities: Atoms, low: Float[Array, ""], high: Float[Array, ""], num_atoms: int
) -> Atoms:
    """A distribution on other values as one on `num_atoms` even ones, mass shared between the two nearest.

    m_i = Σⱼ pⱼ [1 - |clip(zⱼ, v_min, v_max) - z_i| / Δz]₀¹ (Bellemare et al., 2017, equation 7): a hat around every
    atom, so that mass exactly on one stays whole.
    """
    gap = (high - low) / (num_atoms - 1)
    places = (jnp.clip(values, low, high) - low) / gap
    # Sums over an axis of pairs are slow on a CPU; sums in no order differ from run to run on a GPU.
    return jax.lax.platform_dependent(places, probabilities, cpu=partial(_scattered, num_atoms), default=_by_hats)


def _scattered(num_atoms: int, places: Atoms, probabilities: Atoms) -> Atoms:
    flat, mass = places.reshape(-1, places.shape[-1]), probabilities.reshape(-1, places.shape[-1])
    below = jnp.floor(flat)
    share, lower = flat - below, below.astype(jnp.int32)
    rows = jnp.arange(flat.shape[0])[:, None]
    shared = jnp.zeros((flat.shape[0], num_atoms)).at[rows, lower].add(mass * (1.0 - share))
    shared = shared.at[rows, jnp.minimum(lower + 1, num_atoms - 1)].add(mass * share)
    return shared.reshape(*places.shape[:-1], num_atoms)


def _by_hats(places: Atoms, probabilities: Atoms) -> Atoms:
    hats = jnp.clip(1.0 - jnp.abs(places[..., None] - jnp.arange(places.shape[-1])), 0.0, 1.0)
    return jnp.matmul(probabilities[..., None, :], hats, precision="highest")[..., 0, :]


def categorical(num_atoms: int) -> Head:
    """C51: logits over even values between two traced ends; cross-entropy to the projected target."""

    def mean(outputs: Array, parameters: Parameters) -> Vector:
        return jax.nn.softmax(outputs) @ support(num_atoms, parameters)

    def target(rewards: Vector, factor: Array, outputs: Atoms, parameters: Parameters) -> Atoms:
        values = _shifted(rewards, factor, support(num_atoms, parameters), parameters)
        low, high = parameters["v_min"], parameters["v_max"]
        return project(values, jax.nn.softmax(outputs), low, high, num_atoms)

    def loss(outputs: Atoms, target: Atoms, taus: Array | None, parameters: Parameters) -> Vector:
        return -jnp.sum(target * jax.nn.log_softmax(outputs), axis=-1)

    ends = {"v_min": -10.0, "v_max": 10.0}
    return Head(num_atoms, mean, target, loss, ends, dict.fromkeys(ends, NUMBER), averages=False)


def quantile_loss(outputs: Atoms, target: Targets, taus: Float[Array, "... atom"]) -> Vector:
    """Σᵢ meanⱼ |τᵢ - 1{tⱼ < qᵢ}| huber(tⱼ - qᵢ), κ = 1 (Dabney et al., 2018, equation 10)."""
    # Means over pairs, of values and of derivatives, as products: as sums they are ten times slower on a CPU.
    count = target.shape[-1]
    errors = target[..., None, :] - jnp.matmul(outputs[..., :, None], jnp.ones((1, count)), precision="highest")
    sides = jnp.abs(taus[..., None] - (errors < 0.0))
    share = jnp.full(count, 1.0 / count)
    return jnp.sum(jnp.matmul(sides * huber(errors), share, precision="highest"), axis=-1)


def _midpoints(num_atoms: int) -> Float[Array, " atom"]:
    return (jnp.arange(num_atoms) + 0.5) / num_atoms


def _of_atoms(outputs: Array, parameters: Parameters) -> Vector:
    return jnp.mean(outputs, axis=-1)


def quantile(num_atoms: int) -> Head:
    """QR-DQN: quantiles at the midpoints of equal shares."""

    def loss(outputs: Atoms, target: Targets, taus: Array | None, parameters: Parameters) -> Vector:
        return quantile_loss(outputs, target, _midpoints(num_atoms))

    return Head(num_atoms, _of_atoms, _shifted, loss)


def implicit(num_atoms: int) -> Head:
    """IQN: quantiles at fractions drawn for every sample (Dabney et al., 2018b); acts by 32 even ones."""

    def loss(outputs: Atoms, target: Atoms, taus: Array | None, parameters: Parameters) -> Vector:
        return quantile_loss(outputs, target, taus[..., None, :])

    draw = lambda key, batch: jax.random.uniform(key, (*batch, num_atoms))  # noqa: E731
    return Head(num_atoms, _of_atoms, _shifted, loss, taus=draw, fractions=_midpoints(32))


# `num_atoms -> Head`, by name.
HEADS = Registry(
    "head",
    {
        "squared": _scalar(lambda errors: 0.5 * errors**2),
        "huber": _scalar(huber),
        "categorical": categorical,
        "quantile": quantile,
        "implicit": implicit,
    },
)
