"""The contract of losses on pairs of sequences of which one was preferred.

With ρ = log π(y_w)/π_ref(y_w) - log π(y_l)/π_ref(y_l) of a chosen sequence y_w and a rejected one y_l, and x = β ρ;
every loss is minimised.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Float, PRNGKeyArray

__all__ = ["Beta", "Pairs", "Parameters", "PreferenceLoss", "hinge_term", "logistic_term", "of_gap"]

Parameters = Mapping[str, Array]
Batch = Float[Array, "*batch"]
Beta = Float[Array, ""] | float


class Pairs(NamedTuple):
    """Log probabilities of whole sequences; the policy's are differentiable.

    Attributes:
        policy_chosen: log π(y_w).
        policy_rejected: log π(y_l).
        reference_chosen: log π_ref(y_w).
        reference_rejected: log π_ref(y_l).
    """

    policy_chosen: Batch
    policy_rejected: Batch
    reference_chosen: Batch
    reference_rejected: Batch

    @property
    def gap(self) -> Batch:
        """ρ, how much more the policy prefers the chosen sequence than the reference does, in nats."""
        return (self.policy_chosen - self.reference_chosen) - (self.policy_rejected - self.reference_rejected)


class PreferenceLoss(NamedTuple):
    """One loss.

    Attributes:
        init: `key -> parameters`, traced constants; hand-written losses ignore the key.
        apply: `(Pairs, β, parameters) -> loss [*batch]`, β > 0.
    """

    init: Callable[[PRNGKeyArray | None], dict[str, Array]]
    apply: Callable[[Pairs, Beta, Parameters], Batch]


def logistic_term(x: Batch) -> Batch:
    """-log σ(x)."""
    return jax.nn.softplus(-x)


def hinge_term(x: Batch) -> Batch:
    """relu(1 - x)."""
    return jax.nn.relu(1.0 - x)


def of_gap(function: Callable[[Batch, Beta, Parameters], Batch], **defaults: float) -> PreferenceLoss:
    """A loss `function(ρ, β, parameters)`."""
    init = lambda key: {name: jnp.asarray(value, jnp.float32) for name, value in defaults.items()}  # noqa: E731
    return PreferenceLoss(init, lambda pairs, beta, parameters: function(pairs.gap, beta, parameters))
