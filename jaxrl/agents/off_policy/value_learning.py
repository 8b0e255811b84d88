"""Learning action values: DQN, its variants, and their sum, as settings of one learner for discrete actions."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.agents.base import Agent, Progress
from jaxrl.agents.off_policy import value_acting
from jaxrl.agents.off_policy.backups import BACKUPS, at
from jaxrl.agents.off_policy.experience import Experience, Sequences
from jaxrl.agents.off_policy.exploring import EPSILON, EPSILON_RANGES, chances
from jaxrl.agents.off_policy.heads import HEADS
from jaxrl.agents.off_policy.learner import Learner, OffPolicyState
from jaxrl.agents.off_policy.loop import off_policy
from jaxrl.agents.off_policy.value_acting import (
    make_acting,
    of_critics,
    of_each_critic,
    scores_of,
    visible,
    wide,
)
from jaxrl.agents.off_policy.value_descent import Parts, descend, learned_optimiser, signals
from jaxrl.agents.off_policy.value_sequences import along
from jaxrl.agents.off_policy.value_settings import (
    DEFAULTS,
    HOMOTOPY,
    IMPROVING,
    ValueConfig,
    ValueHyperparameters,
    require_effect,
)
from jaxrl.agents.optimisation import optimiser_of
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.numerics.weights import equally_spaced
from jaxrl.ranges import PROBABILITY
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["value_learning"]


def value_learning(spec: EnvironmentSpec, config: ValueConfig, defaults: Mapping[str, Any]) -> Agent:
    """An agent that learns action values and acts by the best of them.

    With r the rewards and w the preference weights, minimises over a minibatch the mean over objectives of
    importance · loss(Z(o, a), r + γᵏ Z⁻(o', a')), a' = argmax_a w·E[Z(o', a)]: the best action is chosen by what the
    preference makes of the mean vectors, and then that action's vector is backed up (as in Mossalam et al., 2016).

    Networks with a memory learn from sequences, begun from the memory that acted (Kapturowski et al., 2019, R2D2,
    section 3): `burn_in` steps only bring it up to date, the others are learned from.

    Args:
        spec: the environment's, with discrete actions.
        config: static settings.
        defaults: hyperparameters that differ from those of the class.

    Raises:
        UnknownNameError: for an unknown head, backup or network, with the nearest match.
        ValueError: for actions that are not discrete, settings that contradict each other, or a learned optimiser of
            layers that it cannot read.
    """
    head, backup = HEADS[config.head](config.num_atoms), BACKUPS[config.backup]
    acting = make_acting(
        spec,
        config,
        head,
        dueling=config.dueling,
        cosines=config.cosines if head.taus else 0,
        recurrent_size=config.recurrent_size,
    )
    require_effect(config, head, backup, acting.network.recurrent, spec.num_objectives)
    parts = Parts(acting, backup, learned_optimiser(config, acting))
    brought = {"head": head, "backup": backup}
    recurrent = {"memory": acting.network.memory, "sequence_length": config.burn_in + config.sequence_length}
    learner = Learner(
        init=partial(_init, parts),
        learn=partial(_learn_sequences if acting.network.recurrent else _learn, parts),
        act=partial(value_acting.act, acting),
        explore=partial(value_acting.explore, acting),
        raw_action=jax.ShapeDtypeStruct((), jnp.int32),
        noise=chances,
        value=partial(value_acting.value, acting),
        leaves={
            "exploration": {} if config.noisy else EPSILON,
            "head": head.parameters,
            "backup": {**backup.parameters, **(HOMOTOPY if config.homotopy else {})},
        },
        ranges={
            **{f"exploration.{name}": within for name, within in EPSILON_RANGES.items()},
            **{f"backup.{name}": PROBABILITY for name in HOMOTOPY},
            **{f"{field}.{name}": within for field, part in brought.items() for name, within in part.ranges.items()},
        },
        optimiser=parts.optimiser,
        **(recurrent if acting.network.recurrent else {}),
    )
    agent = off_policy(spec, config, learner, {**DEFAULTS, **defaults}, ValueHyperparameters)
    if config.policies not in IMPROVING:
        return agent
    support = equally_spaced(spec.num_objectives, config.num_candidates)
    return agent._replace(hyperparameters=agent.hyperparameters._replace(support=support), preferences=_of_support)


def _of_support(key: PRNGKeyArray, count: int, hp: Any) -> Float[Array, "env objective"]:
    """Each of the support's preferences equally often, but for what does not divide, at random."""
    order = jax.random.permutation(key, hp.support.shape[0])
    return hp.support[jnp.resize(order, count)]


