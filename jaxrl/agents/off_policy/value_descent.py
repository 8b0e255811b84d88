"""Gradient steps of networks of action values, by optimisers of any kind, and what learned ones read."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from jaxrl.agents.base import Progress
from jaxrl.agents.off_policy.backups import Backup
from jaxrl.agents.off_policy.heads import Head
from jaxrl.agents.off_policy.learner import OffPolicyState
from jaxrl.agents.off_policy.value_acting import Acting
from jaxrl.agents.off_policy.value_settings import ValueConfig
from jaxrl.agents.optimisation import optimiser_of, training_share
from jaxrl.optimisers import OPTIMISERS, LearnedOptimiser, Signals
from jaxrl.types import Array, PRNGKeyArray, PyTree

__all__ = ["Parts", "descend", "learned_optimiser", "signals"]


class Parts(NamedTuple):
    """What an agent of action values is put together of; static."""

    acting: Acting
    backup: Backup
    optimiser: LearnedOptimiser | None

    @property
    def config(self) -> ValueConfig:
        return self.acting.config

    @property
    def head(self) -> Head:
        return self.acting.head


def learned_optimiser(config: ValueConfig, acting: Acting) -> LearnedOptimiser | None:
    """The one that is chosen, if it is learned.

    Raises:
        ValueError: for layers that it cannot read.
    """
    if config.optimiser not in OPTIMISERS:
        return None
    if acting.network.activity is None or config.num_critics > 1:
        raise ValueError(
            f"optimiser={config.optimiser!r} reads how active the neurons of plain dense layers are: it needs a "
            "network without memory, noise, LayerNorm, residual blocks, fractions or products, and num_critics=1"
        )
    return OPTIMISERS.make(config.optimiser)


def signals(
    parts: Parts,
    key: PRNGKeyArray,
    state: OffPolicyState,
    observation: PyTree,
    weights: Array,
    taus: Array | None,
    progress: Progress,
) -> Signals:
    """What a learned optimiser reads at one gradient step; passes are the steps of an iteration."""
    activity = parts.acting.network.activity(state.params["values"], observation, weights, taus)
    count = parts.config.num_updates
    passed = (state.updates % count) / max(1, count - 1)
    return Signals(key, training_share(progress), passed, {"values": activity})


def descend(
    parts: Parts,
    state: OffPolicyState,
    loss_of: Any,
    hp: Any,
    progress: Progress,
    read: Callable[[], Signals] | None = None,
) -> tuple[OffPolicyState, Any, dict[str, Array]]:
    """One step down `loss_of(params) -> (loss, extras)`; a learned optimiser is given what `read` returns."""
    (loss, extras), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    optimiser = optimiser_of(parts, hp, progress.fraction, state.params)
    seen = {"signals": read()} if parts.optimiser is not None else {}
    updates, moments = optimiser.update(gradient, state.optimiser, state.params, **seen)
    state = state._replace(params=optax.apply_updates(state.params, updates), optimiser=moments)
    return state, extras, {"loss": loss}
