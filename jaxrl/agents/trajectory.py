"""The agent of a trajectory objective: one descent step per rollout, towards targets that the objective makes of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.acting import Acting, act, explore, make_acting, score, value
from jaxrl.agents.base import Agent, Progress, Rollout
from jaxrl.agents.optimisation import make_optimiser
from jaxrl.agents.settings import default_weights
from jaxrl.aggregation import ReturnSummary
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.errors import require_name
from jaxrl.numerics import distributions
from jaxrl.objectives.lpg import learned_policy_gradient
from jaxrl.objectives.trajectory import Heads, Trajectory, TrajectoryObjective, advantage_actor_critic
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["OBJECTIVES", "TrajectoryConfig", "TrajectoryHyperparameters", "TrajectoryState", "trajectory_agent"]


@dataclass(frozen=True, kw_only=True)
class TrajectoryConfig:
    """What is static: shapes and the structure of the program."""

    num_envs: int = 64
    """Copies of the environment that act side by side."""
    num_steps: int = 20
    """Steps of each copy per iteration: the stretch that the objective sees."""
    trajectory_objective: str | TrajectoryObjective = "lpg"
    """lpg, time_aware_lpg or a2c."""
    num_outputs: int = 30
    """Categories of the predictions of a learned objective."""
    objective_size: int = 256
    """Recurrent width of a learned objective."""
    network: str = "auto"
    """auto (CNN for images, else MLP), mlp, cnn or table (one row per Discrete or MultiDiscrete observation)."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Widths of the dense layers."""
    activation: str = "tanh"
    """tanh, relu, swish, elu or gelu."""
    shared_torso: bool = False
    """Whether both heads share all but their last layer."""
    channels: int = 16
    """Filters of the convolution."""
    anneal_learning_rate: bool = False
    """Anneal the learning rate linearly to zero over the run."""
    optimiser: str = "adam"
    """adam, rmsprop or sgd, after clipping by global norm."""
    group_size: int = field(default=0, init=False)
    condition_on_weights: bool = field(default=False, init=False)


class TrajectoryHyperparameters(NamedTuple):
    """What is traced.

    Attributes:
        learning_rate: step size of the optimiser, > 0.
        discount: γ in [0, 1].
        target_coefficient: α_y, weight of the second head's loss.
        max_gradient_norm: global norm to which gradients are clipped.
        weights: preference weights over objectives; rewards are summed under them.
        objective: parameters of the objective.
        environment: parameters of the environment.
    """

    learning_rate: Float[Array, ""] | float = 5e-4
    discount: Float[Array, ""] | float = 0.99
    target_coefficient: Float[Array, ""] | float = 0.5
    max_gradient_norm: Float[Array, ""] | float = 0.5
    weights: Float[Array, " objective"] | None = None
    objective: PyTree = ()
    environment: PyTree = ()


class TrajectoryState(NamedTuple):
    """Network parameters and optimiser state; no running statistics."""

    params: PyTree
    optimiser: PyTree
    observations: None = None


class Parts(NamedTuple):
    """What the builder put together; static."""

    acting: Acting
    config: TrajectoryConfig
    objective: TrajectoryObjective


OBJECTIVES: dict[str, Callable[[int, int], TrajectoryObjective]] = {
    "lpg": learned_policy_gradient,
    "time_aware_lpg": partial(learned_policy_gradient, time_aware=True),
    "a2c": lambda num_outputs, size: advantage_actor_critic(),
}


