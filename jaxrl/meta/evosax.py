"""Strategies of evosax in the outer loop of evolution (extra `evosax`)."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxrl.errors import missing_extra, require_name
from jaxrl.meta.evolution import EvolutionHyperparameters, SearchState, Strategy
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["from_evosax"]


class Parts(NamedTuple):
    """What an adapter is put together of; static."""

    algorithm: Any
    params: Any
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
        UnknownNameError: for a setting that the algorithm does not have, with the nearest match.
        ValueError: for an algorithm that has no mean, such as a genetic one, or several, such as SV_CMA_ES; or without
            a setting that it needs.
    """
    try:
        from evosax.algorithms.distribution_based.base import DistributionBasedAlgorithm
    except ImportError as error:
        raise missing_extra("evosax", "evosax") from error
    if not issubclass(algorithm, DistributionBasedAlgorithm):
        raise ValueError(f"{algorithm.__name__} keeps no mean to evaluate; use a distribution-based algorithm")
    _validate(algorithm, settings)
    return partial(_build, algorithm, settings)


def _validate(algorithm: type, settings: dict[str, Any]) -> None:
    name, parameters = algorithm.__name__, inspect.signature(algorithm).parameters
    if "num_populations" in parameters:
        raise ValueError(f"{name} keeps several means, of which none is the search's; use one that keeps a single mean")
    own = [option for option in parameters if option not in ("population_size", "solution")]
    for setting in settings:
        require_name(f"setting of {name}", setting, own)
    missing = [option for option in own if parameters[option].default is inspect.Parameter.empty]
    missing = sorted(set(missing) - set(settings))
    if missing:
        raise ValueError(f"{name} has no default for {', '.join(missing)}: give from_evosax({name}, {missing[0]}=...)")


def _build(algorithm: type, settings: dict[str, Any], like: PyTree, population_size: int) -> Strategy:
    # Its own metrics would keep every generation's best members.
    quiet = {"metrics_fn": lambda *_: {}}
    built = algorithm(population_size, like, **{**quiet, **settings})
    # Taken once, as some algorithms look at their numbers to make them.
    parts = Parts(built, built.default_params, ravel_pytree(like)[1])
    return Strategy(
        partial(_init, parts), partial(_ask, parts), partial(_tell, parts), partial(_mean, parts), population_size
    )


def _search_state(parts: Parts, inner: Any, generation: Array) -> SearchState:
    deviation = jnp.broadcast_to(getattr(inner, "std", 1.0), inner.mean.shape)
    return SearchState(inner.mean, jnp.log(deviation), inner, generation)


def _init(parts: Parts, mean: PyTree, hp: EvolutionHyperparameters) -> SearchState:
    algorithm = parts.algorithm
    # Distribution-based algorithms draw nothing at first.
    inner = algorithm.init(jax.random.key(0), mean, parts.params)
    return _search_state(parts, inner, jnp.zeros((), jnp.int32))


def _ask(parts: Parts, key: PRNGKeyArray, state: SearchState, hp: EvolutionHyperparameters) -> tuple[PyTree, Any]:
    algorithm = parts.algorithm
    candidates, asked = algorithm.ask(key, state.optimiser, parts.params)
    return candidates, (candidates, asked)


def _tell(parts: Parts, state: SearchState, noise: tuple, fitness: Array, hp: EvolutionHyperparameters) -> SearchState:
    (candidates, asked), algorithm = noise, parts.algorithm
    key = jax.random.fold_in(jax.random.key(0), state.generation)
    inner, _ = algorithm.tell(key, candidates, -fitness, asked, parts.params)
    return _search_state(parts, inner, state.generation + 1)


def _mean(parts: Parts, state: SearchState) -> PyTree:
    return parts.unravel(state.mean)
