"""Whole episodes of a policy, and what they say of its gradient."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.bilevel.contract import BilevelEvaluation
from jaxrl.environments.base import Environment
from jaxrl.environments.batching import vectorise
from jaxrl.errors import require_name
from jaxrl.numerics import returns
from jaxrl.numerics.distributions import Distribution
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = ["JACOBIANS", "Episodes", "centred", "collector", "measured", "policy_surrogate", "returns_to_go"]

JACOBIANS = ("actions", "trajectories")


class Episodes(NamedTuple):
    """One episode per column; rows after its end are to be ignored.

    Attributes:
        observation: before each step, `[time, env, ...]`.
        raw: samples of the policy, `[time, env, ...]`.
        reward: vector rewards, zero after the end.
        alive: whether the step belongs to the episode; one that is not finite does not, and ends it.
        terminated: whether the task ended with it.
    """

    observation: PyTree
    raw: Array
    reward: Float[Array, "time env objective"]
    alive: Bool[Array, "time env"]
    terminated: Bool[Array, "time env"]


def collector(
    environment: Environment, distribution: Distribution, num_episodes: int, horizon: int
) -> Callable[[PRNGKeyArray, Callable[[PyTree], Array], PyTree], Episodes]:
    """Builds `(key, policy, params) -> Episodes`, where `policy` maps observations to distribution parameters."""
    copies = vectorise(environment, num_episodes, auto_reset="none")

    def collect(key: PRNGKeyArray, policy: Callable[[PyTree], Array], params: PyTree) -> Episodes:
        reset_key, draw_key, act_key = jax.random.split(key, 3)
        start = *copies.reset(reset_key, params), jnp.zeros(num_episodes, bool)
        inputs = copies.draw(draw_key, horizon, params), distribution.noise(act_key, (horizon, num_episodes))

        def step(carry: tuple, inputs: tuple) -> tuple[tuple, Episodes]:
            state, observation, done = carry
            draws, noise = inputs
            raw = distribution.sample(policy(observation), noise)
            state, timestep = copies.step(draws, state, distribution.action(raw), params)
            reward = jnp.where(done[:, None], 0.0, timestep.reward)
            alive = ~(done | timestep.info["faulty"])
            row = Episodes(observation, raw, reward, alive, timestep.terminated & alive)
            return (state, timestep.observation, done | timestep.terminated | timestep.truncated), row

        return jax.lax.scan(step, start, inputs)[1]

    return collect


def returns_to_go(reward: Float[Array, "time env"], discount: Float[Array, ""]) -> Float[Array, "time env"]:
    """Gₜ = Σ_{j ≥ t} γ^{j−t} rⱼ of rewards that are zero after an episode's end."""
    reward = reward[..., None]
    zero, never = jnp.zeros_like(reward), jnp.zeros(reward.shape[:-1], bool)
    return returns.generalised_advantage(reward, zero, zero, never, never, discount, 1.0)[..., 0]


def measured(episodes: Episodes) -> BilevelEvaluation:
    """Means over the episodes."""
    return BilevelEvaluation(episodes.reward.sum(axis=0).mean(axis=0), episodes.alive.sum(axis=0).mean())


def centred(values: Float[Array, "time env"], alive: Bool[Array, "time env"]) -> Float[Array, "time env"]:
    """Values minus their mean over the other episodes that live at that time: a baseline free of an episode's own."""
    count = alive.sum(axis=1, keepdims=True)
    total = jnp.sum(values * alive, axis=1, keepdims=True)
    others = (total - values) / jnp.maximum(count - 1, 1)
    return jnp.where(alive & (count > 1), values - others, jnp.where(alive, values, 0.0))


def policy_surrogate(
    log_prob: Float[Array, "time env"],
    advantage: Float[Array, "time env"],
    alive: Bool[Array, "time env"],
    jacobian: str = "trajectories",
) -> Float[Array, ""]:
    """A number, always 0, whose gradient in θ is the policy gradient Σₜ ∇log πₜ Aₜ, meaned over episodes.

    `trajectories`: Σₜ (□ₜ − □ₜ₋₁) Aₜ, □ₜ = exp Σ_{k ≤ t} (log π_θ(aₖ|sₖ) − ⊥ log π_θ(aₖ|sₖ)), ⊥ stopping gradients; its
    Hessian estimates that of the expected return, with how θ moves the states visited (Loaded DiCE, Farquhar et al.,
    2019, arXiv 1909.10549, with exact returns; Foerster et al., 2018, arXiv 1802.05098). `actions`:
    Σₜ (exp(log πₜ − ⊥ log πₜ) − 1) Aₜ, whose Hessian holds states and advantages fixed, as off-policy data do: biased,
    but its noise does not grow with the square of the episode's length. Derivatives with respect to what
    `advantage` depends on pass too.

    Raises:
        UnknownNameError: for another jacobian.
    """
    require_name("jacobian", jacobian, JACOBIANS)
    step = jnp.where(alive, log_prob - jax.lax.stop_gradient(log_prob), 0.0)
    path = step if jacobian == "actions" else jnp.cumsum(step, axis=0)
    return jnp.sum((jnp.exp(path) - jnp.exp(path - step)) * advantage * alive, axis=0).mean()
