"""How curved a loss is at θ*: the trace of its Hessian, and how far first-order estimates hold."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["ExpansionError", "HessianTrace", "first_order_error", "hessian_trace"]


class HessianTrace(NamedTuple):
    """Hutchinson's estimate.

    Attributes:
        trace: tr ∇²L.
        standard_error: of it, over probes.
        layers: traces of the diagonal blocks, one a leaf of the parameters; they sum to `trace`.
        layer_errors: their standard errors.
    """

    trace: Float[Array, ""]
    standard_error: Float[Array, ""]
    layers: PyTree
    layer_errors: PyTree


def hessian_trace(
    loss: Callable[[PyTree], Float[Array, ""]],
    params: PyTree,
    key: PRNGKeyArray,
    num_probes: int = 64,
    probes_at_once: int = 8,
) -> HessianTrace:
    """E[vᵀ∇²L v] = tr ∇²L over Rademacher probes v (Hutchinson, 1990); products by forward over reverse mode.

    The part of v and ∇²L v in one leaf estimates the trace of that leaf's block: the other entries of v are
    independent of it with mean 0.

    Args:
        loss: of the parameters alone; close over data.
        params: θ*.
        key: of the probes.
        num_probes: at least 2.
        probes_at_once: products side by side.

    Raises:
        ValueError: for fewer than 2 probes, or fewer than 1 at once.
    """
    if num_probes < 2 or probes_at_once < 1:
        raise ValueError(f"at least 2 probes, 1 at once, are needed; got {num_probes}, {probes_at_once} at once")
    leaves, tree = jax.tree.flatten(params)

    def probe(key: PRNGKeyArray) -> list[Array]:
        keys = jax.random.split(key, len(leaves))
        signs = [jax.random.rademacher(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves)]
        _, product = jax.jvp(jax.grad(loss), (params,), (jax.tree.unflatten(tree, signs),))
        return [jnp.vdot(v, hv) for v, hv in zip(signs, jax.tree.leaves(product))]

    at_once = min(probes_at_once, num_probes)
    drawn = jnp.stack(jax.lax.map(probe, jax.random.split(key, num_probes), batch_size=at_once), axis=1)
    total = drawn.sum(axis=1)
    error = lambda values: values.std(axis=0, ddof=1) / jnp.sqrt(num_probes)  # noqa: E731
    per_layer = lambda values: jax.tree.unflatten(tree, list(values))  # noqa: E731
    return HessianTrace(total.mean(), error(total), per_layer(drawn.mean(axis=0)), per_layer(error(drawn)))


class ExpansionError(NamedTuple):
    """Relative errors of f(θ), by distance and direction; means over the entries of f.

    Attributes:
        first_order: of f(θ*) + ⟨∇f(θ*), θ − θ*⟩.
        zero_order: of f(θ*), the control.
    """

    first_order: Float[Array, "distance direction"]
    zero_order: Float[Array, "distance direction"]


def first_order_error(
    function: Callable[[PyTree], Float[Array, "*entry"]],
    params: PyTree,
    directions: PyTree,
    distances: Float[Array, " distance"],
) -> ExpansionError:
    """|f(θ) − f(θ*) − ⟨g, θ − θ*⟩| / max(|f(θ)|, |f(θ*)|) at relative distances ‖θ − θ*‖/‖θ*‖; not squared.

    The check of PolicyGradEx (arXiv 2511.12779), which reports at most about 2 % up to a distance of 1 %. Code of the
    same authors for supervised losses averages its square, which is smaller.

    Args:
        function: f, of numbers such as log π(a|o) of many samples; 0 where f(θ) = f(θ*) = 0.
        params: θ*.
        directions: θ − θ* up to length, leaves with a leading axis of directions.
        distances: relative to ‖θ*‖.
    """
    measure = partial(_errors, function, params)
    over_directions = lambda distance: jax.lax.map(lambda d: measure(d, distance), directions)  # noqa: E731
    return jax.lax.map(over_directions, distances)


def _errors(
    function: Callable[[PyTree], Array], params: PyTree, direction: PyTree, distance: Float[Array, ""]
) -> ExpansionError:
    length = distance * optax.tree.norm(params) / optax.tree.norm(direction)
    step = jax.tree.map(lambda leaf: length * leaf, direction)
    here, slope = jax.jvp(function, (params,), (step,))
    there = function(jax.tree.map(jnp.add, params, step))
    largest = jnp.maximum(jnp.abs(here), jnp.abs(there))
    relative = lambda gap: jnp.mean(jnp.where(largest > 0, jnp.abs(gap) / jnp.where(largest > 0, largest, 1.0), 0.0))  # noqa: E731
    return ExpansionError(relative(there - here - slope), relative(there - here))
