"""A run as a scan of iterations, some of which end with an evaluation: for trainers, studies and meta-training."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.numerics.tracing import traced_once
from jaxrl.types import Array, Bool, Int, PRNGKeyArray, PyTree

__all__ = ["Result", "evaluate_where", "evaluation_due", "evaluation_iterations", "scan_steps"]


class Result(NamedTuple):
    """What a whole run returns.

    Attributes:
        state: the final one; of a trainer, a `RunState`.
        evaluation: one entry per evaluation; of a trainer, `returns` has shape [num_evaluations, num_objectives].
        metrics: by name, one entry per iteration.
    """

    state: Any
    evaluation: Any
    metrics: dict[str, Array]


def scan_steps(
    step: Callable, state: PyTree, hyperparameters: Any, num_iterations: int, rows: Int[np.ndarray, " evaluation"]
) -> Result:
    """A whole run as a scan of `step: (state, hyperparameters, index) -> (state, (metrics, evaluation))`.

    Args:
        step: one iteration.
        state: before the first.
        hyperparameters: traced.
        num_iterations: iterations.
        rows: indices of those that end with an evaluation.
    """
    state, (metrics, evaluation) = jax.lax.scan(
        lambda state, index: step(state, hyperparameters, index), state, jnp.arange(num_iterations)
    )
    return Result(state, jax.tree.map(lambda leaf: leaf[rows], evaluation), metrics)


def evaluation_iterations(num_evaluations: int, num_iterations: int) -> np.ndarray:
    """Indices of the iterations that `evaluation_due` picks."""
    index = np.arange(num_iterations)
    return index[evaluation_due(index, num_evaluations, num_iterations)]


def evaluation_due(index: Any, num_evaluations: int, num_iterations: int) -> Any:
    """True for `num_evaluations` iterations at equal intervals, the last one included."""
    return (index + 1) * num_evaluations // num_iterations > index * num_evaluations // num_iterations


def evaluate_where(
    due: Bool[Array, ""], evaluate: Callable, key: PRNGKeyArray, agent_state: PyTree, hyperparameters: PyTree
) -> PyTree:
    """The evaluation where it is due, else NaN, by a branch as long as `due` is not batched."""
    evaluate = traced_once(evaluate)
    shapes = jax.eval_shape(evaluate, key, agent_state, hyperparameters)

    def skipped(*_: Any) -> PyTree:
        return jax.tree.map(lambda leaf: jnp.full(leaf.shape, jnp.nan, leaf.dtype), shapes)

    return jax.lax.cond(due, evaluate, skipped, key, agent_state, hyperparameters)
