"""Learning action values: DQN, its variants, and their sum, as settings of one learner for discrete actions."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.acting import see
from jaxrl.agents.base import Agent, Progress
from jaxrl.agents.off_policy.backups import BACKUPS, Backup, at
from jaxrl.agents.off_policy.experience import Experience
from jaxrl.agents.off_policy.exploring import (
    EPSILON,
    EPSILON_RANGES,
    Chances,
    chances,
    epsilon,
    greedy,
    legal_scores,
    sometimes_random,
)
from jaxrl.agents.off_policy.heads import HEADS, Head
from jaxrl.agents.off_policy.loop import Learner, OffPolicyState, off_policy, warming_up
from jaxrl.agents.off_policy.settings import BROUGHT_BY, OffPolicyConfig, OffPolicyHyperparameters
from jaxrl.agents.optimisation import make_optimiser
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.masks import seen, seen_space
from jaxrl.environments.parts import batch_shape
from jaxrl.environments.spaces import Discrete
from jaxrl.networks.trunk import Layers
from jaxrl.networks.values import ValueNetwork, value_network
from jaxrl.ranges import COUNT, Range
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = ["ValueConfig", "ValueHyperparameters", "value_learning"]

_ATOMS = Range(2, integer=True)


@dataclass(frozen=True, kw_only=True)
class ValueConfig(OffPolicyConfig):
    """What is static of agents that learn the values of discrete actions."""

    head: str = "huber"
    """What the network's outputs mean and how they are fitted: a mean, by squared or huber errors; categorical (C51,
    between v_min and v_max, hyperparameters that come with it); quantile (QR-DQN) or implicit (IQN)."""
    num_atoms: Annotated[int, _ATOMS] = 51
    """Numbers of each value's distribution: atoms, quantiles, or fractions that are drawn of an implicit one."""
    backup: str = "double"
    """What values of the next step are backed up: max (of the target network), double (of the target network for the
    action that is best by the other), soft or munchausen, with hyperparameters of their own."""
    dueling: bool = False
    """Whether values and advantages have a last layer of their own each."""
    noisy: bool = False
    """Explore by noise on the network's parameters instead of by ε."""
    cosines: Annotated[int, COUNT] = 64
    """Features of a fraction in an implicit network."""


class ValueHyperparameters(OffPolicyHyperparameters):
    """As `OffPolicyHyperparameters`."""

    brought_by = {  # noqa: RUF012
        **BROUGHT_BY,
        **dict.fromkeys(EPSILON, "noisy=False"),
        **dict.fromkeys(("v_min", "v_max"), "head=categorical"),
        "soft_temperature": "backup=soft or munchausen",
        **dict.fromkeys(("munchausen_weight", "munchausen_floor"), "backup=munchausen"),
    }


class _Parts(NamedTuple):
    spec: EnvironmentSpec
    config: ValueConfig
    network: ValueNetwork
    head: Head
    backup: Backup


def value_learning(spec: EnvironmentSpec, config: ValueConfig, defaults: Mapping[str, Any]) -> Agent:
    """An agent that learns action values and acts by the best of them.

    With r the rewards and w the preference weights, minimises over a minibatch the mean over objectives of
    importance · loss(Z(o, a), r + γᵏ Z⁻(o', a')), a' = argmax_a w·E[Z(o', a)]: the best action is chosen by what the
    preference makes of the mean vectors, and then that action's vector is backed up (as in Mossalam et al., 2016).

    Args:
        spec: the environment's, with discrete actions.
        config: static settings.
        defaults: hyperparameters that differ from those of the class.

    Raises:
        UnknownNameError: for an unknown head, backup or network, with the nearest match.
        ValueError: for actions that are not discrete, or settings that contradict each other.
    """
    if not isinstance(spec.action, Discrete):
        raise ValueError(
            f"action values need one of a number of actions to be chosen, {spec.name} takes {spec.action}; agents for "
            "continuous actions: sac, td3, ddpg"
        )
    head, backup = HEADS[config.head](config.num_atoms), BACKUPS[config.backup]
    _require_effect(config, head, backup)
    network = value_network(
        seen_space(spec),
        spec.action.n,
        spec.num_objectives,
        num_atoms=head.num_atoms,
        network=config.network,
        layers=Layers(
            config.hidden_sizes, config.activation, config.layer_norm, config.noisy, config.dropout, config.residual
        ),
        channels=config.channels,
        dueling=config.dueling,
        cosines=config.cosines if head.taus else 0,
        conditioned=config.condition_on_weights,
    )
    parts = _Parts(spec, config, network, head, backup)
    learner = Learner(
        init=partial(_init, parts),
        learn=partial(_learn, parts),
        act=partial(_act, parts),
        explore=partial(_explore, parts),
        raw_action=jax.ShapeDtypeStruct((), jnp.int32),
        noise=chances,
        value=partial(_value, parts),
        leaves={
            "exploration": {} if config.noisy else EPSILON,
            "head": head.parameters,
            "backup": backup.parameters,
        },
        ranges={
            **{f"exploration.{name}": within for name, within in EPSILON_RANGES.items()},
            **{f"head.{name}": within for name, within in head.ranges.items()},
            **{f"backup.{name}": within for name, within in backup.ranges.items()},
        },
    )
    return off_policy(spec, config, learner, defaults, ValueHyperparameters)


