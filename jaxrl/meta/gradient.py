"""Meta-gradients: an outer loss after K updates, differentiated through them with respect to a leaf."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.base import Rollout
from jaxrl.aggregation import standardise
from jaxrl.environments.masks import seen_space
from jaxrl.hyperparameters import split_settings
from jaxrl.meta.curriculum import make_curriculum
from jaxrl.meta.curriculum_settings import CurriculumConfig, CurriculumHyperparameters
from jaxrl.meta.lifetimes import Life, begin, grow, shorten, with_task
from jaxrl.meta.outer_critic import Critic, OuterCritic, Target, outer_critic
from jaxrl.meta.replay import Replay, make_replay
from jaxrl.meta.study import MetaHyperparameters, MetaStudy, Subject, make_subject, meta_study
from jaxrl.meta.tasks import Tasks
from jaxrl.networks import actor_critic, without_mask
from jaxrl.numerics.finite import mean_of_finite, soundness
from jaxrl.ranges import COUNT, LIMIT, NOT_NEGATIVE, NUMBER, PROBABILITY
from jaxrl.training.schedule import fit_evaluations
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree
from jaxrl.validity import choose, constant_unless, pooled

__all__ = ["GradientConfig", "GradientHyperparameters", "GradientState", "differentiate", "outer_loss"]


@dataclass(frozen=True, kw_only=True)
class GradientConfig(CurriculumConfig):
    """Static settings."""

    num_agents: Annotated[int, COUNT] = 64
    """Agents in progress, each with its own task, age and horizon."""
    unroll: Annotated[int, COUNT] = 5
    """K: updates that the outer loss is differentiated through; horizons are rounded up to multiples of it."""
    num_meta_steps: Annotated[int, COUNT] = 500
    """Steps of the outer loop; each is `unroll` updates of every agent."""
    recompute: bool = True
    """Make every update again in the backward pass, so that memory grows with K states and not with K rollouts; a fifth
    quicker without, where memory suffices."""
    critic_epochs: Annotated[int, COUNT] = 4
    """Gradient steps of the outer critics per meta-step, on the rollout of the outer loss."""
    critic_network: str = "auto"
    """Network of the outer critics: auto, mlp, cnn or table."""
    critic_hidden_sizes: Annotated[tuple[int, ...], COUNT] = (64, 64)
    """Widths of their dense layers."""
    num_evaluations: Annotated[int, COUNT] = 10
    """Evaluations on held-out tasks, at equal intervals, the last one at the end."""
    evaluation_tasks: Annotated[int, COUNT] = 64
    """Held-out tasks, the same in every evaluation and for every seed."""


class GradientHyperparameters(NamedTuple):
    """What is traced of the outer loop.

    Attributes:
        learning_rate: of Adam on what is meta-learned.
        learning_rate_decay: factor of the learning rate per meta-step.
        max_gradient_norm: global norm to which the meta-gradient is clipped.
        discount: γ of the outer loss.
        gae_lambda: λ of the outer loss.
        entropy_coefficient: bonus for the updated policy's entropy in the outer loss.
        critic_learning_rate: of Adam on the outer critics.
        regularisers: coefficients of the agent's own metrics in the outer loss, by name.
        curriculum: of the curriculum.
    """

    learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 1e-4
    learning_rate_decay: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 1.0
    max_gradient_norm: Annotated[Float[Array, ""] | float, LIMIT] = 1.0
    discount: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.99
    gae_lambda: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.95
    entropy_coefficient: Annotated[Float[Array, ""] | float, NUMBER] = 0.0
    critic_learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 1e-2
    regularisers: Mapping[str, Float[Array, ""] | float] = {}
    curriculum: CurriculumHyperparameters = CurriculumHyperparameters()


class GradientState(NamedTuple):
    """The complete state of the outer loop.

    Attributes:
        value: what is meta-learned.
        optimiser: its optimiser's state.
        lives: agents in progress, leading axis `agent`.
        critics: their outer critics, leading axis `agent`.
        replay: what the curriculum knows of levels.
        key: base key; meta-step i uses fold_in(key, i).
    """

    value: PyTree
    optimiser: PyTree
    lives: Life
    critics: Critic
    replay: PyTree
    key: PRNGKeyArray


class Parts(NamedTuple):
    """What the outer loop is put together of; static."""

    subject: Subject
    config: GradientConfig
    critic: OuterCritic
    replay: Replay


def differentiate(
    trainer: Trainer,
    tasks: Tasks,
    leaf: str = "objective",
    initial: Callable[[PRNGKeyArray], PyTree] | None = None,
    **settings: Any,
) -> MetaStudy:
    """Meta-learns a leaf of an agent's hyperparameters by truncated meta-gradients (LPG, Oh et al., 2020, section 3.3).

    Agents in progress learn with η for K updates; a fresh rollout of the updated agent θ'(η) then gives the outer loss

        -mean(A log π_θ'(a|s)) - c_e H(π_θ') + Σ cᵢ metricᵢ,

    A standardised per agent, from that agent's own outer critic, which learns on the same rollouts; Adam descends its
    gradient with respect to η, averaged over agents. Agents whose life is over restart on a fresh task with a fresh
    critic. So do those whose outer loss is not finite (`diverged_lives`); a gradient that is not finite is left out
    (`skipped_updates`), and the run is lost only where no agent's loss is finite, or none explains the gradient.

    Args:
        trainer: how agents learn; its environment must be the tasks'.
        tasks: what they learn.
        leaf: the field of `trainer.hyperparameters` that is meta-learned.
        initial: `key -> value` of that leaf; default the agent's own initialisation.
        settings: of `GradientConfig` and of `GradientHyperparameters`.

    Raises:
        UnknownNameError: for an unknown setting or leaf, with the nearest match.
        ValueError: for sizes that do not fit, or a trainer of another environment.
    """
    config, traced = split_settings(settings, GradientConfig, GradientHyperparameters())
    config = fit_evaluations(config, settings, config.num_meta_steps)
    subject = make_subject(trainer, tasks, leaf, initial, config, config.num_meta_steps)
    spec = trainer.environment.spec
    network = actor_critic(
        seen_space(spec), 1, 1, network=config.critic_network, hidden_sizes=config.critic_hidden_sizes
    )
    replay = make_replay(make_curriculum(config, trainer, tasks, has_critics=True), trainer, tasks, config.unroll)
    parts = Parts(subject, config, outer_critic(without_mask(spec, network), config.critic_epochs), replay)
    return meta_study(
        differentiate,
        subject,
        config,
        traced,
        settings,
        init=partial(_init, parts),
        learn=partial(_meta_step, parts),
        value=lambda state: state.value,
        num_iterations=config.num_meta_steps,
        steps_per_iteration=config.num_agents * (config.unroll + 1) * trainer.steps_per_iteration,
    )


def _optimiser(hp: GradientHyperparameters) -> optax.GradientTransformation:
    rate = lambda step: hp.learning_rate * hp.learning_rate_decay**step  # noqa: E731
    return optax.chain(optax.clip_by_global_norm(hp.max_gradient_norm), optax.adam(rate))


def _target(hyperparameters: MetaHyperparameters) -> Target:
    outer = hyperparameters.outer
    return Target(hyperparameters.weights, outer.discount, outer.gae_lambda)


def _init(parts: Parts, key: PRNGKeyArray, hyperparameters: MetaHyperparameters) -> GradientState:
    initial_key, lives_key, critics_key, ages_key, replay_key, run_key = jax.random.split(key, 6)
    subject, count, unroll = parts.subject, parts.config.num_agents, parts.config.unroll
    value = subject.begin(initial_key)
    inner = subject.inner(hyperparameters, value)
    born = jax.vmap(lambda key: begin(subject.trainer, subject.tasks, key, inner, unroll))
    lives = shorten(ages_key, born(jax.random.split(lives_key, count)), unroll)
    critics = jax.vmap(parts.critic.init)(jax.random.split(critics_key, count))
    replay = parts.replay.init(replay_key, lives, hyperparameters)
    return GradientState(value, _optimiser(hyperparameters.outer).init(value), lives, critics, replay, run_key)


def _meta_step(
    parts: Parts, state: GradientState, hyperparameters: MetaHyperparameters, index: Array
) -> tuple[GradientState, dict[str, Array]]:
    hp, count = hyperparameters.outer, parts.config.num_agents
    keys = jax.random.split(jax.random.fold_in(state.key, index), 2 * count + 1)

    def mean_loss(value: PyTree) -> tuple[Array, tuple]:
        one = lambda key, life, critic: outer_loss(parts, value, key, life, critic, hyperparameters)  # noqa: E731
        losses, rest = jax.vmap(one)(keys[:count], state.lives, state.critics)
        return losses.mean(), rest

    gradient, (lives, rollouts, advantages, metrics) = jax.grad(mean_loss, has_aux=True)(state.value)
    norm = optax.global_norm(gradient)
    sound = soundness(norm, metrics["outer_loss"])
    changes, optimiser = _optimiser(hp).update(gradient, state.optimiser)
    updated = optax.apply_updates(state.value, changes), optimiser
    value, optimiser = choose(sound.usable, updated, (state.value, state.optimiser))
    lives = lives._replace(age=jnp.where(sound.diverged, lives.task.horizon, lives.age))
    fit = jax.vmap(parts.critic.fit, in_axes=(0, 0, None, None))
    critics = fit(state.critics, rollouts, _target(hyperparameters), hp.critic_learning_rate)
    replay = parts.replay.observe(state.replay, rollouts.reward @ hyperparameters.weights, advantages, hyperparameters)
    finished, metrics = lives.age >= lives.task.horizon, pooled(metrics, mean_of_finite)
    inner = parts.subject.inner(hyperparameters, value)
    lives, replay, replay_metrics = parts.replay.restart(keys[-1], replay, lives, inner, hyperparameters)
    critics = jax.vmap(
        lambda over, key, critic: jax.tree.map(
            lambda new, old: jnp.where(over, new, old), parts.critic.init(key), critic
        )
    )(finished, keys[count:-1], critics)
    metrics = {
        **metrics,
        "meta_gradient_norm": norm,
        "finished_lives": finished.sum().astype(jnp.float32),
        "diverged_lives": sound.diverged.sum().astype(jnp.float32),
        "skipped_updates": metrics.get("skipped_updates", 0.0) + ~sound.usable,
        "non_finite": sound.lost.astype(jnp.float32),
        "episode_return": mean_of_finite(state.lives.latest, axis=0),
        **replay_metrics,
    }
    return GradientState(value, optimiser, lives, critics, replay, state.key), metrics


def outer_loss(
    parts: Parts,
    value: PyTree,
    key: PRNGKeyArray,
    life: Life,
    critic: Critic,
    hyperparameters: MetaHyperparameters,
) -> tuple[Float[Array, ""], tuple[Life, Rollout, Float[Array, "time env"], dict[str, Array]]]:
    """The outer loss of one agent as a function of what is meta-learned.

    Returns:
        The loss; and the agent after K updates, the rollout of the outer loss, its advantages, and the agent's mean
        metrics.
    """
    trainer, hp, inner = parts.subject.trainer, hyperparameters.outer, parts.subject.inner(hyperparameters, value)
    life, metrics = grow(trainer, life, inner, parts.config.unroll, parts.config.recompute)
    run, rollout, _ = trainer.collect(key, life.run, with_task(inner, life.task))
    rollout = jax.lax.stop_gradient(rollout)
    acting = constant_unless(rollout.valid, trainer.agent.score(run.agent, rollout, inner))
    advantage = jax.lax.stop_gradient(parts.critic.advantage(critic, rollout, _target(hyperparameters)))
    policy_loss = -jnp.mean(standardise(advantage, (0, 1), valid=rollout.valid) * acting.log_prob)
    metrics = pooled(metrics)
    metrics["faulty_steps"] += jnp.sum(~rollout.valid)
    penalty = sum((coefficient * metrics[name] for name, coefficient in hp.regularisers.items()), jnp.zeros(()))
    total = policy_loss - hp.entropy_coefficient * acting.entropy.mean() + penalty
    return total, (life, rollout, advantage, {**metrics, "outer_loss": total, "outer_entropy": acting.entropy.mean()})
