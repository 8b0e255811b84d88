"""Entropy-regularised policies of a known finite model, as fixed points that the outer problem can differentiate.

A policy is a table of logits θ, π = softmax(θ) in each state; rewards are tables `[state, action]`.
"""

import jax
import jax.numpy as jnp

from jaxrl.errors import require_name
from jaxrl.morl.tabular.model import Model
from jaxrl.types import Array, Float

__all__ = ["LOWER_FIELDS", "bellman_field", "expected_return", "lower_field", "policy_gradient_field", "soft_optimum"]

Table = Float[Array, "state action"]
Scalar = Float[Array, ""] | float
LOWER_FIELDS = ("bellman", "policy_gradient")


def bellman_field(model: Model, logits: Table, reward: Table, discount: Scalar, temperature: Scalar) -> Table:
    """g(θ) = (r + γ V_θ(s′))/τ − θ with V_θ(s) = τ log Σ exp θ(s, a); zero where π = softmax(θ) is the soft optimum.

    Its Jacobian is γP_π − I: no gradient's, not symmetric, but with eigenvalues within γ of −1, so that steps of size 1
    and Neumann's series of that step converge like γⁿ.
    """
    values = temperature * jax.nn.logsumexp(logits, axis=-1)
    following = jnp.where(model.terminated, 0.0, values[model.successor])
    return (reward + discount * following) / temperature - logits


def policy_gradient_field(model: Model, logits: Table, reward: Table, discount: Scalar, temperature: Scalar) -> Table:
    """g(θ) = ∇_θ mean over states of V(s), V = E Σ γᵗ (r − τ log π): exact, zero at the same policies.

    Its Jacobian is a Hessian, symmetric; adding a number to all logits of a state changes nothing, hence one
    eigenvalue 0 per state, and others as small as the least likely action: solve with damping.
    """

    def mean_value(logits: Array) -> Array:
        log_policy = jax.nn.log_softmax(logits)
        policy = jnp.exp(log_policy)
        count = logits.shape[0]
        follows = jax.nn.one_hot(model.successor, count, dtype=logits.dtype) * ~model.terminated[..., None]
        onward = jnp.einsum("sa,sat->st", policy, follows)
        gain = jnp.sum(policy * (reward - temperature * log_policy), axis=-1)
        return jnp.linalg.solve(jnp.eye(count, dtype=logits.dtype) - discount * onward, gain).mean()

    return jax.grad(mean_value)(logits)


def lower_field(name: str, model: Model, logits: Table, reward: Table, discount: Scalar, temperature: Scalar) -> Table:
    """The field of that name.

    Raises:
        UnknownNameError: for another than `bellman` and `policy_gradient`.
    """
    require_name("lower field", name, LOWER_FIELDS)
    field = bellman_field if name == "bellman" else policy_gradient_field
    return field(model, logits, reward, discount, temperature)


def soft_optimum(
    model: Model, reward: Table, discount: Scalar, temperature: Scalar, iterations: int, logits: Table | None = None
) -> Table:
    """Logits of the policy that maximises E Σ γᵗ (r − τ log π), by `iterations` of soft value iteration: error ~ γⁿ."""
    start = jnp.zeros_like(reward) if logits is None else logits
    step = lambda _, logits: logits + bellman_field(model, logits, reward, discount, temperature)  # noqa: E731
    return jax.lax.fori_loop(0, iterations, step, start)


def expected_return(model: Model, logits: Table, reward: Table, horizon: int) -> Float[Array, ""]:
    """E Σ r over `horizon` steps from the model's first state, without discount or entropy."""
    policy = jax.nn.softmax(logits)

    def backup(values: Array, _: None) -> tuple[Array, None]:
        following = jnp.where(model.terminated, 0.0, values[model.successor])
        return jnp.sum(policy * (reward + following), axis=-1), None

    return jax.lax.scan(backup, jnp.zeros_like(reward[:, 0]), None, horizon)[0][model.start]