def trajectory_agent(
    spec: EnvironmentSpec, config: TrajectoryConfig, defaults: dict[str, float] | None = None
) -> Agent:
    """Builds an agent that descends a trajectory objective, one step per rollout.

    Args:
        spec: the environment's spec.
        config: static settings.
        defaults: default hyperparameters that differ from `TrajectoryHyperparameters`'.

    Raises:
        UnknownNameError: for an unknown objective, network or optimiser, with the nearest match.
        ValueError: for sizes below 1, or a recurrent network.
    """
    _validate(config)
    objective = config.trajectory_objective
    if not isinstance(objective, TrajectoryObjective):
        build = OBJECTIVES[require_name("trajectory objective", objective, OBJECTIVES)]
        objective = build(config.num_outputs, config.objective_size)
    distribution = distributions.for_space(spec.action)
    acting = make_acting(spec, config, distribution, objective.num_outputs)
    parts = Parts(acting, config, objective)
    hyperparameters = TrajectoryHyperparameters(weights=default_weights(spec), objective=objective.init(None))._replace(
        **(defaults or {})
    )
    return Agent(
        init=partial(init, parts),
        memory=acting.network.memory,
        noise=distribution.noise,
        explore=partial(explore, acting),
        action=distribution.action,
        act=partial(act, acting),
        value=partial(value, acting),
        inherit=lambda fresh, parent: parent,
        update=partial(update, parts),
        hyperparameters=jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), hyperparameters),
        config=config,
        spec=spec,
        score=partial(score, acting),
        initialisers={"objective": objective.init},
    )


def _validate(config: TrajectoryConfig) -> None:
    for name in ("num_envs", "num_steps"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(config, name)}")
    require_name("optimiser", config.optimiser, ("adam", "rmsprop", "sgd"))
    require_name("network", config.network, ("auto", "mlp", "cnn", "table"))


def init(parts: Parts, key: PRNGKeyArray, hp: TrajectoryHyperparameters) -> TrajectoryState:
    """Fresh parameters and optimiser."""
    params = parts.acting.network.init(key)
    return TrajectoryState(params, make_optimiser(parts.config, hp, 0.0).init(params))


def update(
    parts: Parts,
    key: PRNGKeyArray,
    state: TrajectoryState,
    rollout: Rollout,
    summary: ReturnSummary,
    hp: TrajectoryHyperparameters,
    progress: Progress,
) -> tuple[TrajectoryState, dict[str, Array]]:
    """Targets of the rollout, then one descent step; nothing is cut from meta-gradients."""
    targets = parts.objective.targets(_trajectory(parts, state.params, rollout, hp, progress), hp.objective)

    def loss(params: PyTree) -> tuple[Array, dict[str, Array]]:
        heads = _heads(parts, params, rollout)
        total, metrics = parts.objective.loss(heads, targets, hp.objective, hp.target_coefficient)
        non_finite = (~jnp.isfinite(total)).astype(jnp.float32)
        return total, {**metrics, "entropy": heads.entropy.mean(), "non_finite": non_finite}

    gradient, metrics = jax.grad(loss, has_aux=True)(state.params)
    optimiser = make_optimiser(parts.config, hp, progress.fraction)
    changes, optimiser_state = optimiser.update(gradient, state.optimiser, state.params)
    return TrajectoryState(optax.apply_updates(state.params, changes), optimiser_state), metrics


def _heads(parts: Parts, params: PyTree, rollout: Rollout) -> Heads:
    network, distribution = parts.acting.network, parts.acting.distribution
    parameters, output, _ = network.sequence(
        params, rollout.observation, rollout.weights, rollout.memory, rollout.start
    )
    log_prob = distribution.log_prob(parameters, rollout.raw_action)
    return Heads(log_prob, distribution.entropy(parameters), output)


def _trajectory(
    parts: Parts, params: PyTree, rollout: Rollout, hp: TrajectoryHyperparameters, progress: Progress
) -> Trajectory:
    heads = _heads(parts, params, rollout)
    return Trajectory(
        reward=rollout.reward @ hp.weights,
        probability=jnp.exp(heads.log_prob),
        output=heads.output,
        next_output=parts.acting.network.value(params, rollout.final_observation, rollout.weights, ()),
        terminated=rollout.terminated,
        truncated=rollout.truncated,
        discount=hp.discount,
        progress=progress,
    )
