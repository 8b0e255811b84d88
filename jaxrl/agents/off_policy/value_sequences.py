"""Sequences as networks with a memory learn from them: time leads, and the memory is brought up to date first."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.off_policy.experience import Sequences
from jaxrl.agents.off_policy.heads import Head
from jaxrl.networks.values import ValueNetwork
from jaxrl.numerics.returns import n_step_returns
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = ["Steps", "along"]


class Steps(NamedTuple):
    """A minibatch of sequences without the steps of the burn-in; leading axes `[time, batch]`.

    Attributes:
        observation, action, reward, terminated, truncated, valid, following, weights: as in `Sequences`.
        whole: the sequences with the burn-in, time leading.
        burn_in: its length.
    """

    observation: PyTree
    action: Array
    reward: Float[Array, "time batch objective"]
    terminated: Bool[Array, "time batch"]
    truncated: Bool[Array, "time batch"]
    valid: Bool[Array, "time batch"]
    following: PyTree
    weights: Float[Array, "time batch objective"]
    whole: Sequences
    burn_in: int

    def outputs(
        self,
        network: ValueNetwork,
        params: PyTree,
        see: Callable[[PyTree], PyTree],
        taus: Any,
        key: PRNGKeyArray | None,
    ) -> tuple[Array, Array]:
        """Values of every step and of what follows it; no gradient goes through the burn-in."""
        whole, count = self.whole, self.burn_in
        now, later = see(whole.observation), see(whole.following)
        weights, memory = whole.weights, whole.memory
        if count:
            past = jax.tree.map(lambda leaf: leaf[:count], (now, later, weights, whole.start))
            fractions = None if taus is None else jnp.broadcast_to(taus[:1], (count, *taus.shape[1:]))
            memory = network.sequence(params, *past[:3], memory, past[3], fractions, key)[2]
            memory = jax.lax.stop_gradient(memory)
        now, later, weights, start = jax.tree.map(lambda leaf: leaf[count:], (now, later, weights, whole.start))
        found, following, _ = network.sequence(params, now, later, weights, memory, start, taus, key)
        return found, following

    def target(
        self, head: Head, reward: Float[Array, "time batch objective"], mixed: Array, num_steps: int, hp: Any
    ) -> Float[Array, "time batch objective atom"]:
        """Of every step, over `num_steps` rewards, or fewer where the episode or the sequence ends."""
        if num_steps == 1:
            factor = jnp.where(self.terminated[..., None], 0.0, hp.discount)
            return head.target(reward, jnp.broadcast_to(factor, reward.shape), mixed, hp.head)
        # Every atom moves along like a value of its own.
        atoms = mixed.shape[-1]
        flat = mixed.reshape(*mixed.shape[:-2], -1)
        rewards = jnp.repeat(reward, atoms, axis=-1)
        discount = jnp.repeat(jnp.broadcast_to(hp.discount, reward.shape[-1:]), atoms)
        found = n_step_returns(rewards, flat, self.terminated, self.truncated, discount, num_steps)
        return found.reshape(mixed.shape)


def along(sequences: Sequences, burn_in: int) -> Steps:
    """A minibatch of sequences `[batch, time]`, time leading, less the burn-in."""
    rest = {name: leaf for name, leaf in sequences._asdict().items() if name not in ("memory", "importance", "weights")}
    rest = {name: jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), leaf) for name, leaf in rest.items()}
    weights = jnp.broadcast_to(sequences.weights, rest["reward"].shape)
    whole = sequences._replace(**rest, weights=weights)
    kept = {name: jax.tree.map(lambda leaf: leaf[burn_in:], leaf) for name, leaf in rest.items() if name != "start"}
    # What comes after a step that tells nothing is not known.
    return Steps(**kept, weights=weights[burn_in:], whole=whole, burn_in=burn_in)
