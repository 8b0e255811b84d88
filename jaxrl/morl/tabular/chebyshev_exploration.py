"""Explore once without preferences, then plan for any Chebyshev preference from what was seen."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment
from jaxrl.morl.pareto import non_dominated
from jaxrl.morl.tabular.base import Episode, Result, Tabular, as_arrays, follow, measured
from jaxrl.morl.tabular.model import require_finite, require_objectives, require_sizes, state_index
from jaxrl.morl.tabular.planning import value_iteration
from jaxrl.morl.weights import equally_spaced
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = [
    "ChebyshevExplorationConfig",
    "ChebyshevExplorationHyperparameters",
    "Experience",
    "Mixture",
    "chebyshev_exploration",
    "explore",
    "plan_mixture",
]


@dataclass(frozen=True)
class ChebyshevExplorationConfig:
    """Static settings."""

    num_episodes: int = 500
    """Episodes of exploration."""
    horizon: int | None = None
    """Steps of an episode; the environment's time limit by default, and no more than it."""
    num_rounds: int = 200
    """Policies in a mixture: rounds of mirror ascent for each preference."""
    num_preferences: int = 11
    """Default preferences, evenly spaced on the simplex."""
    num_records: int = 5
    """Plans for all preferences while exploring, the last at the end; divides `num_episodes`."""
    max_states: int = 2_000
    """More observations than this are an error: a transition table has states² · actions entries."""


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

    preferences: Float[Array, "preference objective"]
    reference: Float[Array, " objective"]
    environment: PyTree
    bonus_scale: Float[Array, ""] | float = 1e-3
    optimism: Float[Array, ""] | float = 0.0
    confidence: Float[Array, ""] | float = 0.1
    step_size: Float[Array, ""] | float = 1.0
    margin: Float[Array, ""] | float = 0.0
    discount: Float[Array, ""] | float = 1.0


class Experience(NamedTuple):
    """What exploration saw; an ended episode counts as a visit without a successor.

    Attributes:
        visits: how often each action was taken.
        successors: how often each state followed.
        rewards: sums of rewards.
        start: number of the first state.
        steps: environment steps taken.
    """

    visits: Int[Array, "state action"]
    successors: Float[Array, "state action state"]
    rewards: Float[Array, "state action objective"]
    start: Int[Array, ""]
    steps: Int[Array, ""]


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
        num_episodes=config.num_episodes,
        num_rounds=config.num_rounds,
        num_preferences=config.num_preferences,
        num_records=config.num_records,
    )
    if config.num_episodes % config.num_records:
        raise ValueError(f"num_records={config.num_records} does not divide num_episodes={config.num_episodes}")
    horizon = spec.time_limit if config.horizon is None else config.horizon
    if not 1 <= horizon <= spec.time_limit:
        raise ValueError(f"horizon must lie between 1 and the time limit {spec.time_limit}, got {horizon}")
    reference = jnp.full(width, jnp.nan) if spec.reference_point is None else spec.reference_point
    defaults = ChebyshevExplorationHyperparameters(
        equally_spaced(width, config.num_preferences), jnp.asarray(reference, jnp.float32), environment.params
    )
    return Tabular(
        partial(_run, environment, config, sizes, horizon),
        partial(_execute, environment, horizon),
        as_arrays(defaults),
        config,
    )


def explore(
    environment: Environment,
    horizon: int,
    num_episodes: int,
    key: PRNGKeyArray,
    seen: Experience,
    hyperparameters: ChebyshevExplorationHyperparameters,
) -> Experience:
    """One episode after the policy that is best for the exploration reward."""
    count, num_actions = seen.visits.shape
    terms = count * num_actions * horizon * num_episodes / hyperparameters.confidence
    visits = jnp.maximum(seen.visits, 1)
    bonus = hyperparameters.bonus_scale * horizon * jnp.sqrt(count * jnp.log(terms) / visits)
    bonus = jnp.where(seen.visits == 0, float(horizon), jnp.minimum(bonus, float(horizon)))
    reward = bonus / horizon + hyperparameters.optimism * bonus
    shares = seen.successors / visits[..., None]

    def expected(values: Array) -> Array:
        # Values of rewards within [0, 1] are no larger than the horizon.
        return jnp.minimum(shares @ values, float(horizon))

    one = jnp.ones(1)
    actions = value_iteration(expected, reward[..., None], one, jnp.float32(1.0), horizon)[1]
    reset_key, key = jax.random.split(key)
    number = state_index(environment.spec.observation)
    state, observation = environment.reset(reset_key, hyperparameters.environment)

    def step(carry: PyTree, inputs: PyTree) -> tuple[PyTree, None]:
        state, here, running, seen = carry
        step_key, rule = inputs
        action = rule[here]
        state, timestep = environment.step(step_key, state, action, hyperparameters.environment)
        reached = number(timestep.observation)
        once = running.astype(jnp.int32)
        goes_on = (running & ~timestep.terminated).astype(jnp.float32)
        seen = Experience(
            seen.visits.at[here, action].add(once),
            seen.successors.at[here, action, reached].add(goes_on),
            seen.rewards.at[here, action].add(once * timestep.reward),
            seen.start,
            seen.steps + once,
        )
        return (state, reached, running & ~timestep.terminated & ~timestep.truncated, seen), None

    carry = state, number(observation), jnp.array(True), seen._replace(start=number(observation))
    return jax.lax.scan(step, carry, (jax.random.split(key, horizon), actions))[0][-1]


