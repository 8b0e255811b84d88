"""Evolution strategies over any pytree: pure functions whose step size and noise scale are traced.

Populations are antithetic pairs: member i and member i + n/2 have opposite noise, `[ε, -ε]`.
Fitness is maximised.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from jaxrl.errors import require_name
from jaxrl.meta.shaping import make_shaping
from jaxrl.numerics.finite import deviation_of_finite, mean_of_finite, worst_for_non_finite
from jaxrl.ranges import NOT_NEGATIVE
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree
from jaxrl.validity import choose

__all__ = [
    "STRATEGIES",
    "EvolutionHyperparameters",
    "SearchState",
    "Strategy",
    "make_strategy",
    "search_gradient",
    "search_metrics",
]


class EvolutionHyperparameters(NamedTuple):
    """What is traced in an evolution strategy, so that it can be swept.

    Attributes:
        learning_rate: step size of the mean.
        deviation: σ, scale of the noise (of its first generation, where the strategy adapts it).
        deviation_learning_rate: step size of adapted deviations (SNES, PGPE).
        learning_rate_decay: factor of the learning rate per generation.
        deviation_decay: factor of a fixed σ per generation.
    """

    learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 1e-2
    deviation: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.1
    deviation_learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.1
    learning_rate_decay: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 1.0
    deviation_decay: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 1.0


class SearchState(NamedTuple):
    """A search distribution in progress; flat vectors of the searched pytree.

    Attributes:
        mean: its mean.
        log_deviation: log σ per parameter.
        optimiser: optax state.
        generation: generations done.
    """

    mean: Float[Array, " parameter"]
    log_deviation: Float[Array, " parameter"]
    optimiser: PyTree
    generation: Array


class Strategy(NamedTuple):
    """One evolution strategy over pytrees like the one that it was built for.

    Attributes:
        init: `(mean, hyperparameters) -> SearchState`.
        ask: `(key, SearchState, hyperparameters) -> (candidates, noise)`; candidates are pytrees with a leading member
            axis, noise is what `tell` needs of the draw: `[member, parameter]`, but for strategies of other libraries.
        tell: `(SearchState, noise, fitness [member], hyperparameters) -> SearchState`.
        mean: `SearchState -> pytree`.
        population_size: members, an even number.
    """

    init: Callable[[PyTree, EvolutionHyperparameters], SearchState]
    ask: Callable[[PRNGKeyArray, SearchState, EvolutionHyperparameters], tuple[PyTree, Array]]
    tell: Callable[[SearchState, Array, Array, EvolutionHyperparameters], SearchState]
    mean: Callable[[SearchState], PyTree]
    population_size: int


class Parts(NamedTuple):
    """What a strategy is put together of; static."""

    unravel: Callable[[Array], PyTree]
    shape: Callable[[Array], Array]
    step: Callable[..., SearchState]
    optimiser: optax.GradientTransformation
    num_pairs: int


def make_strategy(
    name: str | Callable[[PyTree, int], Strategy],
    like: PyTree,
    population_size: int,
    shaping: str = "pairwise_rank",
    momentum: float = 0.9,
) -> Strategy:
    """Builds a strategy.

    Fitness that is not finite counts as the worst of the others before any strategy sees it; a generation without any
    finite fitness leaves the search as it was.

    Args:
        name: `open_es` (Salimans et al., 2017), `snes` (Schaul et al., 2011) or `pgpe` (Sehnke et al., 2010); or a
            builder `(like, population_size) -> Strategy`, such as `jaxrl.meta.evosax.from_evosax` makes.
        like: a pytree of the shapes that are searched.
        population_size: members per generation, an even number.
        shaping: a name of `SHAPING`; a builder shapes fitness by itself.
        momentum: β₁ of Adam, in [0, 1); SNES takes plain steps, a builder its own.

    Raises:
        UnknownNameError: for an unknown strategy or shaping, with the nearest match.
        ValueError: for a population that is odd or below 2, a momentum outside [0, 1), or a shaping that leaves adapted
            deviations nothing to adapt to.
    """
    if population_size < 2 or population_size % 2:
        raise ValueError(f"population_size must be an even number of at least 2, got {population_size}")
    if not isinstance(name, str):
        return _guarded(name(like, population_size))
    step = STRATEGIES[require_name("evolution strategy", name, STRATEGIES)]
    if not 0.0 <= momentum < 1.0:
        raise ValueError(f"momentum must lie in [0, 1), got {momentum}")
    if shaping == "pairwise_rank" and name != "open_es":
        raise ValueError(
            f"{name} adapts deviations by how pairs compare with each other, which shaping='pairwise_rank' drops; "
            "use centred_rank"
        )
    unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like))[1]
    parts = Parts(unravel, make_shaping(shaping), step, optax.scale_by_adam(b1=momentum), population_size // 2)
    return _guarded(
        Strategy(
            partial(_init, parts), partial(_ask, parts), partial(_tell, parts), partial(_mean, parts), population_size
        )
    )


def _guarded(strategy: Strategy) -> Strategy:
    return strategy._replace(tell=partial(_tell_of_finite, strategy.tell))


def _tell_of_finite(tell: Callable[..., SearchState], state: SearchState, noise: Any, fitness: Array, hp: Any) -> Any:
    told = tell(state, noise, worst_for_non_finite(fitness), hp)
    return choose(jnp.any(jnp.isfinite(fitness)), told, state._replace(generation=told.generation))


def search_metrics(fitness: Float[Array, " member"], search: SearchState) -> dict[str, Float[Array, ""]]:
    """Of a generation: fitness over the candidates that have a finite one, how many do not, and where the search is.

    `non_finite` says that the search is lost: its mean is not finite, or no candidate's fitness is.
    """
    finite = jnp.isfinite(fitness)
    best = jnp.max(jnp.where(finite, fitness, -jnp.inf))
    lost = ~jnp.all(jnp.isfinite(search.mean)) | ~jnp.any(finite)
    return {
        "fitness": mean_of_finite(fitness),
        "best_fitness": jnp.where(jnp.any(finite), best, jnp.nan),
        "fitness_deviation": deviation_of_finite(fitness),
        "non_finite_candidates": jnp.sum(~finite).astype(jnp.float32),
        "search_deviation": jnp.exp(search.log_deviation).mean(),
        "mean_norm": jnp.linalg.norm(search.mean),
        "non_finite": lost.astype(jnp.float32),
    }


def _init(parts: Parts, mean: PyTree, hp: EvolutionHyperparameters) -> SearchState:
    flat = ravel_pytree(mean)[0]
    log_deviation = jnp.full_like(flat, 1.0) * jnp.log(hp.deviation)
    return SearchState(flat, log_deviation, parts.optimiser.init(flat), jnp.zeros((), jnp.int32))


def _ask(parts: Parts, key: PRNGKeyArray, state: SearchState, hp: EvolutionHyperparameters) -> tuple[PyTree, Array]:
    half = jax.random.normal(key, (parts.num_pairs, state.mean.size))
    noise = jnp.concatenate([half, -half])
    return jax.vmap(parts.unravel)(state.mean + jnp.exp(state.log_deviation) * noise), noise


def _tell(parts: Parts, state: SearchState, noise: Array, fitness: Array, hp: EvolutionHyperparameters) -> SearchState:
    state = parts.step(parts, state, noise, parts.shape(fitness), hp)
    return state._replace(generation=state.generation + 1)


def _mean(parts: Parts, state: SearchState) -> PyTree:
    return parts.unravel(state.mean)


def _ascend(parts: Parts, state: SearchState, gradient: Array, hp: EvolutionHyperparameters) -> SearchState:
    """Adam on the search gradient of the mean."""
    direction, optimiser = parts.optimiser.update(gradient, state.optimiser)
    rate = hp.learning_rate * hp.learning_rate_decay**state.generation
    return state._replace(mean=state.mean + rate * direction, optimiser=optimiser)


def search_gradient(
    noise: Float[Array, "member parameter"], utility: Float[Array, " member"], deviation: Array | float
) -> Float[Array, " parameter"]:
    """∇μ E[f(μ + σε)] ≈ Σ uᵢ εᵢ / (n σ) (Salimans et al., 2017, section 2)."""
    return utility @ noise / utility.size / deviation


def _open_es(parts: Parts, state: SearchState, noise: Array, utility: Array, hp: Any) -> SearchState:
    """Adam on `search_gradient`; σ fixed or decaying."""
    deviation = jnp.exp(state.log_deviation)
    state = _ascend(parts, state, search_gradient(noise, utility, deviation), hp)
    return state._replace(log_deviation=state.log_deviation + jnp.log(hp.deviation_decay))


def _snes(parts: Parts, state: SearchState, noise: Array, utility: Array, hp: Any) -> SearchState:
    """μ += η σ Σ uᵢ εᵢ, log σ += η_σ/2 Σ uᵢ (εᵢ² - 1), utilities normalised to Σ|uᵢ| = 1 (algorithm 3)."""
    utility = utility / jnp.maximum(jnp.sum(jnp.abs(utility)), 1e-8)
    change = 0.5 * hp.deviation_learning_rate * (utility @ (jnp.square(noise) - 1.0))
    mean = state.mean + hp.learning_rate * jnp.exp(state.log_deviation) * (utility @ noise)
    return state._replace(mean=mean, log_deviation=state.log_deviation + change)


def _pgpe(parts: Parts, state: SearchState, noise: Array, utility: Array, hp: Any) -> SearchState:
    """Symmetric sampling: μ by the differences of pairs, σ by their means against the population's (section 2.3)."""
    first, second = jnp.split(utility, 2)
    half = noise[: parts.num_pairs]
    deviation = jnp.exp(state.log_deviation)
    state = _ascend(parts, state, 0.5 * (first - second) @ half / parts.num_pairs / deviation, hp)
    better = 0.5 * (first + second) - utility.mean()
    change = better @ (jnp.square(half) - 1.0) / parts.num_pairs
    # A generation changes no deviation by more than a fifth.
    change = jnp.clip(hp.deviation_learning_rate * change, jnp.log(0.8), jnp.log(1.25))
    return state._replace(log_deviation=state.log_deviation + change)


STRATEGIES: dict[str, Callable[..., SearchState]] = {"open_es": _open_es, "snes": _snes, "pgpe": _pgpe}