def _init(parts: Parts, key: PRNGKeyArray, hp: Any) -> tuple[PyTree, PyTree, PyTree]:
    count, init = parts.config.num_critics, parts.acting.network.init
    params = {"values": init(key) if count == 1 else jax.vmap(init)(jax.random.split(key, count))}
    return params, params, optimiser_of(parts, hp, 0.0, params).init(params)


def _taus(parts: Parts, key: PRNGKeyArray, batch: tuple[int, ...]) -> Array | None:
    return parts.head.taus(key, batch) if parts.head.taus else None


def _noise(parts: Parts, key: PRNGKeyArray) -> PRNGKeyArray | None:
    return key if parts.config.noisy or parts.config.dropout else None


def _learn(
    parts: Parts, key: PRNGKeyArray, state: OffPolicyState, experience: Experience, hp: Any, progress: Progress
) -> tuple[OffPolicyState, Float[Array, " batch"], dict[str, Array]]:
    """One gradient step on single transitions."""
    keys = jax.random.split(key, 8)
    acting, weights, batch = parts.acting, experience.weights, experience.importance.shape
    observation = visible(acting, state, experience.observation, hp)
    following = visible(acting, state, experience.following, hp)

    def under(taus: Array | None, seen: PyTree, preferences: Array) -> Callable[[PyTree, PRNGKeyArray | None], Array]:
        return lambda params, key: acting.network.values(params, seen, preferences, taus, key)

    def least(params: PyTree, index: int, seen: PyTree) -> Array:
        run = under(_taus(parts, keys[index], batch), seen, weights)
        return of_critics(acting, params, run, _noise(parts, keys[index + 1]), weights, hp)

    def of_policies(params: PyTree, index: int, policies: str) -> Array:
        """What follows, under the policies among which the best action is sought."""
        if policies in ("own", "acting"):
            return least(params, index, following)
        others = hp.support if policies == "support" else weights[: parts.config.num_candidates]
        taus = _taus(parts, keys[index], batch)
        run = lambda own, key: wide(lambda other: under(taus, following, other)(own, key), others)  # noqa: E731
        return of_critics(acting, params, run, _noise(parts, keys[index + 1]), weights, hp)

    def target_of(policies: str) -> Array:
        later = of_policies(state.target, 0, policies)
        other = of_policies(state.params, 2, policies) if parts.backup.double else later
        mixed, reward = _backed_up(parts, later, other, before, experience, hp)
        factor = jnp.broadcast_to(experience.factor, reward.shape)
        return jax.lax.stop_gradient(parts.head.target(reward, factor, mixed, hp.head))

    before = least(state.target, 4, observation) if parts.backup.bonus else None
    target = target_of(parts.config.policies)
    judged = target_of("support") if parts.config.improved_priorities else target
    taus = _taus(parts, keys[6], batch)

    def loss_of(params: PyTree) -> tuple[Array, tuple[Array, Array]]:
        run = under(taus, observation, weights)
        taken = of_each_critic(
            acting, params, lambda own, key: at(run(own, key), experience.action), _noise(parts, keys[7])
        )
        losses = _over_critics(parts, _loss(parts, taken, target, taus, weights, hp, progress))
        return jnp.mean(experience.importance * losses), (taken, losses)

    read = partial(signals, parts, keys[7], state, observation, weights, taus, progress)
    state, (taken, losses), metrics = descend(parts, state, loss_of, hp, progress, read)
    means = jnp.sum(parts.head.mean(taken, hp.head) * weights, axis=-1)
    errors = _errors(parts, taken, judged, losses, weights)
    return state, errors, {**metrics, "value": means.mean()}


def _over_critics(parts: Parts, values: Float[Array, "..."]) -> Float[Array, "..."]:
    """Means over critics, where there are several."""
    return values if parts.config.num_critics == 1 else values.mean(axis=0)


