"""How values of what follows are backed up: by the best action, or by all of them.

`own` and `other` are outputs of the target and of the learning network for what follows, `[*batch, action, objective,
atom]`; scores are what a preference makes of their means, -∞ where an action is not legal.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.ranges import NOT_NEGATIVE, POSITIVE, Range
from jaxrl.registry import Registry
from jaxrl.types import Array, Float, Int

__all__ = ["BACKUPS", "Backup", "at", "expected", "log_policy"]

Scores = Float[Array, "..."]


class Backup(NamedTuple):
    """A way to back up.

    Attributes:
        following: `(outputs, scores, other scores, parameters) -> [*batch, objective, atom]`: outputs of what follows.
        bonus: `(scores of the target network before the action, action, parameters) -> [*batch]`, added to the reward
            of every objective; None for none.
        double: whether scores of the learning network are read.
        soft: whether outputs of several actions are mixed.
        parameters: traced defaults, by name.
        ranges: of these.
    """

    following: Callable[[Array, Scores, Scores, Mapping[str, Any]], Array]
    bonus: Callable[[Scores, Int[Array, "*batch"], Mapping[str, Any]], Array] | None = None
    double: bool = False
    soft: bool = False
    parameters: Mapping[str, float] = MappingProxyType({})
    ranges: Mapping[str, Range] = MappingProxyType({})


def at(outputs: Float[Array, "*batch action objective atom"], action: Int[Array, "*batch"]) -> Array:
    """Outputs of one action."""
    return jnp.take_along_axis(outputs, action[..., None, None, None], axis=-3)[..., 0, :, :]


def log_policy(scores: Scores, temperature: Float[Array, ""] | float) -> Scores:
    """log softmax(scores/τ); of what is not legal, 0, so that π log π is, too."""
    logs = jax.nn.log_softmax(scores / temperature)
    return jnp.where(jnp.isfinite(scores), logs, 0.0)


def expected(outputs: Array, log_probs: Scores, scores: Scores, temperature: Any) -> Array:
    """Σ_a π(a) (z_a - τ log π(a)): the entropy counts for every objective."""
    probs = jnp.where(jnp.isfinite(scores), jnp.exp(log_probs), 0.0)[..., None, None]
    return jnp.sum(probs * (outputs - temperature * log_probs[..., None, None]), axis=-3)


def _best(outputs: Array, scores: Scores, other: Scores, parameters: Mapping[str, Any]) -> Array:
    return at(outputs, jnp.argmax(scores, axis=-1))


def _best_of_other(outputs: Array, scores: Scores, other: Scores, parameters: Mapping[str, Any]) -> Array:
    return at(outputs, jnp.argmax(other, axis=-1))


def _soft(outputs: Array, scores: Scores, other: Scores, parameters: Mapping[str, Any]) -> Array:
    temperature = parameters["soft_temperature"]
    return expected(outputs, log_policy(scores, temperature), scores, temperature)


def _munchausen_bonus(scores: Scores, action: Int[Array, "*batch"], parameters: Mapping[str, Any]) -> Array:
    """α [τ log π(a|o)]_{l₀}⁰ (Vieillard et al., 2020, equation 1 and section 3)."""
    temperature = parameters["soft_temperature"]
    taken = jnp.take_along_axis(log_policy(scores, temperature), action[..., None], axis=-1)[..., 0]
    clipped = jnp.clip(temperature * taken, parameters["munchausen_floor"], 0.0)
    return parameters["munchausen_weight"] * clipped


_TEMPERATURE = {"soft_temperature": 0.03}
_TEMPERATURE_RANGE = {"soft_temperature": POSITIVE}

BACKUPS = Registry(
    "backup",
    {
        "max": Backup(_best),
        "double": Backup(_best_of_other, double=True),
        "soft": Backup(_soft, soft=True, parameters=_TEMPERATURE, ranges=_TEMPERATURE_RANGE),
        "munchausen": Backup(
            _soft,
            _munchausen_bonus,
            soft=True,
            parameters={**_TEMPERATURE, "munchausen_weight": 0.9, "munchausen_floor": -1.0},
            ranges={
                **_TEMPERATURE_RANGE,
                "munchausen_weight": NOT_NEGATIVE,
                "munchausen_floor": Range(high=0.0),
            },
        ),
    },
    Backup,
)
