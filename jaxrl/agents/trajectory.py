"""The agent of a trajectory objective: one descent step per rollout, towards targets that the objective makes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.acting import Acting, act, explore, make_acting, score, value
from jaxrl.agents.base import Agent, Collection, Progress, Rollout
from jaxrl.agents.optimisation import make_optimiser
from jaxrl.agents.settings import default_weights
from jaxrl.aggregation import ReturnSummary
from jaxrl.configs import check_config
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.errors import require_name
from jaxrl.networks import is_custom
from jaxrl.numerics import distributions
from jaxrl.objectives.trajectory import OBJECTIVES, Heads, Trajectory, TrajectoryObjective
from jaxrl.ranges import COUNT, LIMIT, NOT_NEGATIVE, NUMBER, PROBABILITY
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree
from jaxrl.validity import all_finite, choose, constant_unless

__all__ = ["OBJECTIVES", "TrajectoryConfig", "TrajectoryHyperparameters", "TrajectoryState", "trajectory_agent"]


@dataclass(frozen=True, kw_only=True)
class TrajectoryConfig:
    """What is static: shapes and the structure of the program."""

    num_envs: Annotated[int, COUNT] = 64
    """Copies of the environment that act side by side."""
    num_steps: Annotated[int, COUNT] = 20
    """Steps of each copy per iteration: the stretch that the objective sees."""
    trajectory_objective: str | TrajectoryObjective = "lpg"
    """lpg, time_aware_lpg or a2c."""
    num_outputs: Annotated[int, COUNT] = 30
    """Categories of the predictions of a learned objective."""
    objective_size: Annotated[int, COUNT] = 256
    """Recurrent width of a learned objective."""
    network: str | Callable[..., Any] = "auto"
    """auto (CNN for an image, parts where one of several parts is an image, else MLP of all of them), mlp, cnn, parts
    (an encoder for each part of an observation), table (one row per Discrete or MultiDiscrete observation), the name of
    one's own (`jaxrl.register_network`) or, from Python, a flax module or a builder."""
    hidden_sizes: Annotated[tuple[int, ...], COUNT] = (64, 64)
    """Widths of the dense layers."""
    activation: str = "tanh"
    """tanh, relu, swish, elu or gelu."""
    shared_torso: bool = False
    """Whether both heads share all but their last layer."""
    channels: Annotated[int, COUNT] = 16
    """Filters of the convolution."""
    anneal_learning_rate: bool = False
    """Anneal the learning rate linearly to zero over the run."""
    optimiser: str = "adam"
    """adam, rmsprop or sgd, after clipping by global norm."""

    __post_init__ = check_config


class TrajectoryHyperparameters(NamedTuple):
    """What is traced.

    Attributes:
        learning_rate: step size of the optimiser.
        discount: γ.
        target_coefficient: α_y, weight of the second head's loss.
        max_gradient_norm: global norm to which gradients are clipped.
        weights: preference weights over objectives; rewards are summed under them.
        objective: parameters of the objective.
        environment: parameters of the environment.
    """

    learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 5e-4
    discount: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.99
    target_coefficient: Annotated[Float[Array, ""] | float, NUMBER] = 0.5
    max_gradient_norm: Annotated[Float[Array, ""] | float, LIMIT] = 0.5
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
    objective = OBJECTIVES.make(config.trajectory_objective, config.num_outputs, config.objective_size)
    distribution = distributions.for_space(spec.action, masked=spec.action_mask is not None)
    acting = make_acting(spec, config, distribution, objective.num_outputs)
    if acting.network.recurrent:
        raise ValueError(f"trajectory objectives take networks without memory, got network={config.network!r}")
    parts = Parts(acting, config, objective)
    hyperparameters = TrajectoryHyperparameters(weights=default_weights(spec), objective=objective.init(None))._replace(
        **(defaults or {})
    )
    return Agent(
        init=partial(init, parts),
        collects=Collection(num_envs=config.num_envs, num_steps=config.num_steps),
        memory=acting.network.memory,
        noise=distribution.noise,
        explore=partial(explore, acting),
        action=distribution.action,
        act=partial(act, acting),
        actor=lambda state: state._replace(optimiser=()),
        value=partial(value, acting),
        update=partial(update, parts),
        hyperparameters=jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), hyperparameters),
        config=config,
        spec=spec,
        score=partial(score, acting),
        initialisers={"objective": objective.init},
        ranges={f"objective.{name}": within for name, within in objective.ranges.items()},
    )


def _validate(config: TrajectoryConfig) -> None:
    require_name("optimiser", config.optimiser, ("adam", "rmsprop", "sgd"))
    if not is_custom(config.network):
        require_name("network", config.network, ("auto", "mlp", "cnn", "parts", "table"))


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
    """Targets of the rollout, then one descent step, unless it is not finite; nothing is cut from meta-gradients."""
    targets = parts.objective.targets(_trajectory(parts, state.params, rollout, hp, progress), hp.objective)

    def loss(params: PyTree) -> tuple[Array, dict[str, Array]]:
        heads = constant_unless(rollout.valid, _heads(parts, params, rollout))
        total, metrics = parts.objective.loss(heads, targets, hp.objective, hp.target_coefficient)
        non_finite = (~jnp.isfinite(total)).astype(jnp.float32)
        return total, {**metrics, "entropy": heads.entropy.mean(), "non_finite": non_finite}

    gradient, metrics = jax.grad(loss, has_aux=True)(state.params)
    optimiser = make_optimiser(parts.config, hp, progress.fraction)
    changes, optimiser_state = optimiser.update(gradient, state.optimiser, state.params)
    following = TrajectoryState(optax.apply_updates(state.params, changes), optimiser_state)
    taken = all_finite(gradient) & (metrics["non_finite"] == 0.0)
    lost = {"non_finite": 1.0 - taken, "skipped_updates": 1.0 - taken}
    return choose(taken, following, state), metrics | lost


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
        valid=rollout.valid,
    )
