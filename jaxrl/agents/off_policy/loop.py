"""The off-policy loop: act some steps in all copies, write them down, take gradient steps on samples of the past.

Algorithms are learners: what networks there are, how they act, and one gradient step on a minibatch.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.base import Agent, Collection, Progress, Rollout
from jaxrl.agents.defaults import complete
from jaxrl.agents.off_policy.experience import Storage, sequences, transitions
from jaxrl.agents.off_policy.learner import Learner, OffPolicyState
from jaxrl.agents.off_policy.settings import (
    RANGES,
    OffPolicyConfig,
    OffPolicyHyperparameters,
    replay_leaves,
    validate,
)
from jaxrl.agents.settings import default_weights
from jaxrl.aggregation import ReturnSummary
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.tasks import measured_parts
from jaxrl.machine import device_memory
from jaxrl.numerics.members import least_of_members
from jaxrl.numerics.normalisation import init_parts, update_parts
from jaxrl.numerics.tracing import traced_once
from jaxrl.numerics.weights import preferences
from jaxrl.optimisers.plain import PLAIN
from jaxrl.ranges import Range
from jaxrl.replay import Buffer, Drawn, Replay
from jaxrl.types import Array, Float, Int, PRNGKeyArray
from jaxrl.validity import all_finite, choose

__all__ = ["off_policy", "warming_up"]


class _Parts(NamedTuple):
    spec: EnvironmentSpec
    config: OffPolicyConfig
    learner: Learner
    storage: Storage


def off_policy(
    spec: EnvironmentSpec,
    config: OffPolicyConfig,
    learner: Learner,
    defaults: Mapping[str, Any],
    hyperparameters: type = OffPolicyHyperparameters,
) -> Agent:
    """An agent that learns from a buffer.

    Args:
        spec: the environment's.
        config: static settings.
        learner: the algorithm.
        defaults: hyperparameters that differ from those of the class.
        hyperparameters: their class.

    Raises:
        ValueError: for settings that contradict each other, or do not fit the environment.
    """
    validate(config, spec, learner.optimiser is not None)
    parts = _Parts(spec, config, learner, _storage(spec, config, learner))
    _require_memory(config, parts.storage.replay)
    optional = {name: given for name in ("noise", "memory", "value") if (given := getattr(learner, name))}
    agent = Agent(
        init=partial(_init, parts),
        act=learner.act,
        update=partial(_update, parts),
        hyperparameters=_hyperparameters(parts, hyperparameters, defaults),
        spec=spec,
        config=config,
        collects=Collection(
            num_envs=config.num_envs,
            num_steps=config.num_steps,
            condition_on_weights=config.condition_on_weights,
            weights_last=True,
            num_preferences=config.num_preferences,
        ),
        records=parts.storage.records,
        explore=learner.explore,
        action=learner.action,
        actor=partial(_actor, learner),
        inherit=lambda fresh, parent: parent,
        ranges={**RANGES, **learner.ranges, **_optimiser_ranges(parts)},
        initialisers={"optimiser": learner.optimiser.init} if learner.optimiser else {},
        **optional,
    )
    return complete(agent)


def _storage(spec: EnvironmentSpec, config: OffPolicyConfig, learner: Learner) -> Storage:
    if learner.memory is None:
        return transitions(spec, config, learner.raw_action)
    memory = jax.eval_shape(lambda: learner.memory(()))
    return sequences(spec, config, learner.raw_action, memory, learner.sequence_length)


# Of all memory, what a buffer may take: the rest is for what runs.
_SHARE = 0.8


def _require_memory(config: OffPolicyConfig, replay: Replay) -> None:
    """Raises ValueError for a buffer that does not fit, before any of it is taken."""
    room = int(_SHARE * device_memory())
    if replay.num_bytes > room:
        most = int(replay.capacity * (room / replay.num_bytes))
        raise ValueError(
            f"buffer_size={config.buffer_size} takes {replay.num_bytes / 2**30:,.1f} GiB, and there are "
            f"{room / 2**30:,.1f} GiB for it: buffer_size={most} at most"
        )


def _optimiser_ranges(parts: _Parts) -> dict[str, Range]:
    optimiser = parts.learner.optimiser or PLAIN[parts.config.optimiser]
    return {f"optimiser.{name}": within for name, within in optimiser.ranges.items()}


def _hyperparameters(parts: _Parts, kind: type, defaults: Mapping[str, Any]) -> Any:
    learned = parts.learner.optimiser
    if learned is not None:
        # It brings the step size that it is meant for.
        defaults = {**defaults, "learning_rate": learned.learning_rate}
    leaves = {
        "replay": replay_leaves(parts.config),
        "optimiser": learned.init(None) if learned else dict(PLAIN[parts.config.optimiser].settings),
        **{name: dict(values) for name, values in parts.learner.leaves.items()},
    }
    # A default of an algorithm's may be a leaf within a field.
    for name, value in defaults.items():
        for values in leaves.values():
            if name in values:
                values[name] = value
    direct = {name: value for name, value in defaults.items() if name in kind._fields}
    return kind(weights=default_weights(parts.spec), **leaves)._replace(**direct)


def _actor(learner: Learner, state: OffPolicyState) -> OffPolicyState:
    """Networks that act, and statistics of observations."""
    return state._replace(params=learner.actor(state.params), target=(), optimiser=(), updates=(), buffer=())


def _init(parts: _Parts, key: PRNGKeyArray, hp: Any) -> OffPolicyState:
    params, target, optimiser = parts.learner.init(key, hp)
    return OffPolicyState(
        params=params,
        target=target,
        optimiser=optimiser,
        observations=init_parts(measured_parts(parts.spec)) if parts.config.normalise_observations else None,
        updates=jnp.zeros((), jnp.int32),
        buffer=parts.storage.replay.init(),
    )


def warming_up(config: OffPolicyConfig, progress: Progress) -> Array:
    """Whether fewer than `learning_starts` environment steps were taken before this iteration.

    It depends on how far the run is alone, which members of a sweep share: so that what waits for it is a branch.
    """
    return _iterations(progress) * (config.num_envs * config.num_steps) < config.learning_starts


def _iterations_without_learning(parts: _Parts) -> int:
    """After the first of them that has seen enough steps, and a whole window, there is something to learn from."""
    config = parts.config
    needed = max(config.learning_starts, parts.storage.replay.least)
    return max(0, -(-needed // (config.num_envs * config.num_steps)) - 1)


def _iterations(progress: Progress) -> Float[Array, ""]:
    """Those that are over."""
    return jnp.round(progress.fraction * progress.horizon)


def _updates_before(parts: _Parts, progress: Progress) -> Int[Array, ""]:
    """Gradient steps before this iteration."""
    learned = jnp.maximum(_iterations(progress) - _iterations_without_learning(parts), 0.0)
    return learned.astype(jnp.int32) * parts.config.num_updates


def _update(
    parts: _Parts,
    key: PRNGKeyArray,
    state: OffPolicyState,
    rollout: Rollout,
    summary: ReturnSummary,
    hp: Any,
    progress: Progress,
) -> tuple[OffPolicyState, dict[str, Array]]:
    """Writes the iteration down, and learns once there is enough."""
    config = parts.config
    buffer = parts.storage.replay.add(state.buffer, parts.storage.steps_of(rollout))
    observations = state.observations
    if observations is not None:
        observations = update_parts(observations, rollout.observation, rollout.valid)
    state = state._replace(observations=observations, buffer=())
    learn = traced_once(partial(_learn, parts))
    arguments = (key, state, buffer, hp, progress)
    shapes = jax.eval_shape(learn, *arguments)
    # The buffer goes in and does not come out, or it would be copied.
    waiting = lambda key, state, *_: _nothing(state, shapes)  # noqa: E731
    # A buffer that was not saved fills anew; how far the run is says nothing of it.
    empty = least_of_members(buffer.written) <= _iterations_without_learning(parts) * config.num_steps
    too_early = empty | (_iterations(progress) < _iterations_without_learning(parts))
    state, drawn, priorities, metrics = jax.lax.cond(too_early, waiting, learn, *arguments)
    if config.replay == "prioritised":
        known = buffer.priorities[0][drawn]
        buffer = parts.storage.replay.prioritise(buffer, drawn, jnp.where(priorities < 0.0, known, priorities))
    return state._replace(buffer=buffer), metrics


def _nothing(state: OffPolicyState, shapes: tuple) -> tuple:
    """What stands for the results of learning while there is too little to learn from."""
    _, drawn, priorities, metrics = shapes
    absent = {name: jnp.full(leaf.shape, jnp.nan, leaf.dtype) for name, leaf in metrics.items()}
    counted = {name: jnp.zeros(()) for name in ("non_finite", "skipped_updates", "updates")}
    return state, jnp.zeros(drawn.shape, drawn.dtype), jnp.full(priorities.shape, -1.0), absent | counted


def _learn(
    parts: _Parts, key: PRNGKeyArray, state: OffPolicyState, buffer: Buffer, hp: Any, progress: Progress
) -> tuple[OffPolicyState, Array, Array, dict[str, Array]]:
    """All gradient steps of an iteration, on samples that are drawn and taken at once."""
    config = parts.config
    shape = (config.num_updates, config.batch_size)
    draw_key, weights_key, learn_key = jax.random.split(key, 3)
    drawn = parts.storage.replay.draw(draw_key, buffer, shape)
    importance = _importance(config, drawn, hp, progress)
    weights = _weights(parts, weights_key, shape, hp)
    block = parts.storage.take(buffer, drawn.indices, hp.discount)(weights, importance)
    state = state._replace(updates=_updates_before(parts, progress))

    def step(state: OffPolicyState, inputs: tuple) -> tuple[OffPolicyState, tuple]:
        step_key, experience = inputs
        following, errors, metrics = parts.learner.learn(step_key, state, experience, hp, progress)
        following = _targets_moved(config, hp, following)
        finite = all_finite((following.params, following.optimiser))
        # Steps are counted whether they are taken or not, alike in all members of a sweep.
        kept = choose(finite, following._replace(updates=()), state._replace(updates=()))
        lost = 1.0 - finite.astype(jnp.float32)
        outputs = jnp.where(jnp.isfinite(errors), errors, -1.0), {**metrics, "non_finite": lost}
        return kept._replace(updates=following.updates), outputs

    keys = jax.random.split(learn_key, config.num_updates)
    state, (errors, metrics) = jax.lax.scan(step, state, (keys, block))
    skipped = metrics["non_finite"].sum()
    means = jax.tree.map(lambda leaf: leaf.mean(axis=0), metrics)
    counts = {"skipped_updates": skipped, "updates": jnp.asarray(float(config.num_updates))}
    return state, drawn.indices, _priorities(errors, hp), {**means, **counts}


def _importance(config: OffPolicyConfig, drawn: Drawn, hp: Any, progress: Progress) -> Float[Array, "update batch"]:
    """(N P)^-β over the largest of a minibatch, β annealed linearly to 1 (Schaul et al., 2016, section 3.4)."""
    if config.replay == "uniform":
        return jnp.ones(drawn.indices.shape)
    beta = hp.replay["importance_exponent"]
    beta = beta + (1.0 - beta) * progress.fraction
    weights = (drawn.size * jnp.maximum(drawn.probabilities, 1e-30)) ** -beta
    return weights / jnp.max(weights, axis=-1, keepdims=True)


_LEAST_PRIORITY = 1e-6


def _priorities(errors: Float[Array, "update batch"], hp: Any) -> Float[Array, "update batch"]:
    """(|δ| + ε)^α; of errors that are not finite, -1."""
    if not hp.replay:
        return errors
    return jnp.where(errors < 0.0, -1.0, (jnp.abs(errors) + _LEAST_PRIORITY) ** hp.replay["priority_exponent"])


def _weights(
    parts: _Parts, key: PRNGKeyArray, shape: tuple[int, int], hp: Any
) -> Float[Array, "update batch objective"]:
    num_objectives = parts.spec.num_objectives
    if parts.config.condition_on_weights:
        count = shape[0] * shape[1]
        # Of a support each sample has one; else weights are uniform on the simplex.
        drawn = hp.support[jax.random.randint(key, (count,), 0, len(hp.support))] if len(hp.support) else None
        drawn = preferences(key, count, num_objectives) if drawn is None else drawn
        return drawn.reshape(*shape, num_objectives)
    return jnp.broadcast_to(hp.weights, (*shape, num_objectives))


def _targets_moved(config: OffPolicyConfig, hp: Any, state: OffPolicyState) -> OffPolicyState:
    """θ⁻ ← (1 - ρ) θ⁻ + ρ θ every `target_period` gradient steps, exact for ρ = 0 and 1."""
    updates = state.updates + 1
    if not state.target:
        return state._replace(updates=updates)
    share = jnp.where(updates % config.target_period == 0, hp.target_rate, 0.0)
    online = {name: state.params[name] for name in state.target}
    target = jax.tree.map(lambda old, new: (1.0 - share) * old + share * new, state.target, online)
    return state._replace(target=target, updates=updates)
