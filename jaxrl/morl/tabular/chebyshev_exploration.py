"""Explore once without preferences, then plan for any Chebyshev preference from what was seen."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.configs import check_config
from jaxrl.environments.base import Environment
from jaxrl.morl.pareto import non_dominated
from jaxrl.morl.tabular.acting import by_tables
from jaxrl.morl.tabular.base import Found, Tabular, as_arrays, reference_point
from jaxrl.morl.tabular.experience import Experience, explore, solver
from jaxrl.morl.tabular.model import require_finite, require_objectives, require_sizes, require_steps
from jaxrl.numerics.weights import equally_spaced
from jaxrl.ranges import COUNT, NOT_NEGATIVE, PROBABILITY, Range
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = [
    "ChebyshevExplorationConfig",
    "ChebyshevExplorationHyperparameters",
    "Mixture",
    "chebyshev_exploration",
    "plan_mixture",
]


@dataclass(frozen=True)
class ChebyshevExplorationConfig:
    """Static settings."""

    total_steps: Annotated[int, COUNT] = 50_000
    """Environment steps of exploration at most: whole episodes as long as the time limit fit in; those that end
    earlier take fewer."""
    num_rounds: Annotated[int, COUNT] = 200
    """Policies in a mixture: rounds of mirror ascent for each preference."""
    num_preferences: Annotated[int, COUNT] = 11
    """Default preferences, evenly spaced on the simplex."""
    num_evaluations: Annotated[int, COUNT] = 5
    """Iterations, each some episodes of exploration and a plan for every preference."""
    max_states: Annotated[int, COUNT] = 2_000
    """More observations than this are an error: a transition table has states² · actions entries."""

    __post_init__ = check_config


class ChebyshevExplorationHyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
        preferences: one λ per policy wanted, on the simplex; used after exploration only.
        reference: lower corner for hypervolumes; the environment's by default.
        environment: its parameters.
        bonus_scale: c in the exploration bonus; 1 is the bonus of the analysis, which for any
            practical number of episodes is no smaller than the horizon everywhere.
        optimism: multiple of the bonus that is added to values on top of the exploration reward;
            1 in the analysis.
        confidence: δ, the probability of failure in the bonus.
        step_size: multiple of the mirror ascent's √(8 ln m / rounds).
        margin: ι ≥ 0, how far the ideal point lies above the best values.
        discount: γ in [0, 1]; 1 in the analysis.
    """

    preferences: Float[Array, "preference objective"] | None = None
    reference: Float[Array, " objective"] | None = None
    environment: PyTree = None
    bonus_scale: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 1e-3
    optimism: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.0
    confidence: Annotated[Float[Array, ""] | float, Range(0, 1, low_open=True)] = 0.1
    step_size: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 1.0
    margin: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.0
    discount: Annotated[Float[Array, ""] | float, PROBABILITY] = 1.0


class Mixture(NamedTuple):
    """One policy of `num_rounds`, drawn uniformly at the start of an episode.

    Attributes:
        returns: its expected return vector, under what was seen.
        weights: of the objectives for which round k's policy is best.
        value: its Chebyshev value, lower is better.
        gap: how much lower any mixture's value could be, at most, under what was seen.
    """

    returns: Float[Array, " objective"]
    weights: Float[Array, "round objective"]
    value: Float[Array, ""]
    gap: Float[Array, ""]


class _Run(NamedTuple):
    key: PRNGKeyArray
    seen: Experience
    mixtures: Mixture


def chebyshev_exploration(
    environment: Environment, config: ChebyshevExplorationConfig = ChebyshevExplorationConfig()
) -> Tabular:
    """Explores without preferences, then finds a mixture of policies for every Chebyshev preference λ.

    min_π maxᵢ λᵢ (V*ᵢ + ι − Vᵢ(π))/rangeᵢ  =  min_π max_{w ∈ Δ} Σᵢ wᵢ λᵢ (V*ᵢ + ι − Vᵢ(π))/rangeᵢ

    Exploration: in every episode, the policy that is best for the reward b(s, a)/H on the transitions
    seen so far, with b = min(H, c H √(S ln(S A H E/δ) / max(N(s, a), 1))) over H steps and E episodes.
    Planning, without further steps: w ← w · exp(η λ (V* + ι − V(πₖ))/range), normalised, and πₖ the
    best response to it by value iteration on the transitions seen; the answer is the uniform mixture
    of all πₖ, and its gap to the best mixture is computed, not assumed. Preference-free framework of
    Qiu et al., 2024 (arXiv 2407.17466).

    Mixtures are stochastic policies, whose returns fill the convex hull of the deterministic ones':
    on a concave front the points lie on the chord above it, and are no points of `fronts.front`.

    What follows the abstract and summaries, where the paper's own listing was not at hand: the bonus
    has the Hoeffding form of tabular reward-free exploration, and c = 1 and `optimism` = 1 are that
    analysis' constants. The defaults scale c to 10⁻³ and leave the optimism out, since the bonus is
    otherwise H everywhere. Ours: visits are pooled over the steps of an episode; objectives are
    divided by their range over the best policies of each; and an action never taken plans as staying
    put at the worst reward seen, so that no plan relies on it.

    Args:
        environment: with `Discrete` actions, finitely many observations and a time limit; random
            transitions are fine, the first state should be fixed.
        config: static settings.

    Raises:
        ValueError: for another kind of environment, fewer than two objectives, or sizes out of range.
    """
    name, spec = "chebyshev_exploration", environment.spec
    width = require_objectives(spec, name, 2)
    sizes = require_finite(spec, name, config.max_states)
    require_sizes(
        num_rounds=config.num_rounds,
        num_preferences=config.num_preferences,
        num_evaluations=config.num_evaluations,
    )
    reason = f"for an episode of {spec.time_limit} steps in each of {config.num_evaluations} iterations"
    require_steps(name, config.num_evaluations * spec.time_limit, config.total_steps, reason)
    episodes = config.total_steps // (config.num_evaluations * spec.time_limit)
    defaults = ChebyshevExplorationHyperparameters(
        equally_spaced(width, config.num_preferences), reference_point(spec), environment.params
    )
    return Tabular(
        init=partial(_init, environment, config, sizes),
        step=partial(_iterate, environment, config, episodes),
        steps=lambda run: run.seen.steps,
        front=_found,
        policy=partial(_policy, spec.time_limit),
        agent=by_tables(spec),
        environment=environment,
        hyperparameters=as_arrays(defaults),
        config=config,
        iteration_steps=np.full(config.num_evaluations, episodes * spec.time_limit),
        diagnostics=("gap", "visited"),
    )


