"""Tabular algorithms as studies: exact or learnt fronts of finite environments under one protocol."""

from collections.abc import Callable, Collection
from dataclasses import fields
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import hyperparameters as named
from jaxrl.environments.base import Environment
from jaxrl.errors import require_name
from jaxrl.morl.problem import Problem
from jaxrl.morl.study import FrontEvaluation, Study, StudyHyperparameters, evaluate_front
from jaxrl.morl.tabular.base import Tabular
from jaxrl.training.loop import scan_steps
from jaxrl.types import Array, Int, PRNGKeyArray, PyTree

__all__ = ["PROTOCOL", "as_study"]

# Hyperparameters that a study's protocol says, and by which setting.
PROTOCOL = {"discount": "evaluation_discount", "reference": "reference_point"}


def as_study(algorithm: Callable[..., Tabular], also: Collection[str] = ()) -> Callable[..., Study]:
    """The builder of studies by a tabular algorithm, `(environment, problem, config, hyperparameters, settings)`.

    What is maximised is what is reported: returns under the protocol's discount. During the run, measures are of the
    return vectors that the algorithm knows; the final front is of fresh episodes of its policies, like any study's.

    Args:
        algorithm: `(environment, config) -> Tabular`.
        also: settings that somebody else takes, which an error should offer.
    """
    build = partial(_build, algorithm, also)
    build.__doc__ = algorithm.__doc__
    return build


def _build(
    algorithm: Callable[..., Tabular],
    also: Collection[str],
    environment: Environment,
    problem: Problem,
    config: Any,
    hyperparameters: Any,
    settings: dict[str, Any],
) -> Study:
    tabular = algorithm(environment, config)
    given = {name: leaf for name, leaf in hyperparameters._asdict().items() if leaf is not None}
    checked = {name: given.pop(name) for name in named.leaves(tabular.hyperparameters) if name in given}
    defaults = named.replace(tabular.hyperparameters._replace(**given), checked)
    # No leaves: the protocol fills them in, so that no sweep can set them apart from it.
    defaults = StudyHyperparameters((), defaults._replace(**dict.fromkeys(PROTOCOL, ())))
    paths = named.leaves(defaults)
    static = {field.name for field in fields(config)}
    known = {*static, *also, *paths, *(path.rsplit(".", 1)[-1] for path in paths)}
    for name in settings:
        require_name("setting", name, known)
    init, step = partial(_init, tabular, problem), partial(_step, tabular, problem)
    rows = tabular.evaluation_iterations
    return Study(
        init=init,
        step=step,
        run=lambda key, hp: scan_steps(step, init(key, hp), hp, tabular.num_iterations, rows),
        evaluate=partial(_evaluate, tabular, problem),
        policy=partial(_policy, tabular, problem),
        hyperparameters=named.replace(defaults, settings),
        trainer=tabular,
        problem=problem,
        iteration_steps=tabular.iteration_steps,
        algorithm="custom",
        config=config,
        settings={},
        rebuild=None,
        diagnostics=tabular.diagnostics,
    )


def _filled(problem: Problem, hyperparameters: StudyHyperparameters) -> Any:
    """The algorithm's hyperparameters with the protocol's part."""
    discount, reference = jnp.float32(problem.discount), jnp.asarray(problem.reference_point, jnp.float32)
    return hyperparameters.algorithm._replace(discount=discount, reference=reference)


def _init(tabular: Tabular, problem: Problem, key: PRNGKeyArray, hyperparameters: StudyHyperparameters) -> PyTree:
    return tabular.init(key, _filled(problem, hyperparameters))


def _step(
    tabular: Tabular, problem: Problem, state: PyTree, hyperparameters: StudyHyperparameters, index: Int[Array, ""]
) -> tuple[PyTree, tuple[dict[str, Array], FrontEvaluation]]:
    filled = _filled(problem, hyperparameters)
    state, diagnostics = tabular.step(state, filled, index)
    found = tabular.front(state, filled)
    finite = jnp.all(jnp.isfinite(jnp.where(found.mask[:, None], found.points, 0.0)))
    metrics = {"environment_steps": tabular.steps(state), "non_finite": (~finite).astype(jnp.float32)}
    return state, ({**diagnostics, **metrics}, evaluate_front(problem, found.points, found.mask))


def _evaluate(
    tabular: Tabular,
    problem: Problem,
    key: PRNGKeyArray,
    state: PyTree,
    hyperparameters: StudyHyperparameters,
    num_episodes: int,
) -> tuple[Array, Array, Array | None]:
    filled, evaluate = _filled(problem, hyperparameters), tabular.evaluator(num_episodes)
    found, acting = tabular.front(state, filled), tabular.acting(filled)

    def one(index: Array) -> Array:
        return evaluate(key, tabular.policy(state, filled, index), acting).discounted_returns

    # One after the other: the policies of a mixture are many tables.
    return jax.lax.map(one, jnp.arange(found.mask.size)), found.mask, found.weights


def _policy(
    tabular: Tabular, problem: Problem, state: PyTree, hyperparameters: StudyHyperparameters, index: int
) -> tuple[PyTree, Any]:
    filled = _filled(problem, hyperparameters)
    return tabular.policy(state, filled, index), tabular.acting(filled)
