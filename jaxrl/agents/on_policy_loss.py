"""The loss of on-policy agents: surrogate, value error and entropy, per sample and as one number."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.base import Progress
from jaxrl.agents.minibatches import Batch
from jaxrl.agents.on_policy_parts import OnPolicyState, Parts
from jaxrl.agents.settings import OnPolicyHyperparameters
from jaxrl.aggregation import standardise
from jaxrl.objectives.surrogate import SurrogateInputs
from jaxrl.objectives.value import clipped_squared_error, squared_error
from jaxrl.types import Array, Float, PyTree
from jaxrl.validity import constant_unless

__all__ = ["LossTerms", "loss", "loss_metrics", "loss_terms", "standardised"]


class LossTerms(NamedTuple):
    """What a loss is put together of, per sample.

    Attributes:
        policy: the surrogate; under scalarise="after_clipping" a part for each objective, which add up.
        value: error of each value; where objectives are tasks, 0 for those that a sample does not pay.
        entropy: of the policy.
        kl: mean divergence from the policy that acted.
    """

    policy: Float[Array, "*batch part"]
    value: Float[Array, "*batch value"]
    entropy: Float[Array, "*batch"]
    kl: Float[Array, ""]


def standardised(batch: Batch, advantage: Array) -> Array:
    """Advantages standardised over all samples; one of each objective over those that pay it."""
    each = advantage.ndim > batch.log_prob.ndim
    axes = tuple(range(batch.log_prob.ndim))
    return standardise(advantage, axes, where=batch.paying if each else None, valid=batch.valid)


def loss(
    parts: Parts,
    params: PyTree,
    batch: Batch,
    memory: PyTree,
    state: OnPolicyState,
    hp: OnPolicyHyperparameters,
    progress: Progress,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Surrogate + c_v value loss - c_e entropy of one minibatch, and its metrics."""
    return loss_metrics(loss_terms(parts, params, batch, memory, state, hp, progress), batch, hp)


def loss_metrics(
    terms: LossTerms, batch: Batch, hp: OnPolicyHyperparameters
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """The loss that its terms make, and its metrics."""
    value_loss = jnp.mean(terms.value if batch.paying is None else terms.value.sum(axis=-1))
    policy_loss, entropy = jnp.mean(terms.policy.sum(axis=-1)), jnp.mean(terms.entropy)
    total = policy_loss + hp.value_coefficient * value_loss - hp.entropy_coefficient * entropy
    metrics = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "kl": terms.kl,
        "non_finite": (~jnp.isfinite(total)).astype(jnp.float32),
    }
    return total, metrics


def loss_terms(
    parts: Parts,
    params: PyTree,
    batch: Batch,
    memory: PyTree,
    state: OnPolicyState,
    hp: OnPolicyHyperparameters,
    progress: Progress,
) -> LossTerms:
    """The terms of the loss of one minibatch."""
    distribution, config = parts.distribution, parts.config
    outputs = parts.network.sequence(params, batch.observation, batch.weights, memory, batch.start)[:2]
    parameters, values = constant_unless(batch.valid, outputs)
    log_ratio = distribution.log_prob(parameters, batch.raw_action) - batch.log_prob
    if parts.surrogate.uses_divergence:
        kl, kl_to_old = distribution.kl(batch.distribution, parameters), distribution.kl(parameters, batch.distribution)
        mean_kl = jnp.mean(kl)
    else:
        kl = kl_to_old = jnp.zeros_like(log_ratio)
        # E_old[r - 1 - log r] = KL(old ‖ new), without the old distribution.
        mean_kl = jnp.mean(jnp.expm1(log_ratio) - log_ratio)
    advantage = batch.advantage
    if config.standardise_advantages == "minibatch":
        advantage = standardised(batch, advantage)
    inputs = SurrogateInputs(log_ratio, advantage, kl, kl_to_old, progress.fraction, progress.horizon)
    if config.clip_values:
        errors = clipped_squared_error(values, batch.target, batch.value, hp.value_clip)
    else:
        errors = squared_error(values, batch.target)
    if batch.paying is not None and config.scalarise != "before_estimation":
        errors = batch.paying * errors
    policy = _surrogate(parts, inputs, batch, state, hp)
    return LossTerms(policy, errors, distribution.entropy(parameters), mean_kl)


def _surrogate(
    parts: Parts, inputs: SurrogateInputs, batch: Batch, state: OnPolicyState, hp: OnPolicyHyperparameters
) -> Float[Array, "*batch part"]:
    """The policy loss of every sample; with an advantage per objective, cᵢ Lᵢ of each objective's own surrogate.

    The latter is the late-stage weighting of D3PO (arXiv 2602.07764): weights never cancel advantages before clipping.
    """
    if parts.config.scalarise != "after_clipping":
        return parts.surrogate.apply(inputs, hp.objective, state.surrogate)[..., None]
    each = inputs._replace(
        log_ratio=inputs.log_ratio[..., None],
        kl_from_old=inputs.kl_from_old[..., None],
        kl_to_old=inputs.kl_to_old[..., None],
    )
    losses = parts.surrogate.apply(each, hp.objective, state.surrogate)
    coefficients = parts.aggregator.coefficients(state.aggregator, batch.weights, hp.aggregator)
    return jax.lax.stop_gradient(coefficients) * losses
