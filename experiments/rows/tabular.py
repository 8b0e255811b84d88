"""Small known decision processes that several rows share: exact values, exact visits, sampled episodes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Float, Int, PRNGKeyArray

__all__ = ["Episodes", "Model", "action_values", "optimal_values", "policy_return", "random_model", "sample", "visits"]


class Model(NamedTuple):
    """P(s' | s, a), r(s, a), and where episodes start; every leaf is traced."""

    transition: Float[Array, "state action state"]
    reward: Float[Array, "state action"]
    start: Float[Array, " state"]


class Episodes(NamedTuple):
    """States and actions of sampled episodes; `next_states` are those that follow."""

    states: Int[Array, "time episode"]
    actions: Int[Array, "time episode"]
    next_states: Int[Array, "time episode"]


def random_model(key: PRNGKeyArray, num_states: int, num_actions: int, branches: int) -> Model:
    """Every action leads to `branches` states at random; rewards are uniform in [0, 1]; episodes start in state 0."""
    keys = jax.random.split(key, 3)
    shape = (num_states, num_actions, num_states)
    order = jnp.argsort(jnp.argsort(jax.random.uniform(keys[0], shape), -1), -1)
    weights = jnp.where(order < branches, jax.random.uniform(keys[1], shape, minval=0.1), 0.0)
    reward = jax.random.uniform(keys[2], shape[:2])
    return Model(weights / weights.sum(-1, keepdims=True), reward, jax.nn.one_hot(0, num_states))


def action_values(
    model: Model, policy: Float[Array, "state action"], horizon: int
) -> Float[Array, "time state action"]:
    """Q_t(s, a), undiscounted, of a policy with t steps gone."""

    def body(values: Array, _: None) -> tuple[Array, Array]:
        found = model.reward + model.transition @ values
        return (policy * found).sum(-1), found

    return jax.lax.scan(body, jnp.zeros(model.reward.shape[0]), None, horizon)[1][::-1]


def optimal_values(model: Model, horizon: int) -> Float[Array, "time state action"]:
    """Q*_t(s, a), undiscounted."""

    def body(values: Array, _: None) -> tuple[Array, Array]:
        found = model.reward + model.transition @ values
        return found.max(-1), found

    return jax.lax.scan(body, jnp.zeros(model.reward.shape[0]), None, horizon)[1][::-1]


def visits(model: Model, policy: Float[Array, "state action"], horizon: int) -> Float[Array, "time state action"]:
    """Probability of each state and action after t steps."""

    def body(states: Array, _: None) -> tuple[Array, Array]:
        pairs = states[:, None] * policy
        return jnp.einsum("sa,sat->t", pairs, model.transition), pairs

    return jax.lax.scan(body, model.start, None, horizon)[1]


def policy_return(model: Model, policy: Float[Array, "state action"], horizon: int) -> Float[Array, ""]:
    """Expected undiscounted return."""
    return jnp.sum(visits(model, policy, horizon) * model.reward)


def sample(
    key: PRNGKeyArray, model: Model, policy: Float[Array, "state action"], horizon: int, episodes: int
) -> Episodes:
    """Episodes of a policy."""
    log_policy, log_transition = jnp.log(policy), jnp.log(model.transition)

    def body(states: Array, key: PRNGKeyArray) -> tuple[Array, Episodes]:
        act, move = jax.random.split(key)
        actions = jax.random.categorical(act, log_policy[states])
        after = jax.random.categorical(move, log_transition[states, actions])
        return after, Episodes(states, actions, after)

    first, rest = jax.random.split(key)
    states = jax.random.categorical(first, jnp.log(model.start), shape=(episodes,))
    return jax.lax.scan(body, states, jax.random.split(rest, horizon))[1]