def _require_effect(config: ValueConfig, head: Head, backup: Backup) -> None:
    """Raises ValueError for settings that contradict each other."""
    if backup.soft and not head.averages:
        raise ValueError(
            f"backup={config.backup!r} mixes the values of all actions, and logits of head={config.head!r} cannot be "
            "mixed; use head='squared', 'huber', 'quantile' or 'implicit'"
        )
    default = ValueConfig.num_atoms
    if head.num_atoms == 1 and config.num_atoms != default:
        raise ValueError(
            f"num_atoms={config.num_atoms} would have no effect here: it needs head='categorical', 'quantile' or "
            "'implicit'"
        )
    if not head.taus and config.cosines != ValueConfig.cosines:
        raise ValueError(f"cosines={config.cosines} would have no effect here: it needs head='implicit'")


def _init(parts: _Parts, key: PRNGKeyArray, hp: Any) -> tuple[PyTree, PyTree, PyTree]:
    params = {"values": parts.network.init(key)}
    return params, params, make_optimiser(parts.config, hp, 0.0).init(params)


def _scores(
    parts: _Parts, outputs: Float[Array, "*batch action objective atom"], weights: Array, observation: PyTree, hp: Any
) -> Float[Array, "*batch action"]:
    """What a preference makes of every action, -∞ where it is not legal."""
    means = parts.head.mean(outputs, hp.head)
    return legal_scores(parts.spec, jnp.sum(means * weights[..., None, :], axis=-1), observation)


def _outputs(
    parts: _Parts,
    params: PyTree,
    state: OffPolicyState,
    observation: PyTree,
    weights: Array,
    taus: Array | None,
    key: PRNGKeyArray | None,
    hp: Any,
) -> Float[Array, "*batch action objective atom"]:
    visible = seen(parts.spec, see(state, observation, hp))
    return parts.network.values(params["values"], visible, weights, taus, key)


def _acting_scores(
    parts: _Parts, state: OffPolicyState, observation: PyTree, weights: Array, key: PRNGKeyArray | None, hp: Any
) -> Float[Array, "*batch action"]:
    batch = batch_shape(parts.spec.observation, observation)
    fractions = parts.head.fractions
    taus = None if fractions is None else jnp.broadcast_to(fractions, (*batch, *fractions.shape))
    outputs = _outputs(parts, state.params, state, observation, weights, taus, key, hp)
    return _scores(parts, outputs, weights, observation, hp)


def _act(
    parts: _Parts,
    key: PRNGKeyArray,
    state: OffPolicyState,
    observation: PyTree,
    memory: PyTree,
    hp: Any,
    explore: bool = False,
) -> tuple[Array, PyTree]:
    """The best action under the weights of the hyperparameters, or as at the end of training."""
    noisy = parts.config.noisy and explore
    scores = _acting_scores(parts, state, observation, hp.weights, key if noisy else None, hp)
    if not explore or parts.config.noisy:
        return greedy(scores), memory
    uniform = jax.random.uniform(key, (2, *scores.shape[:-1]))
    return sometimes_random(Chances(uniform[0], uniform[1], key), hp.exploration["epsilon_end"], scores), memory


def _explore(
    parts: _Parts,
    state: OffPolicyState,
    observation: PyTree,
    memory: PyTree,
    start: Bool[Array, " env"],
    weights: Float[Array, "env objective"],
    noise: Chances,
    hp: Any,
    progress: Progress,
) -> tuple[Array, PyTree]:
    config = parts.config
    scores = _acting_scores(parts, state, observation, weights, noise.key if config.noisy else None, hp)
    probability = jnp.zeros(()) if config.noisy else epsilon(hp.exploration, progress)
    return sometimes_random(noise, jnp.where(warming_up(config, progress), 1.0, probability), scores), memory


