"""Auxiliary actor-critics on the layers of the one that acts: each learns, off its policy, with settings of its own."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.acting import see
from jaxrl.agents.base import Rollout
from jaxrl.agents.on_policy_parts import OnPolicyState, Parts
from jaxrl.agents.on_policy_update import paid_rewards
from jaxrl.agents.settings import OnPolicyHyperparameters
from jaxrl.aggregation import standardise
from jaxrl.numerics import returns
from jaxrl.objectives.value import squared_error
from jaxrl.types import Array, Float, PyTree
from jaxrl.validity import constant_unless

__all__ = ["HeadSettings", "auxiliary_loss"]


class HeadSettings(NamedTuple):
    """What auxiliary heads learn by, leading axis `head`.

    Attributes:
        discount: γ.
        trace: λ.
        clipping: share of clipped importance weights: 1 is V-trace, 0 does not clip.
        policy_coefficient: of the policy loss.
        value_coefficient: of the value loss.
        entropy_coefficient: of the bonus for the policy's entropy.
    """

    discount: Float[Array, "head ..."]
    trace: Float[Array, "head ..."]
    clipping: Float[Array, "head ..."]
    policy_coefficient: Float[Array, "head ..."]
    value_coefficient: Float[Array, "head ..."]
    entropy_coefficient: Float[Array, "head ..."]


def auxiliary_loss(
    parts: Parts, state: OnPolicyState, rollout: Rollout, settings: HeadSettings, hp: OnPolicyHyperparameters
) -> Callable[[PyTree], Float[Array, ""]]:
    """The sum of the auxiliary heads' losses on a rollout of the first, as a function of the network's parameters.

    Of head i: c_p L_p + c_v L_v - c_e H with L_p = -mean(A log πᵢ(a|o)), A and the value targets by leaky V-trace of πᵢ
    over the policy that acted, under the parameters before the update (Zahavy et al., 2020, arXiv 2002.12928, sections
    3.2 and 3.3). Advantages of several objectives are summed by the preference weights; where objectives are tasks,
    only the one that pays counts. Value errors are squared, `clip_values` or not.

    Nothing is cut from differentiation with respect to the settings.
    """
    distribution, weights = parts.distribution, jnp.broadcast_to(rollout.weights, rollout.reward.shape)
    inputs = (see(state, rollout.observation, hp), weights, rollout.memory, rollout.start)
    final = see(state, rollout.final_observation, hp)
    parameters, values, following = parts.heads.along(state.params, inputs[0], final, *inputs[1:])
    log_prob = jax.vmap(distribution.log_prob, in_axes=(-2, None), out_axes=-1)
    acted = log_prob(parameters, rollout.raw_action)
    reward, _, paid = paid_rewards(parts, state, rollout, hp)
    scalar = parts.config.scalarise == "before_estimation"
    tasks = paid is not None and not scalar
    mask = paid if tasks else jnp.ones(reward.shape)
    values, following = mask[..., None, :] * values, mask[..., None, :] * following

    def estimate(settings: HeadSettings, value: Array, following: Array, log_ratio: Array) -> tuple[Array, Array]:
        target, advantage = returns.vtrace(
            reward, value, following, rollout.terminated, rollout.truncated, log_ratio,
            settings.discount, settings.trace, clipping=settings.clipping, valid=rollout.valid,
        )  # fmt: skip
        weighted = (advantage if scalar else weights * advantage).sum(axis=-1)
        if parts.config.standardise_advantages == "none":
            return target, weighted
        return target, standardise(weighted, valid=rollout.valid)

    each = jax.vmap(estimate, in_axes=(0, -2, -2, -1))
    log_ratio = acted[..., 1:] - acted[..., :1]
    targets, advantages = each(settings, values[..., 1:, :], following[..., 1:, :], log_ratio)

    def one(settings: HeadSettings, parameters: Array, values: Array, target: Array, advantage: Array) -> Array:
        policy = -jnp.mean(advantage * distribution.log_prob(parameters, rollout.raw_action))
        entropy = jnp.mean(distribution.entropy(parameters))
        errors = mask * squared_error(values, target)
        value = jnp.mean(errors.sum(axis=-1) if tasks else errors)
        return (
            settings.policy_coefficient * policy
            + settings.value_coefficient * value
            - settings.entropy_coefficient * entropy
        )

    def total(params: PyTree) -> Float[Array, ""]:
        parameters, values = constant_unless(rollout.valid, parts.heads.sequence(params, *inputs)[:2])
        losses = jax.vmap(one, in_axes=(0, -2, -2, 0, 0))(
            settings, parameters[..., 1:, :], values[..., 1:, :], targets, advantages
        )
        return losses.sum()

    return total
