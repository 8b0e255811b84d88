"""What a trajectory objective does, in numbers: how its targets respond to a reward that arrives later."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents.base import Progress
from jaxrl.objectives.lpg import LPGTargets
from jaxrl.objectives.trajectory import Trajectory, TrajectoryObjective
from jaxrl.types import Array, Float, PyTree

if TYPE_CHECKING:
    import pandas

__all__ = ["TargetResponse", "response_table", "target_response"]

Numbers = Sequence[float] | Float[np.ndarray, " number"] | Float[Array, " number"]


class TargetResponse(NamedTuple):
    """How targets at time 0 change when a reward of 1 arrives after d steps, under one action probability throughout.

    Attributes:
        delays: d.
        probabilities: π(a|s) of the actions taken.
        discounts: γ.
        progress: t/T of every slice.
        horizons: T.
        policy: change of π̂, what multiplies log π in the agent's ascent; an advantage in A2C.
        output: change of ŷ: of a value, or of every category's probability.
    """

    delays: tuple[int, ...]
    probabilities: Float[Array, " probability"]
    discounts: Float[Array, " discount"]
    progress: Float[Array, " slice"]
    horizons: Float[Array, " horizon"]
    policy: Float[Array, "horizon slice discount probability delay"]
    output: Float[Array, "horizon slice discount probability delay output"]


def target_response(
    objective: TrajectoryObjective,
    parameters: PyTree,
    delays: Sequence[int],
    probabilities: Numbers = (0.2, 0.5, 0.8),
    discounts: Numbers = (0.99,),
    progress: Numbers = (0.0,),
    horizons: Numbers = (1.0,),
    output: Float[Array, " output"] | None = None,
    ends: bool = False,
) -> TargetResponse:
    """What targets at time 0 become when a reward arrives, less what they are without one.

    The rollout is longest delay + 1 steps long and the same at every step but for that reward; with A2C's objective the
    response is (γλ)^d.

    Args:
        objective: whose targets are a pair of policy and output targets, as those of A2C and LPG are.
        parameters: its leaf of hyperparameters.
        delays: d ≥ 0, in steps.
        probabilities: of the actions taken, in (0, 1].
        discounts: γ.
        progress: t/T, one slice each.
        horizons: T, in iterations.
        output: y at every step; zeros (value 0, equal categories) if None.
        ends: whether the episode terminates after delay d, with the reward and without.

    Raises:
        ValueError: for delays that are negative or none, probabilities out of range, or targets of another form.
    """
    _validate_response(delays, probabilities)
    axes = [np.asarray(axis, np.float32) for axis in (horizons, progress, discounts, probabilities)]
    output = np.zeros(objective.num_outputs, np.float32) if output is None else output
    policy, predicted = _responses(objective, tuple(delays), ends, parameters, output, *axes)
    return TargetResponse(tuple(delays), *(jnp.asarray(axis) for axis in reversed(axes)), policy, predicted)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _responses(
    objective: TrajectoryObjective, delays: tuple[int, ...], ends: bool, parameters: PyTree, output: Array, *axes: Array
) -> tuple[Array, Array]:
    """Over horizons, progress, discounts and probabilities, in this order."""
    respond = partial(_respond, objective, parameters, delays, output, ends)
    for mapped in (3, 2, 1, 0):
        respond = jax.vmap(respond, tuple(0 if axis == mapped else None for axis in range(4)))
    return respond(*axes)


def _validate_response(delays: Sequence[int], probabilities: Numbers) -> None:
    if len(delays) == 0 or min(delays) < 0:
        raise ValueError(f"delays must be steps from 0 on, got {list(delays)}")
    if np.min(probabilities) <= 0.0 or np.max(probabilities) > 1.0:
        raise ValueError(f"probabilities must lie in (0, 1], got {np.asarray(probabilities).tolist()}")


def _respond(
    objective: TrajectoryObjective,
    parameters: PyTree,
    delays: tuple[int, ...],
    output: Float[Array, " output"],
    ends: bool,
    horizon: Float[Array, ""],
    progress: Float[Array, ""],
    discount: Float[Array, ""],
    probability: Float[Array, ""],
) -> tuple[Float[Array, " delay"], Float[Array, "delay output"]]:
    """Copies of the environment are delays, with the reward and then without."""
    arrives = jnp.arange(max(delays) + 1)[:, None] == jnp.asarray(delays)
    reward = jnp.concatenate([arrives, jnp.zeros_like(arrives)], axis=1).astype(jnp.float32)
    outputs = jnp.broadcast_to(output, (*reward.shape, output.shape[0]))
    never = jnp.zeros(reward.shape, bool)
    trajectory = Trajectory(
        reward=reward,
        probability=jnp.broadcast_to(probability, reward.shape),
        output=outputs,
        next_output=outputs,
        terminated=jnp.concatenate([arrives, arrives], axis=1) if ends else never,
        truncated=never,
        discount=discount,
        progress=Progress(progress, horizon),
    )
    first = (leaf[0] for leaf in _policy_and_output(objective.targets(trajectory, parameters)))
    with_and_without = (jnp.split(leaf, 2) for leaf in first)
    policy, predicted = (changed - unchanged for changed, unchanged in with_and_without)
    return policy, predicted


def _policy_and_output(targets: PyTree) -> tuple[Float[Array, "time env"], Float[Array, "time env output"]]:
    if isinstance(targets, LPGTargets):
        return targets.policy, jnp.exp(targets.output)
    if isinstance(targets, tuple) and len(targets) == 2 and targets[1].ndim == targets[0].ndim + 1 == 3:
        return targets[0], targets[1]
    raise ValueError(
        f"targets of this objective are {type(targets).__name__}, not policy [time, env] and output "
        "[time, env, output] targets, whose response could be read"
    )


def response_table(response: TargetResponse) -> "pandas.DataFrame":
    """One row per case: horizon, progress, discount, probability, delay, policy, and output_<k> for every output."""
    import pandas

    names = ["horizon", "progress", "discount", "probability", "delay"]
    axes = [response.horizons, response.progress, response.discounts, response.probabilities, response.delays]
    index = pandas.MultiIndex.from_product([np.asarray(axis).tolist() for axis in axes], names=names)
    outputs = np.asarray(response.output).reshape(-1, response.output.shape[-1])
    columns = {f"output_{k}": outputs[:, k] for k in range(outputs.shape[1])}
    return pandas.DataFrame({"policy": np.asarray(response.policy).ravel(), **columns}, index).reset_index()
