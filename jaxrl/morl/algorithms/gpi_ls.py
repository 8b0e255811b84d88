"""Generalised policy improvement with linear support: one network, and preferences to learn under that are sought."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.configs import check_config
from jaxrl.environments.base import Environment
from jaxrl.morl.algorithms.conditioned import Parts, front_at, make_parts, returns_under, study_of
from jaxrl.morl.pareto import non_dominated
from jaxrl.morl.problem import Problem
from jaxrl.morl.study import (
    FrontEvaluation,
    Study,
    StudyHyperparameters,
    ends_with_evaluation,
    no_evaluation,
)
from jaxrl.morl.tabular.corner_weights import corner_weights
from jaxrl.ranges import COUNT
from jaxrl.training.rollouts import RunState
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray, PyTree

__all__ = ["TRAINING", "GPILSConfig", "GPILSHyperparameters", "GPILSState", "following_support", "gpi_ls"]

TRAINING = {"num_evaluations": 10}

# Weights nearer than this count as one.
_SAME_WEIGHTS = 1e-4


@dataclass(frozen=True, kw_only=True)
class GPILSConfig:
    """Static settings."""

    member_agent: str = "gpi_dqn"
    """The agent: one with a `support`, whose size is its num_candidates."""
    num_corners: Annotated[int, COUNT] = 24
    """Corner weights at most whose improvement is measured; of more, some at random."""
    num_sought: Annotated[int, COUNT] = 4
    """Places of the support that are kept for corner weights, those of the largest improvement."""
    num_evaluation_weights: Annotated[int, COUNT] = 32
    """Evenly spaced preferences at which the front is measured during training."""
    num_policies: Annotated[int, COUNT] = 100
    """Evenly spaced preferences of the final front."""

    __post_init__ = check_config


class GPILSHyperparameters(NamedTuple):
    """Traced settings: none besides the agent's."""


class GPILSState(NamedTuple):
    """A run, and what it learns under.

    Attributes:
        run: of the agent.
        support: preferences that are learned under now, repeated where there are fewer than places.
        gain: the largest improvement that a corner weight promised when they were chosen; NaN before.
    """

    run: RunState
    support: Float[Array, "policy objective"]
    gain: Float[Array, ""]


def gpi_ls(
    environment: Environment,
    problem: Problem,
    config: GPILSConfig,
    hyperparameters: GPILSHyperparameters,
    settings: dict[str, Any],
) -> Study:
    """Builds GPI-LS (Alegre et al., AAMAS 2023, arXiv 2301.07784, algorithm 1).

    One network learns under a set of preferences, its support, at first the corners of the simplex, and acts by the
    best of their policies. After every evaluation the policy is measured under each of them; where the best of what was
    found changes lie the corner weights (Roijers, 2016), and among these the next are those of the largest improvement
    w·v^GPI(w) - max_v w·v, v^GPI(w) being what the policy of all of them reaches already. The support is then the
    preferences whose returns are not dominated, and the best corner weights.

    Unlike in the authors' code returns are measured anew every time: what the network has forgotten does not stay in
    the set. With `replay` prioritised, errors of the temporal difference set priorities, as in GPI-PD without its model
    where `policies` is support: targets are then those of the improved policy.

    Args:
        environment: under the protocol, with two or three objectives.
        problem: the protocol.
        config: static settings.
        hyperparameters: none.
        settings: of the trainer.

    Raises:
        ValueError: for another number of objectives, an agent without a support, or sizes that do not fit.
    """
    num_objectives = environment.spec.num_objectives
    if num_objectives not in (2, 3):
        raise ValueError(f"gpi_ls takes 2 or 3 objectives, {environment.spec.name} has {num_objectives}")
    parts = make_parts(environment, problem, config, settings)
    _require_places(config, parts.trainer.hyperparameters, num_objectives)
    return study_of(parts, hyperparameters, _init, _step, lambda state, hp: (state.run.agent, _training(state, hp)))


def _require_places(config: GPILSConfig, defaults: Any, num_objectives: int) -> None:
    places = len(getattr(defaults, "support", ()))
    if not places:
        raise ValueError(f"gpi_ls needs an agent with a support, such as gpi_dqn: {config.member_agent!r} has none")
    if not 1 <= config.num_sought <= places - num_objectives:
        raise ValueError(
            f"num_sought={config.num_sought} must leave room for {num_objectives} others in a support of "
            f"num_candidates={places}"
        )


def _init(parts: Parts, key: PRNGKeyArray, hyperparameters: StudyHyperparameters) -> GPILSState:
    places, num_objectives = hyperparameters.training.support.shape
    support = jnp.resize(jnp.eye(num_objectives), (places, num_objectives))
    return GPILSState(parts.learner.init(key, hyperparameters.training), support, jnp.asarray(jnp.nan))


def _training(state: GPILSState, hyperparameters: StudyHyperparameters) -> Any:
    return hyperparameters.training._replace(support=state.support)


