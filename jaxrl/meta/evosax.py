"""Strategies of evosax in the outer loop of evolution (extra `evosax`)."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxrl.errors import missing_extra
from jaxrl.meta.evolution import EvolutionHyperparameters, SearchState, Strategy
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["from_evosax"]


class Parts(NamedTuple):
    """What an adapter is put together of; static."""

    algorithm: Any
    unravel: Callable[[Array], PyTree]


def from_evosax(algorithm: type, **settings: Any) -> Callable[[PyTree, int], Strategy]:
    """A strategy of evosax 0.3 as `evolve(..., strategy=from_evosax(evosax.algorithms.CMA_ES))`.

    Step sizes and noise scales are the algorithm's own settings: evosax keeps them in closures, so that they cannot be
    swept as jaxrl's can. Fitness is shaped by the algorithm, which minimises its negative.

    Args:
        algorithm: a class of distribution-based algorithms.
        settings: of its constructor, such as `optimizer` or `std_schedule`; population and shapes come from `evolve`.

    Raises:
        ImportError: if evosax is not installed.
        ValueError: for an algorithm that has no mean, such as a genetic one.
    """
    try:
        from evosax.algorithms.distribution_based.base import DistributionBasedAlgorithm
    except ImportError as error:
        raise missing_extra("evosax", "evosax") from error
    if not issubclass(algorithm, DistributionBasedAlgorithm):
        raise ValueError(f"{algorithm.__name__} keeps no mean to evaluate; use a distribution-based algorithm")
    return partial(_build, algorithm, settings)


def _build(algorithm: type, settings: dict[str, Any], like: PyTree, population_size: int) -> Strategy:
    # Its own metrics would keep every generation's best members.
    quiet = {"metrics_fn": lambda *_: {}}
    parts = Parts(algorithm(population_size, like, **{**quiet, **settings}), ravel_pytree(like)[1])
    return Strategy(
        partial(_init, parts), partial(_ask, parts), partial(_tell, parts), partial(_mean, parts), population_size
    )


def _search_state(parts: Parts, inner: Any, generation: Array) -> SearchState:
    deviation = jnp.broadcast_to(getattr(inner, "std", 1.0), inner.mean.shape)
    return SearchState(inner.mean, jnp.log(deviation), inner, generation)


def _init(parts: Parts, mean: PyTree, hp: EvolutionHyperparameters) -> SearchState:
    algorithm = parts.algorithm
    # Distribution-based algorithms draw nothing at first.
    inner = algorithm.init(jax.random.key(0), mean, algorithm.default_params)
    return _search_state(parts, inner, jnp.zeros((), jnp.int32))


def _ask(parts: Parts, key: PRNGKeyArray, state: SearchState, hp: EvolutionHyperparameters) -> tuple[PyTree, Any]:
    algorithm = parts.algorithm
    candidates, asked = algorithm.ask(key, state.optimiser, algorithm.default_params)
    return candidates, (candidates, asked)


def _tell(parts: Parts, state: SearchState, noise: tuple, fitness: Array, hp: EvolutionHyperparameters) -> SearchState:
    (candidates, asked), algorithm = noise, parts.algorithm
    key = jax.random.fold_in(jax.random.key(0), state.generation)
    inner, _ = algorithm.tell(key, candidates, -fitness, asked, algorithm.default_params)
    return _search_state(parts, inner, state.generation + 1)


def _mean(parts: Parts, state: SearchState) -> PyTree:
    return parts.unravel(state.mean)