def plan_mixture(
    horizon: int,
    num_rounds: int,
    seen: Experience,
    preference: Float[Array, " objective"],
    hyperparameters: ChebyshevExplorationHyperparameters,
) -> Mixture:
    """The mixture for one preference, from what was seen alone."""
    solve = _solver(horizon, seen, hyperparameters.discount)
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


def _solver(horizon: int, seen: Experience, discount: Float[Array, ""]):
    """From weights to the best return vector from the start and its actions, on what was seen."""
    visits = jnp.maximum(seen.visits, 1)[..., None]
    never = (seen.visits == 0)[..., None]
    mean = seen.rewards / visits
    worst = jnp.min(jnp.where(never, jnp.inf, mean), axis=(0, 1))
    reward = jnp.where(never, worst, mean)
    shares = jnp.where(never, jnp.eye(seen.visits.shape[0])[:, None], seen.successors / visits)

    def solve(weights: Array) -> tuple[Array, Array]:
        values, actions = value_iteration(lambda values: shares @ values, reward, weights, discount, horizon)
        return values[seen.start], actions

    return solve


def _run(
    environment: Environment,
    config: ChebyshevExplorationConfig,
    sizes: tuple[int, int],
    horizon: int,
    key: PRNGKeyArray,
    hyperparameters: ChebyshevExplorationHyperparameters,
) -> Result:
    zero = jnp.int32(0)
    seen = Experience(
        jnp.zeros(sizes, jnp.int32),
        jnp.zeros((*sizes, sizes[0])),
        jnp.zeros((*sizes, environment.spec.num_objectives)),
        zero,
        zero,
    )

    def episode(seen: Experience, key: PRNGKeyArray) -> tuple[Experience, None]:
        return explore(environment, horizon, config.num_episodes, key, seen, hyperparameters), None

    def record(seen: Experience, keys: PRNGKeyArray) -> tuple[Experience, tuple[Mixture, Array, Array]]:
        seen, _ = jax.lax.scan(episode, seen, keys)
        plan = partial(plan_mixture, horizon, config.num_rounds, seen)
        mixtures = jax.vmap(plan, (0, None))(hyperparameters.preferences, hyperparameters)
        every = jnp.ones(mixtures.value.shape, bool)
        return seen, (mixtures, measured(mixtures.returns, every, hyperparameters.reference), seen.steps)

    keys = jax.random.split(key, config.num_episodes).reshape(config.num_records, -1)
    seen, (mixtures, curve, steps) = jax.lax.scan(record, seen, keys)
    mixtures = jax.tree.map(lambda leaf: leaf[-1], mixtures)
    diagnostics = {
        "value": mixtures.value,
        "gap": mixtures.gap,
        "visited": jnp.sum(seen.visits > 0),
    }
    policy = seen, mixtures.weights
    return Result(mixtures.returns, non_dominated(mixtures.returns), curve, steps, policy, diagnostics)


def _execute(
    environment: Environment,
    horizon: int,
    key: PRNGKeyArray,
    result: Result,
    index: Int[Array, ""] | int,
    hyperparameters: ChebyshevExplorationHyperparameters,
) -> Episode:
    """Draws one of the mixture's rounds and follows that round's policy."""
    draw_key, key = jax.random.split(key)
    seen, weights = result.policy
    weights = jax.random.choice(draw_key, weights[index])
    actions = _solver(horizon, seen, hyperparameters.discount)(weights)[1]
    return follow(environment, key, actions, hyperparameters.discount, hyperparameters.environment)
