"""Soft actor-critic for discrete actions (Christodoulou, 2019), with a vector of values for every action."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.acting import see
from jaxrl.agents.base import Agent, Progress
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.off_policy.backups import at, expected
from jaxrl.agents.off_policy.ensembles import least
from jaxrl.agents.off_policy.experience import Experience
from jaxrl.agents.off_policy.exploring import greedy, legal_scores
from jaxrl.agents.off_policy.heads import HEADS, Head
from jaxrl.agents.off_policy.learner import Learner, OffPolicyState
from jaxrl.agents.off_policy.loop import off_policy, warming_up
from jaxrl.agents.off_policy.settings import BROUGHT_BY, OffPolicyConfig, OffPolicyHyperparameters
from jaxrl.agents.off_policy.temperature import FIXED, TEMPERATURE_RANGES, init_temperature, temperature
from jaxrl.agents.off_policy.value_acting import require_discrete
from jaxrl.agents.optimisation import make_optimiser
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.masks import legal_actions, seen, seen_space
from jaxrl.environments.parts import batch_shape
from jaxrl.errors import require_name
from jaxrl.networks.trunk import Layers
from jaxrl.networks.values import ValueNetwork, value_network
from jaxrl.ranges import COUNT, PROBABILITY
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = ["CONFIG", "DEFAULTS", "DISCRETE_SAC", "DiscreteSACConfig", "DiscreteSACHyperparameters", "discrete_sac"]

_TUNED = {"initial_temperature": 0.2, "target_entropy_ratio": 0.5}


@dataclass(frozen=True, kw_only=True)
class DiscreteSACConfig(OffPolicyConfig):
    """What is static."""

    head: str = "squared"
    """How values are fitted: squared or huber errors."""
    num_critics: Annotated[int, COUNT] = 2
    """Critics, of which the one that the preference likes least counts, action by action."""
    tune_temperature: bool = True
    """Whether the worth of entropy is tuned so that entropy becomes target_entropy_ratio times the largest there is,
    from initial_temperature on; otherwise it is temperature, a hyperparameter."""


class DiscreteSACHyperparameters(OffPolicyHyperparameters):
    """As `OffPolicyHyperparameters`."""

    brought_by = {  # noqa: RUF012
        **BROUGHT_BY,
        **dict.fromkeys(_TUNED, "tune_temperature=True"),
        **dict.fromkeys(FIXED, "tune_temperature=False"),
    }


CONFIG = DiscreteSACConfig()
DEFAULTS: dict[str, float] = {}
_RANGES = {f"exploration.{name}": within for name, within in TEMPERATURE_RANGES.items()}
_RANGES |= {"exploration.target_entropy_ratio": PROBABILITY}


class _Parts(NamedTuple):
    spec: EnvironmentSpec
    config: DiscreteSACConfig
    policy: ValueNetwork
    critic: ValueNetwork
    head: Head


def discrete_sac(spec: EnvironmentSpec, config: DiscreteSACConfig = CONFIG) -> Agent:
    """Discrete SAC: a policy that is soft about the least of several critics, with exact expectations over actions.

    With w the preference weights and α the temperature: critics fit r + γ Σ_a π(a|o') (q(o', a) - α log π(a|o')), where
    q(o', a) is the whole vector of the critic with the smallest w·q(o', a); entropy counts for every objective. The
    policy minimises Σ_a π(a|o) (α log π(a|o) - min w·q(o, a)), and log α moves by its distance from the target entropy,
    `target_entropy_ratio` log |A|.

    Raises:
        UnknownNameError: for an unknown head or network, with the nearest match.
        ValueError: for actions that are not discrete, or a network with a memory.
    """
    require_discrete(spec)
    require_name("head", config.head, ("squared", "huber"))
    head = HEADS[config.head](1)
    policy, critic = (
        value_network(
            seen_space(spec),
            spec.action.n,
            width,
            network=config.network,
            # A policy is neither normalised nor thinned out, unless it is residual like its critics.
            layers=Layers(config.hidden_sizes, config.activation, **extra),
            channels=config.channels,
            conditioned=config.condition_on_weights,
            num_preferences=spec.num_objectives,
        )
        for width, extra in (
            (1, {"residual": config.residual}),
            (
                spec.num_objectives,
                {"layer_norm": config.layer_norm, "dropout": config.dropout, "residual": config.residual},
            ),
        )
    )
    if critic.recurrent:
        raise ValueError(f"discrete_sac learns from single steps: network={config.network!r} has a memory; use r2d2")
    parts = _Parts(spec, config, policy, critic, head)
    learner = Learner(
        init=partial(_init, parts),
        learn=partial(_learn, parts),
        act=partial(_act, parts),
        explore=partial(_explore, parts),
        raw_action=jax.ShapeDtypeStruct((), jnp.int32),
        noise=lambda key, shape: jax.random.gumbel(key, (*shape, spec.action.n)),
        value=partial(_value, parts),
        leaves={"exploration": _TUNED if config.tune_temperature else FIXED},
        ranges=_RANGES,
    )
    return off_policy(spec, config, learner, DEFAULTS, DiscreteSACHyperparameters)


def _init(parts: _Parts, key: PRNGKeyArray, hp: Any) -> tuple[PyTree, PyTree, PyTree]:
    policy_key, critic_key = jax.random.split(key)
    critics = jax.vmap(parts.critic.init)(jax.random.split(critic_key, parts.config.num_critics))
    params = {"policy": parts.policy.init(policy_key), "critics": critics}
    if parts.config.tune_temperature:
        params["temperature"] = init_temperature(hp.exploration)
    optimiser = {name: make_optimiser(parts.config, hp, 0.0).init(leaf) for name, leaf in params.items()}
    return params, {"critics": critics}, optimiser


def _log_policy(
    parts: _Parts, params: PyTree, state: OffPolicyState, observation: PyTree, weights: Array, hp: Any
) -> Float[Array, "*batch action"]:
    """log π, -∞ where an action is not legal."""
    visible = seen(parts.spec, see(state, observation, hp))
    logits = parts.policy.values(params["policy"], visible, weights, None, None)[..., 0, 0]
    return jax.nn.log_softmax(legal_scores(legal_actions(parts.spec, observation), logits))


def _values(
    parts: _Parts,
    critics: PyTree,
    state: OffPolicyState,
    observation: PyTree,
    weights: Array,
    key: PRNGKeyArray | None,
    hp: Any,
) -> Float[Array, "critic *batch action objective 1"]:
    visible = seen(parts.spec, see(state, observation, hp))
    key = key if parts.config.dropout else None
    return jax.vmap(lambda params: parts.critic.values(params, visible, weights, None, key))(critics)


def _least(values: Float[Array, "critic *batch action objective 1"], weights: Array) -> Array:
    """Of every action the vector of the critic whose weighted value is least."""
    return least(values, jnp.sum(values[..., 0] * weights[..., None, :], axis=-1))


def _act(
    parts: _Parts,
    key: PRNGKeyArray,
    state: OffPolicyState,
    observation: PyTree,
    memory: PyTree,
    hp: Any,
    explore: bool = False,
) -> tuple[Array, PyTree]:
    """The likeliest action, or a sample; under the weights of the hyperparameters."""
    logs = _log_policy(parts, state.params, state, observation, hp.weights, hp)
    return greedy(logs + jax.random.gumbel(key, logs.shape) if explore else logs), memory


def _explore(
    parts: _Parts,
    state: OffPolicyState,
    observation: PyTree,
    memory: PyTree,
    start: Bool[Array, " env"],
    weights: Float[Array, "env objective"],
    noise: Float[Array, "env action"],
    hp: Any,
    progress: Progress,
) -> tuple[Array, PyTree]:
    logs = _log_policy(parts, state.params, state, observation, weights, hp)
    even = jnp.where(jnp.isfinite(logs), 0.0, -jnp.inf)
    return greedy(jnp.where(warming_up(parts.config, progress), even, logs) + noise), memory


def _value(
    parts: _Parts, state: OffPolicyState, observation: PyTree, memory: PyTree, hp: Any
) -> Float[Array, "*batch objective"]:
    """Σ_a π(a|o) q(o, a) of the least critic."""
    batch = batch_shape(parts.spec.observation, observation)
    weights = jnp.broadcast_to(hp.weights, (*batch, parts.spec.num_objectives))
    values = _least(_values(parts, state.params["critics"], state, observation, weights, None, hp), weights)
    logs = _log_policy(parts, state.params, state, observation, weights, hp)
    return jnp.sum(jnp.exp(logs)[..., None] * values[..., 0], axis=-2)


def _learn(
    parts: _Parts, key: PRNGKeyArray, state: OffPolicyState, experience: Experience, hp: Any, progress: Progress
) -> tuple[OffPolicyState, Float[Array, " batch"], dict[str, Array]]:
    """One step of critics, policy and temperature, all from the same minibatch."""
    keys = jax.random.split(key, 3)
    weights, importance = experience.weights, experience.importance
    alpha = temperature(state.params, hp.exploration)
    logs_later = _log_policy(parts, state.params, state, experience.following, weights, hp)
    later = _least(_values(parts, state.target["critics"], state, experience.following, weights, keys[0], hp), weights)
    finite = jnp.where(jnp.isfinite(logs_later), logs_later, 0.0)
    backed_up = expected(later, finite, logs_later, alpha)
    factor = jnp.broadcast_to(experience.factor, experience.reward.shape)
    target = jax.lax.stop_gradient(parts.head.target(experience.reward, factor, backed_up, {}))

    def critic_loss(critics: PyTree) -> tuple[Array, tuple[Array, Array]]:
        found = _values(parts, critics, state, experience.observation, weights, keys[1], hp)
        taken = jax.vmap(at, in_axes=(0, None))(found, experience.action)
        losses = parts.head.loss(taken, target, None, {}).mean(axis=(0, -1))
        return jnp.mean(importance * losses), (taken, found)

    (loss, (taken, found)), critic_gradient = jax.value_and_grad(critic_loss, has_aux=True)(state.params["critics"])
    scores = jnp.sum(_least(found, weights)[..., 0] * weights[..., None, :], axis=-1)

    def policy_loss(policy: PyTree) -> tuple[Array, Array]:
        logs = _log_policy(parts, {"policy": policy}, state, experience.observation, weights, hp)
        probs, logs = jnp.exp(logs), jnp.where(jnp.isfinite(logs), logs, 0.0)
        entropy = -jnp.sum(probs * logs, axis=-1)
        return jnp.mean(importance * (-alpha * entropy - jnp.sum(probs * scores, axis=-1))), entropy

    (policy_cost, entropy), policy_gradient = jax.value_and_grad(policy_loss, has_aux=True)(state.params["policy"])
    gradients = {"critics": critic_gradient, "policy": policy_gradient}
    if parts.config.tune_temperature:
        gap = entropy - hp.exploration["target_entropy_ratio"] * _largest_entropy(parts, experience.observation)
        gradients["temperature"] = jnp.mean(importance * gap)
    params, moments = {}, {}
    for name, gradient in gradients.items():
        optimiser = make_optimiser(parts.config, hp, progress.fraction)
        updates, moments[name] = optimiser.update(gradient, state.optimiser[name], state.params[name])
        params[name] = optax.apply_updates(state.params[name], updates)
    state = state._replace(params=params, optimiser=moments)
    errors = jnp.abs(jnp.sum((target - taken)[..., 0] * weights, axis=-1)).mean(axis=0)
    metrics = {"loss": loss, "policy_loss": policy_cost, "entropy": entropy.mean(), "temperature": alpha}
    return state, errors, metrics


def _largest_entropy(parts: _Parts, observation: PyTree) -> Array:
    """log |A| of the actions that are legal."""
    legal = legal_actions(parts.spec, observation)
    if legal is None:
        return jnp.asarray(math.log(parts.spec.action.n))
    return jnp.log(jnp.maximum(legal.sum(axis=-1), 1).astype(jnp.float32))


DISCRETE_SAC = AgentEntry(discrete_sac, CONFIG, DEFAULTS, DiscreteSACHyperparameters)
