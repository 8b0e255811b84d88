"""Policy gradients per objective, for aggregators that weigh objectives by them."""

import jax
import jax.numpy as jnp

from jaxrl.agents.minibatches import Batch
from jaxrl.agents.on_policy_parts import OnPolicyState, Parts
from jaxrl.agents.settings import OnPolicyHyperparameters
from jaxrl.aggregation import standardise
from jaxrl.types import Array, Float, PyTree

__all__ = ["follow_gradients", "objective_gradients"]


def follow_gradients(
    parts: Parts, state: OnPolicyState, batch: Batch, memory: PyTree, hp: OnPolicyHyperparameters
) -> OnPolicyState:
    """The aggregator's state after it has seen the gradients of this rollout, if it wants to."""
    follow = parts.aggregator.update_from_gradients
    if follow is None:
        return state
    gradients = objective_gradients(parts, state.params, batch, memory)
    return state._replace(aggregator=follow(state.aggregator, gradients, hp.aggregator))


def objective_gradients(
    parts: Parts, params: PyTree, batch: Batch, memory: PyTree
) -> Float[Array, "objective parameter"]:
    """gᵢ = ∇ mean(Aᵢ log π) over a whole rollout, all parameters as one vector.

    At the parameters that acted this is minus the gradient of every surrogate. Aᵢ is standardised as the aggregator
    does it (`standardise_each`).
    """
    advantage = batch.advantage
    if parts.aggregator.standardise_each:
        advantage = standardise(advantage, (0, 1), where=batch.paying, valid=batch.valid)

    def gains(params: PyTree) -> Float[Array, " objective"]:
        parameters, _, _ = parts.network.sequence(params, batch.observation, batch.weights, memory, batch.start)
        log_prob = parts.distribution.log_prob(parameters, batch.raw_action)
        return jnp.mean(advantage * log_prob[..., None], axis=(0, 1))

    jacobian = jax.tree.leaves(jax.jacrev(gains)(params))
    return jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in jacobian], axis=1)