def plan_mixture(
    horizon: int,
    num_rounds: int,
    seen: Experience,
    preference: Float[Array, " objective"],
    hyperparameters: ChebyshevExplorationHyperparameters,
) -> Mixture:
    """The mixture for one preference, from what was seen alone."""
    solve = solver(horizon, seen, hyperparameters.discount)
    width = preference.size
    # Row i: the return vector of the policy that is best for objective i.
    payoffs = jax.vmap(lambda weights: solve(weights)[0])(jnp.eye(width))
    ideal = jnp.diagonal(payoffs)
    spread = ideal - jnp.min(payoffs, axis=0)
    scale = preference / jnp.where(spread > 0.0, spread, 1.0)
    rate = hyperparameters.step_size * jnp.sqrt(8.0 * jnp.log(width) / num_rounds)

    def losses(returns: Array) -> Array:
        return scale * (ideal + hyperparameters.margin - returns)

    def play(logits: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
        weights = jax.nn.softmax(logits)
        returns = solve(weights * scale)[0]
        return logits + rate * losses(returns), (returns, weights)

    _, (returns, weights) = jax.lax.scan(play, jnp.zeros(width), None, num_rounds)
    mean, average = jnp.mean(returns, axis=0), jnp.mean(weights, axis=0)
    value = jnp.max(losses(mean))
    # No mixture does better against the averaged weights than the best response to them.
    least = average @ losses(solve(average * scale)[0])
    return Mixture(mean, weights * scale, value, value - least)


def _init(
    environment: Environment,
    config: ChebyshevExplorationConfig,
    sizes: tuple[int, int],
    key: PRNGKeyArray,
    hyperparameters: ChebyshevExplorationHyperparameters,
) -> _Run:
    zero, width = jnp.int32(0), environment.spec.num_objectives
    nothing = jnp.zeros((*sizes, sizes[0])), jnp.zeros((*sizes, width))
    seen = Experience(jnp.zeros(sizes, jnp.int32), *nothing, zero, zero)
    count = hyperparameters.preferences.shape[0]
    unknown = jnp.full(count, jnp.inf)
    mixtures = Mixture(jnp.zeros((count, width)), jnp.zeros((count, config.num_rounds, width)), unknown, unknown)
    return _Run(key, seen, mixtures)


def _iterate(
    environment: Environment,
    config: ChebyshevExplorationConfig,
    episodes: int,
    run: _Run,
    hyperparameters: ChebyshevExplorationHyperparameters,
    index: Int[Array, ""],
) -> tuple[_Run, dict[str, Array]]:
    """Some episodes, then a plan for every preference from all that was seen."""
    horizon, total = environment.spec.time_limit, config.num_evaluations * episodes

    def episode(seen: Experience, key: PRNGKeyArray) -> tuple[Experience, None]:
        return explore(environment, horizon, total, key, seen, hyperparameters), None

    keys = jax.random.split(jax.random.fold_in(run.key, index), episodes)
    seen, _ = jax.lax.scan(episode, run.seen, keys)
    plan = partial(plan_mixture, horizon, config.num_rounds, seen)
    mixtures = jax.vmap(plan, (0, None))(hyperparameters.preferences, hyperparameters)
    return _Run(run.key, seen, mixtures), {"gap": jnp.max(mixtures.gap), "visited": jnp.sum(seen.visits > 0)}


def _found(run: _Run, hyperparameters: ChebyshevExplorationHyperparameters) -> Found:
    returns = run.mixtures.returns
    return Found(returns, non_dominated(returns), hyperparameters.preferences)


def _policy(
    horizon: int, run: _Run, hyperparameters: ChebyshevExplorationHyperparameters, index: Int[Array, ""] | int
) -> Int[Array, "round time state"]:
    """The actions of every round: an episode follows one of them."""
    solve = solver(horizon, run.seen, hyperparameters.discount)
    return jax.lax.map(lambda weights: solve(weights)[1], run.mixtures.weights[index])