def _loss(
    parts: Parts, taken: Array, target: Array, taus: Array | None, weights: Array, hp: Any, progress: Progress
) -> Float[Array, "*batch"]:
    """The mean over objectives; with homotopy (1-λ) of it and λ of the weighted sum's own (Yang et al., 2019)."""
    losses = parts.head.loss(taken, target, taus, hp.head).mean(axis=-1)
    if not parts.config.homotopy:
        return losses
    over = jnp.clip(progress.fraction / jnp.maximum(hp.backup["homotopy_fraction"], 1e-9), 0.0, 1.0)
    share = hp.backup["homotopy_end"] * over
    weighted = lambda outputs: jnp.sum(outputs * weights[..., None], axis=-2, keepdims=True)  # noqa: E731
    summed = parts.head.loss(weighted(taken), weighted(target), taus, hp.head)[..., 0]
    return (1.0 - share) * losses + share * summed


def _backed_up(
    parts: Parts, later: Array, other: Array, before: Array | None, experience: Any, hp: Any
) -> tuple[Float[Array, "*batch objective atom"], Float[Array, "*batch objective"]]:
    """Outputs for what follows, and rewards with what the backup adds to them."""
    weights, following = experience.weights, experience.following
    scores = scores_of(parts.acting, later, weights, following, hp)
    other_scores = scores_of(parts.acting, other, weights, following, hp) if parts.backup.double else scores
    mixed = parts.backup.following(later, scores, other_scores, hp.backup)
    if before is None:
        return mixed, experience.reward
    bonus_scores = scores_of(parts.acting, before, weights, experience.observation, hp)
    bonus = parts.backup.bonus(bonus_scores, experience.action, hp.backup)
    return mixed, experience.reward + bonus[..., None]


def _errors(parts: Parts, taken: Array, target: Array, losses: Array, weights: Array) -> Float[Array, "*batch"]:
    """|w·δ| of means; of distributions the loss, as Rainbow has it (Hessel et al., 2018, section 3)."""
    if parts.head.num_atoms > 1:
        return jnp.abs(losses)
    return _over_critics(parts, jnp.abs(jnp.sum((target - taken)[..., 0] * weights, axis=-1)))


# A sequence counts by its largest error and by their mean (R2D2, section 2.3).
_LARGEST = 0.9


def _learn_sequences(
    parts: Parts, key: PRNGKeyArray, state: OffPolicyState, experience: Sequences, hp: Any, progress: Progress
) -> tuple[OffPolicyState, Float[Array, " batch"], dict[str, Array]]:
    """One gradient step on sequences, time leading from here on."""
    keys = jax.random.split(key, 4)
    steps = along(experience, parts.config.burn_in)
    shape = steps.reward.shape[:-1]

    def run(params: PyTree, taus: Array | None, noise: PRNGKeyArray) -> tuple[Array, Array]:
        see = partial(visible, parts.acting, state, hp=hp)
        return steps.outputs(parts.acting.network, params["values"], see, taus, _noise(parts, noise))

    before, later = run(state.target, _taus(parts, keys[0], shape), keys[1])
    # The learning network's outputs for what follows come from the same pass as those that are fitted.
    taus = _taus(parts, keys[2], shape)
    other = run(state.params, taus, keys[3])[1] if parts.backup.double else later
    mixed, reward = _backed_up(parts, later, other, before if parts.backup.bonus else None, steps, hp)
    target = jax.lax.stop_gradient(steps.target(parts.head, reward, mixed, parts.config.return_steps, hp))

    def loss_of(params: PyTree) -> tuple[Array, tuple[Array, Array]]:
        taken = at(run(params, taus, keys[3])[0], steps.action)
        losses = jnp.where(steps.valid, _loss(parts, taken, target, taus, steps.weights, hp, progress), 0.0)
        return jnp.mean(experience.importance * losses), (taken, losses)

    state, (taken, losses), metrics = descend(parts, state, loss_of, hp, progress)
    errors = jnp.where(steps.valid, _errors(parts, taken, target, losses, steps.weights), 0.0)
    priority = _LARGEST * errors.max(axis=0) + (1.0 - _LARGEST) * errors.mean(axis=0)
    means = jnp.sum(parts.head.mean(taken, hp.head) * steps.weights, axis=-1)
    return state, priority, {**metrics, "value": means.mean()}
