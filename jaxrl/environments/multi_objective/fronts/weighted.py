"""The best expected return for given weights, by backward induction on device."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.multi_objective.fronts.model import FiniteModel
from jaxrl.types import Array, Float

__all__ = ["weighted_solver"]


def weighted_solver(model: FiniteModel, discount: float, horizon: int) -> Callable[[np.ndarray], np.ndarray]:
    """`weights [batch, objective] -> values [batch, objective]` of optimal policies from state 0.

    V₀(s) = 0,  a* = argmaxₐ w·Qₕ(s, a),  Vₕ(s) = Qₕ(s, a*),  Qₕ(s, a) = r(s, a) + γ Σₖ pₖ Vₕ₋₁(sₖ)

    Computed in float64, one program for a batch of weights.
    """

    def value(weights: Float[Array, " objective"], model: FiniteModel) -> Float[Array, " objective"]:
        num_states, _, num_objectives = model.rewards.shape

        def backup(_: Array, values: Float[Array, "state objective"]) -> Float[Array, "state objective"]:
            following = jnp.sum(model.probabilities[..., None] * values[model.successors], axis=-2)
            return _best_by_weights(model.rewards + discount * following, weights)

        return jax.lax.fori_loop(0, horizon, backup, jnp.zeros((num_states, num_objectives)))[0]

    compiled = jax.jit(jax.vmap(value, in_axes=(0, None)))

    def solve(weights: np.ndarray) -> np.ndarray:
        with jax.enable_x64(True):
            return np.asarray(compiled(jnp.asarray(weights), jax.tree.map(jnp.asarray, model)))

    return solve


def _best_by_weights(
    values: Float[Array, "*batch action objective"], weights: Float[Array, " objective"]
) -> Float[Array, "*batch objective"]:
    """The value of the action with the largest w·v, and of equal ones that with the largest sum.

    So zero weights never choose a dominated value: maximising (w·v, Σv) in lexicographic order is
    a dynamic programme too.
    """
    utility = values @ weights
    best = jnp.max(utility, axis=-1, keepdims=True)
    # Rounding in the last places is no preference.
    tied = utility >= best - 1e-11 * jnp.maximum(1.0, jnp.abs(best))
    chosen = jnp.argmax(jnp.where(tied, jnp.sum(values, axis=-1), -jnp.inf), axis=-1)
    return jnp.take_along_axis(values, chosen[..., None, None], axis=-2)[..., 0, :]
