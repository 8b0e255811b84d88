"""Advantages and returns over vector rewards, termination and truncation kept apart.

Shapes: `time` leads, any number of batch axes follow, `objective` is last. `next_values` is the
value of the observation that really followed, before any reset, so that a truncated step
bootstraps from where it stopped. Termination sets that value to zero; both kinds of end cut the
trace. `discount` and `trace` are scalars or have one entry per objective. Where `valid` is False
the step tells nothing (see `Rollout.valid`): its error is 0, and what came before ends in v(oₜ).
"""

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Bool, Float
from jaxrl.validity import inverse_share, kept

__all__ = [
    "generalised_advantage",
    "group_relative_advantage",
    "lambda_returns",
    "n_step_returns",
    "retrace",
    "vtrace",
]

Vector = Float[Array, "time *batch objective"]
Flag = Bool[Array, "time *batch"]
Rate = Float[Array, "..."] | float

_UNROLL = 8


def _one_step_errors(
    rewards: Vector, values: Vector, next_values: Vector, terminated: Flag, discount: Rate, valid: Flag | None
) -> Vector:
    """δₜ = rₜ + γ (1 - terminatedₜ) v(o'ₜ) - v(oₜ)."""
    return kept(valid, rewards + discount * jnp.where(terminated[..., None], 0.0, next_values) - values)


