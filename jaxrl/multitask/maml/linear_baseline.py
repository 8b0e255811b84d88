"""A baseline that is fitted anew to every rollout, in closed form: what an agent needs that has just met its task."""

import jax
import jax.numpy as jnp

from jaxrl.agents.base import Rollout
from jaxrl.environments.spaces import Space, encode
from jaxrl.numerics import returns
from jaxrl.types import Array, Bool, Float, PyTree

__all__ = ["baseline_advantage"]

# Of the mean square of a feature, each of which has been scaled to 1.
_RIDGE = 1e-3


def baseline_advantage(
    space: Space, rollout: Rollout, discount: Float[Array, ""], gae_lambda: Float[Array, ""]
) -> Float[Array, "time env"]:
    """Generalised advantages under V = w·[o, o², t, t², t³, 1], w by ridge regression on the rollout's own returns.

    t counts the steps of an episode, so that V knows of time limits: what follows one is worth nothing. Episodes that
    the rollout or a step that is not finite cuts are left out of the regression and completed by V (Duan et al., 2016,
    arXiv 1604.06778, section 4, whose features these are).

    Args:
        space: of observations.
        rollout: with one objective.
        discount: γ.
        gae_lambda: λ.
    """
    done, reward = rollout.terminated | rollout.truncated, rollout.reward
    clock = _clock(rollout.start)
    features = _features(space, rollout.observation, clock)
    zeros = jnp.zeros_like(reward)
    reached = returns.generalised_advantage(reward, zeros, zeros, done, done, discount, jnp.ones(()))[..., 0]
    complete = _complete(done, done if rollout.valid is None else done & rollout.valid)
    weights = _fit(features, reached, complete.astype(reached.dtype))
    following = _features(space, rollout.final_observation, clock + 1.0) @ weights
    advantage = returns.generalised_advantage(
        reward, (features @ weights)[..., None], following[..., None], done, done, discount, gae_lambda, rollout.valid
    )
    return advantage[..., 0]


def _complete(done: Bool[Array, "time env"], ended: Bool[Array, "time env"]) -> Bool[Array, "time env"]:
    """Whether the next end of an episode, if the rollout has one, is one of its own."""

    def body(following: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        complete = jnp.where(inputs[0], inputs[1], following)
        return complete, complete

    return jax.lax.scan(body, jnp.zeros_like(done[0]), (done, ended), reverse=True)[1]


def _clock(start: Bool[Array, "time env"]) -> Float[Array, "time env"]:
    """Steps since the episode began, or since the rollout did."""

    def body(clock: Array, start: Array) -> tuple[Array, Array]:
        clock = jnp.where(start, 0.0, clock + 1.0)
        return clock, clock

    return jax.lax.scan(body, jnp.full(start.shape[1:], -1.0), start)[1]


def _features(space: Space, observation: PyTree, clock: Float[Array, "time env"]) -> Float[Array, "time env feature"]:
    seen = jnp.clip(encode(space, observation), -10.0, 10.0)
    time = (clock / 100.0)[..., None]
    return jnp.concatenate([seen, seen**2, time, time**2, time**3, jnp.ones_like(time)], axis=-1)


def _fit(
    features: Float[Array, "time env feature"], target: Float[Array, "time env"], weight: Float[Array, "time env"]
) -> Float[Array, " feature"]:
    rows = (features * weight[..., None]).reshape(-1, features.shape[-1])
    scale = 1.0 / jnp.sqrt(jnp.maximum(jnp.mean(rows**2, axis=0), 1e-12))
    scaled = rows * scale
    gram = scaled.T @ scaled / rows.shape[0] + _RIDGE * jnp.eye(rows.shape[1], dtype=rows.dtype)
    return scale * jnp.linalg.solve(gram, scaled.T @ (target * weight).ravel() / rows.shape[0])
