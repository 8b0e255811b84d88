"""Value iteration with vector rewards over a finite horizon, for one set of weights at a time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxrl.morl.tabular.model import Model
from jaxrl.types import Array, Float, Int

__all__ = ["model_expectation", "value_iteration"]

# Actions whose weighted values differ by less, relatively, count as equal.
_TIE = 1e-6


def value_iteration(
    expectation: Callable[[Float[Array, "state objective"]], Float[Array, "state action objective"]],
    reward: Float[Array, "state action objective"],
    weights: Float[Array, " objective"],
    discount: Float[Array, ""],
    horizon: int,
) -> tuple[Float[Array, "state objective"], Int[Array, "time state"]]:
    """The return vectors of the policy that is best for w·V within `horizon` steps.

    Qₕ(s, a) = r(s, a) + γ E Vₕ₋₁(s′),  a* = argmax w·Qₕ(s, a),  Vₕ(s) = Qₕ(s, a*),  V₀ = 0; of
    equally good actions the one with the largest unweighted sum, so that a weight of 0 does not
    give a dominated policy.

    Args:
        expectation: the expected value of what follows, 0 where the episode has ended.
        reward: expected rewards.
        weights: of the objectives, any scale.
        discount: γ in [0, 1].
        horizon: steps to go.

    Returns:
        V with all steps to go, and the action by steps taken and state.
    """

    def backup(values: Array, _: None) -> tuple[Array, Array]:
        q = reward + discount * expectation(values)
        scores = q @ weights
        best = jnp.max(scores, axis=-1, keepdims=True)
        tied = scores >= best - _TIE * (1.0 + jnp.abs(best))
        action = jnp.argmax(jnp.where(tied, jnp.sum(q, axis=-1), -jnp.inf), axis=-1)
        return jnp.take_along_axis(q, action[:, None, None], axis=1)[:, 0], action

    values, actions = jax.lax.scan(backup, jnp.zeros_like(reward[:, 0]), None, horizon)
    return values, actions[::-1]


def model_expectation(model: Model) -> Callable[[Array], Array]:
    """What follows each state and action of a deterministic model."""
    return lambda values: jnp.where(model.terminated[..., None], 0.0, values[model.successor])
