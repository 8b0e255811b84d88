"""What was seen of an environment: collected without preferences, planned on afterwards."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.base import Environment
from jaxrl.morl.tabular.model import state_index
from jaxrl.morl.tabular.planning import value_iteration
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = ["Experience", "explore", "solver"]


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


def explore(
    environment: Environment,
    horizon: int,
    num_episodes: int,
    key: PRNGKeyArray,
    seen: Experience,
    hyperparameters: PyTree,
) -> Experience:
    """One episode of the policy that visits what is little known; no reward guides it.

    Best over `horizon` steps for the reward b/H + κ b on the transitions seen, with
    b(s, a) = min(H, c H √(S ln(S A H E/δ) / N(s, a))), H where N = 0, and κ the optimism; every
    expectation is clipped to H.

    Args:
        environment: what is explored.
        horizon: H, steps of an episode at most.
        num_episodes: E, of the whole exploration, for the bonus.
        key: of the episode.
        seen: what is known already.
        hyperparameters: with leaves `bonus_scale` (c), `optimism`, `confidence` (δ) and `environment`.
    """
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


def solver(horizon: int, seen: Experience, discount: Float[Array, ""]) -> Callable[[Array], tuple[Array, Array]]:
    """The planner on what was seen: from weights to a return vector from the start, and its actions.

    Transitions and rewards are the observed frequencies and means. An action never taken stays put at
    the worst mean reward seen of every objective. Actions are by steps taken and state.
    """
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
