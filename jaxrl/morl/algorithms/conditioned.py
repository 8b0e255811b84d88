"""One network for all preferences: a front of as many policies as one asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.configs import check_config
from jaxrl.environments.base import Environment
from jaxrl.morl.problem import Problem
from jaxrl.morl.study import (
    FrontEvaluation,
    Study,
    StudyHyperparameters,
    ends_with_evaluation,
    evaluate_front,
    no_evaluation,
)
from jaxrl.numerics.weights import equally_spaced
from jaxrl.ranges import COUNT
from jaxrl.training.loop import scan_steps
from jaxrl.training.rollouts import RunState
from jaxrl.training.trainer import Trainer, trainer
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = [
    "TRAINING",
    "ConditionedConfig",
    "ConditionedHyperparameters",
    "Parts",
    "conditioned",
    "front_at",
    "make_parts",
    "returns_under",
    "study_of",
]

TRAINING = {"num_envs": 16}


@dataclass(frozen=True, kw_only=True)
class ConditionedConfig:
    """Static settings."""

    member_agent: str = "ppo"
    """The agent."""
    num_evaluation_weights: Annotated[int, COUNT] = 32
    """Evenly spaced preferences at which the front is measured during training."""
    num_policies: Annotated[int, COUNT] = 100
    """Evenly spaced preferences of the final front."""

    __post_init__ = check_config


class ConditionedHyperparameters(NamedTuple):
    """Traced settings: none besides the agent's."""


class Parts(NamedTuple):
    """What the study is put together of; static."""

    trainer: Trainer
    learner: Trainer
    problem: Problem
    config: ConditionedConfig


def conditioned(
    environment: Environment,
    problem: Problem,
    config: ConditionedConfig,
    hyperparameters: ConditionedHyperparameters,
    settings: dict[str, Any],
) -> Study:
    """Builds a preference-conditioned agent, measured over evenly spaced preferences (Abels et al., 2019).

    Every copy of the environment acts under preferences of its own, drawn anew at every iteration. Settings of the
    inner agent choose the method: `conditioning` input or hypernetwork (MORLAX, arXiv 2603.09237; Hyper-MORL, Shu et
    al., 2024), `num_preferences` for sparse sampling, and `scalarise`: before_estimation (MORLAX), after_estimation
    (per-objective critics, weighted advantages) or after_clipping (late-stage weighting, D3PO, arXiv 2602.07764, whose
    diversity regulariser is not included).

    Args:
        environment: under the protocol.
        problem: the protocol.
        config: static settings.
        hyperparameters: none.
        settings: of the trainer.

    Raises:
        ValueError: for fewer preferences than objectives.
    """
    parts = make_parts(environment, problem, config, settings)
    return study_of(parts, hyperparameters, _init, _step, lambda state, hp: (state.agent, hp.training))


def make_parts(environment: Environment, problem: Problem, config: Any, settings: dict[str, Any]) -> Parts:
    """The trainer of a conditioned agent, and what its front is measured with; arguments as of `conditioned`.

    Raises:
        ValueError: for fewer preferences than objectives.
    """
    num_objectives = environment.spec.num_objectives
    for name in ("num_evaluation_weights", "num_policies"):
        if getattr(config, name) < num_objectives:
            raise ValueError(f"{name}={getattr(config, name)} is less than one for each of {num_objectives} objectives")
    built = trainer(config.member_agent, environment, **settings, condition_on_weights=True)
    # The learner's own evaluation, under one weight only, happens once at the end.
    learner = built.rebuild(num_evaluations=1, evaluation_episodes=1)
    return Parts(built, learner, problem, config)


def study_of(parts: Parts, hyperparameters: Any, init: Callable, step: Callable, network: Callable) -> Study:
    """The study of one network, whose front is that of evenly spaced preferences.

    Args:
        parts: of the study.
        hyperparameters: of the algorithm.
        init: `(parts, key, hyperparameters) -> state`.
        step: `(parts, state, hyperparameters, index) -> (state, outputs)`.
        network: `(state, hyperparameters) -> (agent, its hyperparameters)`: what acts.
    """
    built, init, step = parts.trainer, partial(init, parts), partial(step, parts)
    return Study(
        init=init,
        step=step,
        run=lambda key, hp: scan_steps(step, init(key, hp), hp, built.num_iterations, built.evaluation_iterations),
        evaluate=partial(_evaluate, parts, network),
        policy=partial(_policy, parts, network),
        hyperparameters=StudyHyperparameters(built.hyperparameters, hyperparameters),
        trainer=built,
        problem=parts.problem,
        iteration_steps=np.full(built.num_iterations, built.steps_per_iteration, np.int64),
        algorithm="custom",
        config=parts.config,
        settings={},
        rebuild=None,
    )


def _init(parts: Parts, key: PRNGKeyArray, hyperparameters: StudyHyperparameters) -> RunState:
    return parts.learner.init(key, hyperparameters.training)


def _step(
    parts: Parts, state: RunState, hyperparameters: StudyHyperparameters, index: Int[Array, ""]
) -> tuple[RunState, tuple[dict[str, Array], FrontEvaluation]]:
    state, (metrics, _) = parts.learner.step(state, hyperparameters.training, index)
    measures = jax.lax.cond(
        ends_with_evaluation(parts.trainer, index),
        partial(_measure, parts),
        lambda *_: no_evaluation(),
        jax.random.fold_in(state.key, index),
        state,
        hyperparameters,
    )
    return state, (metrics, measures)


def _measure(
    parts: Parts, key: PRNGKeyArray, state: RunState, hyperparameters: StudyHyperparameters
) -> FrontEvaluation:
    return front_at(parts, key, state.agent, hyperparameters.training)


def front_at(parts: Parts, key: PRNGKeyArray, agent: PyTree, training: Any) -> FrontEvaluation:
    """Measures of the front of evenly spaced preferences, during training."""
    count, episodes = parts.config.num_evaluation_weights, parts.trainer.config.evaluation_episodes
    points = returns_under(parts, key, agent, training, _weights(parts, count), episodes)
    return evaluate_front(parts.problem, points, jnp.all(jnp.isfinite(points), axis=-1))


def _weights(parts: Parts, count: int) -> Float[Array, "policy objective"]:
    return equally_spaced(parts.problem.num_objectives, count)


def returns_under(
    parts: Parts,
    key: PRNGKeyArray,
    agent: PyTree,
    training: Any,
    weights: Float[Array, "policy objective"],
    num_episodes: int,
) -> Float[Array, "policy objective"]:
    """Returns of the network under every preference, on the same episodes."""
    evaluate = parts.trainer.evaluator(num_episodes)
    return jax.vmap(lambda w: evaluate(key, agent, training._replace(weights=w)).discounted_returns)(weights)


def _evaluate(
    parts: Parts,
    network: Callable,
    key: PRNGKeyArray,
    state: PyTree,
    hyperparameters: StudyHyperparameters,
    num_episodes: int,
) -> tuple[Array, Array, Array]:
    weights = _weights(parts, parts.config.num_policies)
    points = returns_under(parts, key, *network(state, hyperparameters), weights, num_episodes)
    return points, jnp.all(jnp.isfinite(points), axis=-1), weights


def _policy(
    parts: Parts, network: Callable, state: PyTree, hyperparameters: StudyHyperparameters, index: int
) -> tuple[PyTree, Any]:
    agent, training = network(state, hyperparameters)
    return agent, training._replace(weights=_weights(parts, parts.config.num_policies)[index])