def _backward_sum(terms: Vector, decay: Vector) -> Vector:
    """xₜ = termsₜ + decayₜ xₜ₊₁, with x = 0 beyond the end."""

    def body(following: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        term, rate = inputs
        total = term + rate * following
        return total, total

    first = jnp.zeros_like(terms[0])
    return jax.lax.scan(body, first, (terms, decay), reverse=True, unroll=min(_UNROLL, terms.shape[0]))[1]


def generalised_advantage(
    rewards: Vector,
    values: Vector,
    next_values: Vector,
    terminated: Flag,
    truncated: Flag,
    discount: Rate,
    trace: Rate,
    valid: Flag | None = None,
) -> Vector:
    """Generalised advantage estimation, one estimate per objective.

    Aₜ = δₜ + γλ (1 - doneₜ) Aₜ₊₁ with δₜ = rₜ + γ (1 - terminatedₜ) v(o'ₜ) - v(oₜ)
    (Schulman et al., 2016, equation 16). Linear in rewards and values, hence
    w·A(r, v) = A(w·r, w·v).
    """
    errors = _one_step_errors(rewards, values, next_values, terminated, discount, valid)
    alive = 1.0 - (terminated | truncated)[..., None].astype(errors.dtype)
    decay = jnp.broadcast_to(discount * trace * alive, errors.shape)
    return _backward_sum(errors, decay)


def group_relative_advantage(
    rewards: Float[Array, "time env objective"],
    done: Bool[Array, "time env"],
    group_size: int,
    epsilon: float = 1e-4,
    valid: Bool[Array, "time env"] | None = None,
) -> Float[Array, "time env objective"]:
    """How much better an episode was than the others of its group, the same for all of its steps.

    Aᵢ = (Rᵢ − mean_g R)/(std_g R + ε) with R the undiscounted return of each copy's first episode and groups of
    consecutive copies that started alike (GRPO, Shao et al., 2024, section 4.1.2; for each reward apart, GDPO, arXiv
    2601.05242, equation 4). Steps after the first episode get 0, and so does an episode with a step that is not valid,
    whose return no other is compared with.

    Raises:
        ValueError: if `group_size` does not divide the number of copies.
    """
    num_envs, num_objectives = rewards.shape[1:]
    if num_envs % group_size:
        raise ValueError(f"group_size={group_size} does not divide the {num_envs} copies")
    ended_before = jnp.cumsum(done, axis=0) - done > 0
    first = ~ended_before[..., None]
    returns = jnp.sum(jnp.where(first, rewards, 0.0), axis=0).reshape(-1, group_size, num_objectives)
    whole = None if valid is None else jnp.all(valid | ended_before, axis=0).reshape(-1, group_size, 1)
    factor = inverse_share(whole, axis=1)
    centred = kept(whole, returns - kept(whole, returns).mean(axis=1, keepdims=True) * factor)
    deviation = jnp.sqrt(jnp.mean(centred**2, axis=1, keepdims=True) * factor)
    relative = (centred / (deviation + epsilon)).reshape(num_envs, num_objectives)
    return jnp.where(first, relative, 0.0)


def lambda_returns(
    rewards: Vector,
    values: Vector,
    next_values: Vector,
    terminated: Flag,
    truncated: Flag,
    discount: Rate,
    trace: Rate,
    valid: Flag | None = None,
) -> Vector:
    """Gₜ = rₜ + γ(1 - terminatedₜ)[(1-λₜ) v(o'ₜ) + λₜ Gₜ₊₁], λₜ = 0 at an end (Sutton and Barto, 2018, 12.3)."""
    return values + generalised_advantage(rewards, values, next_values, terminated, truncated, discount, trace, valid)


def n_step_returns(
    rewards: Vector, next_values: Vector, terminated: Flag, truncated: Flag, discount: Rate, num_steps: int
) -> Vector:
    """Gₜ = rₜ + γ rₜ₊₁ + … + γⁿ v(o'ₜ₊ₙ₋₁), cut at the end of the episode or of the batch.

    Args:
        num_steps: n, at least 1; static.

    Raises:
        ValueError: for n below 1.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1, got {num_steps}")
    done = (terminated | truncated)[..., None]
    bootstrap = rewards + discount * jnp.where(terminated[..., None], 0.0, next_values)

    def extend(shorter: Vector, _: None) -> tuple[Vector, None]:
        # One step longer: look one step ahead, unless the episode or the batch ends here.
        ahead = jnp.concatenate([shorter[1:], shorter[-1:]])
        longer = jnp.where(done, bootstrap, rewards + discount * ahead)
        return longer.at[-1].set(bootstrap[-1]), None

    return jax.lax.scan(extend, bootstrap, None, length=num_steps - 1)[0]


def vtrace(
    rewards: Vector,
    values: Vector,
    next_values: Vector,
    terminated: Flag,
    truncated: Flag,
    log_ratios: Float[Array, " time *batch"],
    discount: Rate,
    trace: Rate = 1.0,
    ratio_clip: Rate = 1.0,
    trace_clip: Rate = 1.0,
    clipping: Rate = 1.0,
    valid: Flag | None = None,
) -> tuple[Vector, Vector]:
    """V-trace targets and policy-gradient advantages (Espeholt et al., 2018, section 4.1).

    vₜ = V(oₜ) + Σ γᵏ (Π c) ρ δ with ρ = min(ρ̄, π/μ), c = λ min(c̄, π/μ), and
    advantages ρₜ (rₜ + γ vₜ₊₁ - V(oₜ)), where vₜ₊₁ is V(o'ₜ) at an end.

    Args:
        log_ratios: log π(a|o) - log μ(a|o), of the target over the behaviour policy.
        trace: λ in [0, 1].
        ratio_clip: ρ̄.
        trace_clip: c̄.
        clipping: α in [0, 1]; ρ and c are α times the clipped and 1 - α times the whole ratio: leaky V-trace (Zahavy et
            al., 2020, arXiv 2002.12928, section 3.3).
    """
    # Finite: without a leak, 0 times an infinite ratio would not be a number.
    ratios = jnp.exp(jnp.minimum(log_ratios, 80.0))[..., None]
    leak = (1.0 - clipping) * ratios
    rho = clipping * jnp.minimum(ratio_clip, ratios) + leak
    c = trace * (clipping * jnp.minimum(trace_clip, ratios) + leak)
    errors = rho * _one_step_errors(rewards, values, next_values, terminated, discount, valid)
    done = (terminated | truncated)[..., None]
    decay = jnp.broadcast_to(jnp.where(done, 0.0, discount * c), errors.shape)
    targets = values + _backward_sum(errors, decay)
    following = jnp.concatenate([targets[1:], next_values[-1:]])
    following = jnp.where(done, next_values, following)
    following = jnp.where(terminated[..., None], 0.0, following)
    return targets, rho * kept(valid, rewards + discount * following - values)


def retrace(
    rewards: Vector,
    action_values: Vector,
    next_values: Vector,
    terminated: Flag,
    truncated: Flag,
    log_ratios: Float[Array, " time *batch"],
    discount: Rate,
    trace: Rate = 1.0,
    valid: Flag | None = None,
) -> Vector:
    """Retrace targets of action values (Munos et al., 2016, equation 4).

    Gₜ = rₜ + γ(1 - terminatedₜ)[v(o'ₜ) + cₜ₊₁ (Gₜ₊₁ - q(oₜ₊₁, aₜ₊₁))] with c = λ min(1, π/μ), and c = 0 across an end.

    Args:
        action_values: q(oₜ, aₜ) of the actions taken.
        next_values: v(o'ₜ) = Σ π(a|o'ₜ) q(o'ₜ, a).
        log_ratios: log π(a|o) - log μ(a|o), of the target over the behaviour policy.
        trace: λ in [0, 1].
    """
    errors = _one_step_errors(rewards, action_values, next_values, terminated, discount, valid)
    c = trace * jnp.minimum(1.0, jnp.exp(log_ratios))[..., None]
    following = jnp.concatenate([c[1:], jnp.zeros_like(c[-1:])])
    done = (terminated | truncated)[..., None]
    decay = jnp.broadcast_to(jnp.where(done, 0.0, discount * following), errors.shape)
    return action_values + _backward_sum(errors, decay)
