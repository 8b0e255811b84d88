"""How agents with discrete actions explore: at random with probability ε, which falls over the run."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.base import Progress
from jaxrl.ranges import PROBABILITY, Range
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["EPSILON", "EPSILON_RANGES", "Chances", "chances", "epsilon", "greedy", "legal_scores", "sometimes_random"]

EPSILON = {"epsilon_start": 1.0, "epsilon_end": 0.05, "epsilon_fraction": 0.1}
"""Leaves of ε, which goes from start to end in a straight line during a fraction of the run."""
EPSILON_RANGES = dict.fromkeys(EPSILON, PROBABILITY) | {"epsilon_fraction": Range(0, 1)}


class Chances(NamedTuple):
    """Random numbers of a rollout's exploration, leading axes `[time, env]`.

    Attributes:
        explores: an action is random where this is less than ε.
        which: of all actions that are legal, the one at this share of their number.
        key: for noisy networks, one a step.
    """

    explores: Float[Array, "..."]
    which: Float[Array, "..."]
    key: PRNGKeyArray


def chances(key: PRNGKeyArray, shape: tuple[int, ...]) -> Chances:
    """Those of a whole rollout, `[time, env]`."""
    uniform = jax.random.uniform(key, (2, *shape))
    return Chances(uniform[0], uniform[1], jax.random.split(jax.random.fold_in(key, 1), shape[0]))


def epsilon(leaves: dict[str, Array], progress: Progress) -> Float[Array, ""]:
    """ε when that share of training is over."""
    start, end, span = leaves["epsilon_start"], leaves["epsilon_end"], leaves["epsilon_fraction"]
    over = jnp.clip(progress.fraction / jnp.maximum(span, 1e-9), 0.0, 1.0)
    return start + (end - start) * over


def legal_scores(
    legal: Bool[Array, "*batch action"] | None, scores: Float[Array, "*batch choice"]
) -> Float[Array, "*batch choice"]:
    """Scores, -∞ where an action is not legal; where none is, all are.

    Args:
        legal: None where all are.
        scores: of every action, or of the actions of several policies in turn.
    """
    if legal is None:
        return scores
    allowed = legal | ~jnp.any(legal, axis=-1, keepdims=True)
    each = scores.reshape(*scores.shape[:-1], -1, legal.shape[-1])
    return jnp.where(allowed[..., None, :], each, -jnp.inf).reshape(scores.shape)


def greedy(scores: Float[Array, "*batch action"]) -> Int[Array, "*batch"]:
    """The action of the highest score."""
    return jnp.argmax(scores, axis=-1).astype(jnp.int32)


def sometimes_random(
    chance: Chances, probability: Float[Array, "..."] | Float[Array, ""], scores: Float[Array, "*batch action"]
) -> Int[Array, "*batch"]:
    """The best action, or with that probability any legal one."""
    legal = jnp.isfinite(scores) | jnp.all(~jnp.isfinite(scores), axis=-1, keepdims=True)
    counts = jnp.cumsum(legal, axis=-1)
    wanted = jnp.floor(chance.which * counts[..., -1])
    # The first action that has more legal ones up to it than are wanted before.
    random = jnp.argmax(counts > wanted[..., None], axis=-1).astype(jnp.int32)
    return jnp.where(chance.explores < probability, random, greedy(scores))
