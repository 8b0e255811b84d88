"""Parallelised Q-learning (PQN, Gallici et al., 2025): no buffer, no target network, normalised layers, λ-returns."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.base import Agent, Collection, Progress, Rollout
from jaxrl.agents.defaults import complete
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.fitting import nearest_divisor, validate_minibatches
from jaxrl.agents.minibatches import pack, permutations
from jaxrl.agents.off_policy import value_acting
from jaxrl.agents.off_policy.backups import at
from jaxrl.agents.off_policy.exploring import EPSILON, EPSILON_RANGES, chances, greedy
from jaxrl.agents.off_policy.heads import HEADS
from jaxrl.agents.off_policy.value_acting import Acting, make_acting, scores_of, visible
from jaxrl.agents.optimisation import make_optimiser
from jaxrl.agents.settings import default_weights
from jaxrl.aggregation import ReturnSummary
from jaxrl.configs import check_config
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.tasks import measured_parts
from jaxrl.errors import require_name
from jaxrl.numerics.normalisation import init_parts, update_parts
from jaxrl.numerics.returns import lambda_returns
from jaxrl.optimisers.plain import PLAIN
from jaxrl.ranges import COUNT, LIMIT, NOT_NEGATIVE, PROBABILITY, SOME
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree
from jaxrl.validity import all_finite, choose

__all__ = ["CONFIG", "DEFAULTS", "PQN", "PQNConfig", "PQNHyperparameters", "pqn"]


@dataclass(frozen=True, kw_only=True)
class PQNConfig:
    """What is static."""

    num_envs: Annotated[int, COUNT] = 16
    """Copies of the environment that act side by side."""
    num_steps: Annotated[int, COUNT] = 16
    """Steps of each copy per iteration."""
    num_epochs: Annotated[int, COUNT] = 2
    """Passes over the experience of one iteration."""
    num_minibatches: Annotated[int, COUNT] = 8
    """Minibatches per pass; must divide num_envs * num_steps."""
    error: str = "squared"
    """How values are fitted to their returns: squared or huber."""
    network: str = "auto"
    """auto (CNN for an image, parts where one of several parts is an image, else MLP of all of them), mlp, cnn or parts
    (an encoder for each part of an observation)."""
    hidden_sizes: Annotated[tuple[int, ...], COUNT] = (128, 128)
    """Widths of the dense layers, or of the blocks of residual ones."""
    activation: str = "relu"
    """tanh, relu, swish, elu or gelu."""
    channels: Annotated[int, COUNT] = 16
    """Filters of the convolution."""
    layer_norm: bool = True
    """Whether every dense layer is normalised, which is what keeps values bounded without a target network."""
    residual: bool = False
    """Whether layers are the residual blocks of SimBa."""
    normalise_observations: bool = False
    """Standardise observations by their running mean and deviation; of several parts, those that are numbers."""
    condition_on_weights: bool = False
    """One network for all preference weights, which are drawn anew, uniformly from the simplex, for every copy and
    iteration."""
    num_preferences: Annotated[int, SOME] = 0
    """Different weights per iteration of a conditioned network, the corners of the simplex among them; 0 draws one
    for every copy."""
    optimiser: str = "radam"
    """After clipping by global norm adam, rmsprop or sgd, or one whose settings are hyperparameters that come with it
    (weight_decay, beta_1, beta_2, momentum): adamw, nadam, nadamw, radam, amsgrad, adabelief, adamax, yogi, adagrad,
    lion, momentum or nesterov."""
    anneal_learning_rate: bool = True
    """Anneal the learning rate linearly to zero over the run."""

    __post_init__ = check_config

    # Of `Layers`, what this agent does without.
    noisy = False
    dropout = 0.0


class PQNHyperparameters(NamedTuple):
    """What is traced: every leaf can be swept, evolved or differentiated.

    Attributes:
        learning_rate: step size of the optimiser.
        discount: γ, a scalar or one entry per objective.
        trace: λ of the returns.
        max_gradient_norm: global norm to which gradients are clipped.
        weights: preference weights over objectives, non-negative.
        exploration: of ε.
        optimiser: parameters of the optimiser, if it has any.
        environment: parameters of the environment.
    """

    learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 5e-4
    discount: Annotated[Float[Array, "..."] | float, PROBABILITY] = 0.99
    trace: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.65
    max_gradient_norm: Annotated[Float[Array, ""] | float, LIMIT] = 10.0
    weights: Float[Array, " objective"] | None = None
    exploration: dict[str, Array] = {}  # noqa: RUF012
    optimiser: PyTree = ()
    environment: PyTree = ()

    brought_by = {  # noqa: RUF012
        leaf: f"optimiser={' or '.join(name for name, plain in PLAIN.items() if leaf in plain.settings)}"
        for leaf in ("weight_decay", "beta_1", "beta_2", "momentum")
    }

    @property
    def head(self) -> dict[str, Array]:
        """Means have no parameters."""
        return {}


class PQNState(NamedTuple):
    """Network, optimiser, and running statistics of observations or None."""

    params: PyTree
    optimiser: PyTree
    observations: PyTree


class _Samples(NamedTuple):
    observation: PyTree
    action: Array
    target: Float[Array, "batch objective"]
    weights: Float[Array, "batch objective"]
    valid: Array


CONFIG = PQNConfig()
DEFAULTS: dict[str, float] = {}


def pqn(spec: EnvironmentSpec, config: PQNConfig = CONFIG) -> Agent:
    """PQN: values fitted to Gₜ = rₜ + γ [(1-λ) v(oₜ₊₁) + λ Gₜ₊₁], v(o) = q(o, argmax_a w·q(o, a)), of fresh rollouts.

    Raises:
        UnknownNameError: for an unknown network, error or optimiser, with the nearest match.
        ValueError: for actions that are not discrete, or minibatches that do not divide the samples.
    """
    require_name("error", config.error, ("squared", "huber"))
    require_name("optimiser", config.optimiser, PLAIN)
    validate_minibatches(config, recurrent=False)
    acting = make_acting(spec, config, HEADS[config.error](1))
    if acting.network.recurrent:
        raise ValueError(f"pqn learns from single steps: network={config.network!r} has a memory; use r2d2")
    hyperparameters = PQNHyperparameters(
        weights=default_weights(spec), exploration=EPSILON, optimiser=dict(PLAIN[config.optimiser].settings) or ()
    )
    ranges = {f"optimiser.{name}": within for name, within in PLAIN[config.optimiser].ranges.items()}
    agent = Agent(
        init=partial(_init, acting),
        act=partial(value_acting.act, acting),
        update=partial(_update, acting),
        hyperparameters=hyperparameters,
        spec=spec,
        config=config,
        collects=Collection(
            num_envs=config.num_envs,
            num_steps=config.num_steps,
            condition_on_weights=config.condition_on_weights,
            num_preferences=config.num_preferences,
        ),
        records=("observation", "raw_action", "reward", "terminated", "truncated", "final_observation"),
        explore=partial(value_acting.explore, acting),
        noise=chances,
        actor=lambda state: state._replace(optimiser=()),
        value=partial(value_acting.value, acting),
        ranges={**{f"exploration.{name}": within for name, within in EPSILON_RANGES.items()}, **ranges},
    )
    return complete(agent)


def _init(parts: Acting, key: PRNGKeyArray, hp: PQNHyperparameters) -> PQNState:
    params = {"values": parts.network.init(key)}
    observations = init_parts(measured_parts(parts.spec)) if parts.config.normalise_observations else None
    return PQNState(params, make_optimiser(parts.config, hp, 0.0).init(params), observations)


def _values(parts: Acting, params: PyTree, state: PQNState, observation: PyTree, weights: Array, hp: Any) -> Array:
    return parts.network.values(params["values"], visible(parts, state, observation, hp), weights, None, None)


def _best(parts: Acting, state: PQNState, observation: PyTree, weights: Array, hp: Any) -> Array:
    """The value vector of the action that the preference likes best."""
    outputs = _values(parts, state.params, state, observation, weights, hp)
    return at(outputs, greedy(scores_of(parts, outputs, weights, observation, hp)))[..., 0]


def _update(
    parts: Acting,
    key: PRNGKeyArray,
    state: PQNState,
    rollout: Rollout,
    summary: ReturnSummary,
    hp: PQNHyperparameters,
    progress: Progress,
) -> tuple[PQNState, dict[str, Array]]:
    config = parts.config
    weights = jnp.broadcast_to(rollout.weights, rollout.reward.shape)
    now = _best(parts, state, rollout.observation, weights, hp)
    later = _best(parts, state, rollout.final_observation, weights, hp)
    target = lambda_returns(
        rollout.reward, now, later, rollout.terminated, rollout.truncated, hp.discount, hp.trace, rollout.valid
    )
    samples = _Samples(rollout.observation, rollout.raw_action, target, weights, rollout.valid)
    count = config.num_envs * config.num_steps
    rows, unpack = pack(jax.tree.map(lambda leaf: leaf.reshape(count, *leaf.shape[2:]), samples))
    indices = permutations(key, config.num_epochs, count).reshape(config.num_epochs * config.num_minibatches, -1)
    optimiser = make_optimiser(config, hp, progress.fraction)

    def step(carry: tuple, chosen: Array) -> tuple[tuple, dict[str, Array]]:
        params, moments = carry
        batch = unpack(rows[chosen])

        def loss_of(params: PyTree) -> tuple[Array, Array]:
            taken = at(_values(parts, params, state, batch.observation, batch.weights, hp), batch.action)
            losses = parts.head.loss(taken, batch.target[..., None], None, {}).mean(axis=-1)
            return jnp.mean(jnp.where(batch.valid, losses, 0.0)), jnp.sum(taken[..., 0] * batch.weights, axis=-1).mean()

        (loss, value), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
        updates, following = optimiser.update(gradient, moments, params)
        following = optax.apply_updates(params, updates), following
        finite = all_finite(following)
        lost = 1.0 - finite.astype(jnp.float32)
        return choose(finite, following, carry), {"loss": loss, "value": value, "non_finite": lost}

    (params, moments), metrics = jax.lax.scan(step, (state.params, state.optimiser), indices)
    observations = state.observations
    if observations is not None:
        observations = update_parts(observations, rollout.observation, rollout.valid)
    means = jax.tree.map(jnp.mean, metrics)
    return PQNState(params, moments, observations), {**means, "skipped_updates": metrics["non_finite"].sum()}


def _fit(config: PQNConfig, given: frozenset[str], spec: EnvironmentSpec) -> PQNConfig:
    """As many minibatches as divide the samples, near the default."""
    if "num_minibatches" in given:
        return config
    return replace(config, num_minibatches=nearest_divisor(config.num_envs * config.num_steps, config.num_minibatches))


PQN = AgentEntry(pqn, CONFIG, DEFAULTS, PQNHyperparameters, _fit)