def _step(
    parts: Parts, state: GPILSState, hyperparameters: StudyHyperparameters, index: Int[Array, ""]
) -> tuple[GPILSState, tuple[dict[str, Array], FrontEvaluation]]:
    training = _training(state, hyperparameters)
    run, (metrics, _) = parts.learner.step(state.run, training, index)
    support, gain, measures = jax.lax.cond(
        ends_with_evaluation(parts.trainer, index),
        partial(_measured, parts),
        lambda key, agent, training: (state.support, state.gain, no_evaluation()),
        jax.random.fold_in(run.key, index),
        run.agent,
        training,
    )
    return GPILSState(run, support, gain), ({**metrics, "gain": gain}, measures)


def _measured(
    parts: Parts, key: PRNGKeyArray, agent: PyTree, training: Any
) -> tuple[Float[Array, "policy objective"], Float[Array, ""], FrontEvaluation]:
    """The front, and the support that follows."""
    front_key, support_key, choice_key = jax.random.split(key, 3)
    episodes = parts.trainer.config.evaluation_episodes

    def returns(weights: Float[Array, "corner objective"]) -> Float[Array, "corner objective"]:
        return returns_under(parts, support_key, agent, training, weights, episodes)

    config = parts.config
    support, gain = following_support(returns, choice_key, training.support, config.num_corners, config.num_sought)
    return support, gain, front_at(parts, front_key, agent, training)


def following_support(
    returns: Any, key: PRNGKeyArray, support: Float[Array, "policy objective"], num_corners: int, num_sought: int
) -> tuple[Float[Array, "policy objective"], Float[Array, ""]]:
    """The preferences to learn under next, and the largest improvement among corner weights.

    Args:
        returns: `weights [corner, objective] -> returns [corner, objective]` of the policy under each.
        key: of choices among equals.
        support: the preferences until now.
        num_corners: corner weights at most that are looked at.
        num_sought: places that are kept for them.
    """
    places = support.shape[0]
    points = returns(support)
    found = non_dominated(points, jnp.all(jnp.isfinite(points), axis=-1))
    subset_key, order_key = jax.random.split(key)
    corners, are = _corners(subset_key, points, found, num_corners)
    reached = jnp.sum(corners * returns(corners), axis=-1)
    best = jnp.max(jnp.where(found, corners @ points.T, -jnp.inf), axis=-1)
    gains = jnp.where(are, reached - best, -jnp.inf)
    kept = jnp.argsort(-_missed(support, points, found))[: places - num_sought]
    are = are & ~jnp.any(_same(corners, support[kept]) & found[kept], axis=-1)
    order = jnp.lexsort((jax.random.uniform(order_key, gains.shape), -jnp.where(are, gains, -jnp.inf)))
    rows = jnp.concatenate([support[kept], corners[order]])
    usable = jnp.concatenate([found[kept], are[order]])
    first = jnp.argsort(~usable, stable=True)
    return rows[first[jnp.arange(places) % jnp.maximum(usable.sum(), 1)]], jnp.max(gains)


def _corners(
    key: PRNGKeyArray, points: Float[Array, "policy objective"], found: Bool[Array, " policy"], count: int
) -> tuple[Float[Array, "corner objective"], Bool[Array, " corner"]]:
    """Corner weights of a set of returns and the corners of the simplex, each once, and which of them count."""
    weights, valid = corner_weights(points, found)
    eye = jnp.eye(points.shape[-1])
    weights = jnp.concatenate([eye, weights])
    valid = jnp.concatenate([jnp.ones(len(eye), bool), valid])
    # Those that count come first, in random order, so that equal ones are looked for among few.
    order = jnp.argsort(jnp.where(valid, jax.random.uniform(key, valid.shape), jnp.inf))[: 4 * count]
    weights, valid = weights[order], valid[order]
    earlier = jnp.tril(jnp.ones((len(weights), len(weights)), bool), -1)
    valid = valid & ~jnp.any(_same(weights, weights) & valid & earlier, axis=-1)
    order = jnp.argsort(~valid, stable=True)[:count]
    return weights[order], valid[order]


def _same(one: Float[Array, "one objective"], other: Float[Array, "other objective"]) -> Bool[Array, "one other"]:
    return jnp.max(jnp.abs(one[:, None] - other), axis=-1) < _SAME_WEIGHTS


def _missed(
    weights: Float[Array, "policy objective"], points: Float[Array, "policy objective"], found: Bool[Array, " policy"]
) -> Float[Array, " policy"]:
    """What would be lost at each preference without its own returns; -inf for those that are not on the front."""
    values = jnp.where(found, weights @ points.T, -jnp.inf)
    own = jnp.eye(len(points), dtype=bool)
    others = jnp.max(jnp.where(own, -jnp.inf, values), axis=-1)
    return jnp.where(found, jnp.diagonal(values) - others, -jnp.inf)
