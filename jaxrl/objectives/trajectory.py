"""Trajectory objectives: from a whole rollout to targets, and the loss that pulls an agent's outputs towards them.

An agent of such an objective has a policy and a second head with `num_outputs` outputs y(s), whose meaning is the
objective's own: a value, or a categorical prediction that a learned rule defines. Hand-written and learned objectives
are interchangeable.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax.numpy as jnp

from jaxrl.numerics import returns
from jaxrl.objectives.value import squared_error
from jaxrl.ranges import PROBABILITY, Range
from jaxrl.registry import Registry
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, Progress, PyTree

__all__ = ["OBJECTIVES", "Heads", "Trajectory", "TrajectoryObjective", "advantage_actor_critic"]


class Trajectory(NamedTuple):
    """What targets may read of a rollout, under the parameters that acted.

    Attributes:
        reward: weighted sum of the objectives.
        probability: π(a|s) of the action taken.
        output: y(s).
        next_output: y of the observation that really followed.
        terminated: the task ended here.
        truncated: a time limit cut the episode here.
        discount: γ.
        progress: where in its life the agent is.
        valid: False where a step tells nothing (see `Rollout.valid`); its loss has no gradient whatever its targets.
    """

    reward: Float[Array, "time env"]
    probability: Float[Array, "time env"]
    output: Float[Array, "time env output"]
    next_output: Float[Array, "time env output"]
    terminated: Bool[Array, "time env"]
    truncated: Bool[Array, "time env"]
    discount: Float[Array, ""]
    progress: Progress
    valid: Bool[Array, "time env"] | None = None


class Heads(NamedTuple):
    """What losses may read, differentiable with respect to the agent's parameters.

    Attributes:
        log_prob: log π(a|s) of the action taken.
        entropy: of π(·|s).
        output: y(s).
    """

    log_prob: Float[Array, "time env"]
    entropy: Float[Array, "time env"]
    output: Float[Array, "time env output"]


class TrajectoryObjective(NamedTuple):
    """One objective.

    Attributes:
        num_outputs: width of the second head.
        init: `key -> parameters`, the traced leaf `hyperparameters.objective`.
        targets: `(Trajectory, parameters) -> targets`, once per rollout.
        loss: `(Heads, targets, parameters, target_coefficient) -> (loss [], metrics)`, minimised by the agent.
        ranges: of parameters, by name; others are any finite numbers.
    """

    num_outputs: int
    init: Callable[[PRNGKeyArray | None], PyTree]
    targets: Callable[[Trajectory, PyTree], PyTree]
    loss: Callable[[Heads, PyTree, PyTree, Array], tuple[Array, dict[str, Array]]]
    ranges: Mapping[str, Range] = MappingProxyType({})

    def __hash__(self) -> int:
        # Of all but the ranges: a mapping has no hash, and a static argument needs one.
        return hash(self[:-1])


def advantage_actor_critic() -> TrajectoryObjective:
    """-A log π + c_v (v - G)²/2 - c_e H with generalised advantages (A2C, Mnih et al., 2016); y is the value."""

    def init(key: PRNGKeyArray | None) -> dict[str, Array]:
        return {"gae_lambda": jnp.asarray(0.95), "entropy_coefficient": jnp.asarray(0.01)}

    def targets(trajectory: Trajectory, parameters: Mapping[str, Array]) -> tuple[Array, Array]:
        advantage = returns.generalised_advantage(
            trajectory.reward[..., None],
            trajectory.output,
            trajectory.next_output,
            trajectory.terminated,
            trajectory.truncated,
            trajectory.discount,
            parameters["gae_lambda"],
            trajectory.valid,
        )
        return advantage[..., 0], advantage + trajectory.output

    def loss(heads: Heads, targets: tuple, parameters: Mapping[str, Array], coefficient: Array) -> tuple:
        advantage, target = targets
        policy_loss = -jnp.mean(advantage * heads.log_prob)
        value_loss = jnp.mean(squared_error(heads.output, target))
        entropy = heads.entropy.mean()
        total = policy_loss + coefficient * value_loss - parameters["entropy_coefficient"] * entropy
        return total, {"policy_loss": policy_loss, "output_loss": value_loss}

    return TrajectoryObjective(1, init, targets, loss, {"gae_lambda": PROBABILITY})


# Builders `(num_outputs, objective_size) -> TrajectoryObjective`.
OBJECTIVES = Registry(
    "trajectory objective",
    {
        "lpg": "jaxrl.objectives.lpg:learned_policy_gradient",
        "time_aware_lpg": "jaxrl.objectives.lpg:time_aware_policy_gradient",
        "a2c": lambda num_outputs, objective_size: advantage_actor_critic(),
    },
    TrajectoryObjective,
)