def _value(
    parts: _Parts, state: OffPolicyState, observation: PyTree, memory: PyTree, hp: Any
) -> Float[Array, "*batch objective"]:
    """The vector of the best action."""
    batch = batch_shape(parts.spec.observation, observation)
    fractions = parts.head.fractions
    taus = None if fractions is None else jnp.broadcast_to(fractions, (*batch, *fractions.shape))
    outputs = _outputs(parts, state.params, state, observation, hp.weights, taus, None, hp)
    best = greedy(_scores(parts, outputs, hp.weights, observation, hp))
    return parts.head.mean(at(outputs, best), hp.head)


def _target(
    parts: _Parts, key: PRNGKeyArray, params: PyTree, state: OffPolicyState, experience: Experience, hp: Any
) -> Float[Array, "batch objective atom"]:
    """What the network's outputs for the action taken are to be, under target network and, if double, learning one."""
    own, other, noise, noise_other = jax.random.split(key, 4)
    weights, following = experience.weights, experience.following

    def outputs(params: PyTree, taus_key: PRNGKeyArray, noise_key: PRNGKeyArray, observation: PyTree) -> Array:
        taus = parts.head.taus(taus_key, weights.shape[:-1]) if parts.head.taus else None
        return _outputs(parts, params, state, observation, weights, taus, _noise(parts, noise_key), hp)

    later = outputs(state.target, own, noise, following)
    scores = other_scores = _scores(parts, later, weights, following, hp)
    if parts.backup.double:
        other_scores = _scores(parts, outputs(params, other, noise_other, following), weights, following, hp)
    mixed = parts.backup.following(later, scores, other_scores, hp.backup)
    reward = experience.reward
    if parts.backup.bonus is not None:
        before = outputs(state.target, jax.random.fold_in(own, 1), jax.random.fold_in(noise, 1), experience.observation)
        before = _scores(parts, before, weights, experience.observation, hp)
        reward = reward + parts.backup.bonus(before, experience.action, hp.backup)[..., None]
    factor = jnp.broadcast_to(experience.factor, reward.shape)
    return jax.lax.stop_gradient(parts.head.target(reward, factor, mixed, hp.head))


def _noise(parts: _Parts, key: PRNGKeyArray) -> PRNGKeyArray | None:
    return key if parts.config.noisy or parts.config.dropout else None


def _learn(
    parts: _Parts, key: PRNGKeyArray, state: OffPolicyState, experience: Experience, hp: Any, progress: Progress
) -> tuple[OffPolicyState, Float[Array, " batch"], dict[str, Array]]:
    """One gradient step."""
    target_key, taus_key, noise_key = jax.random.split(key, 3)
    target = _target(parts, target_key, state.params, state, experience, hp)
    taus = parts.head.taus(taus_key, experience.importance.shape) if parts.head.taus else None

    def loss_of(params: PyTree) -> tuple[Array, tuple[Array, Array]]:
        outputs = _outputs(
            parts,
            params,
            state,
            experience.observation,
            experience.weights,
            taus,
            _noise(parts, noise_key),
            hp,
        )
        taken = at(outputs, experience.action)
        losses = parts.head.loss(taken, target, taus, hp.head).mean(axis=-1)
        return jnp.mean(experience.importance * losses), (taken, losses)

    (loss, (taken, losses)), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    optimiser = make_optimiser(parts.config, hp, progress.fraction)
    updates, moments = optimiser.update(gradient, state.optimiser, state.params)
    state = state._replace(params=optax.apply_updates(state.params, updates), optimiser=moments)
    means = parts.head.mean(taken, hp.head)
    metrics = {"loss": loss, "value": jnp.sum(means * experience.weights, axis=-1).mean()}
    return state, _errors(parts, taken, target, losses, experience.weights, hp), metrics


def _errors(
    parts: _Parts, taken: Array, target: Array, losses: Array, weights: Array, hp: Any
) -> Float[Array, " batch"]:
    """|w·δ| of means; of distributions the loss, as Rainbow has it (Hessel et al., 2018, section 3)."""
    if parts.head.num_atoms > 1:
        return jnp.abs(losses)
    return jnp.abs(jnp.sum((target - taken)[..., 0] * weights, axis=-1))
