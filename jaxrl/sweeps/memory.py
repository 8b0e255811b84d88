"""How many members of a sweep fit in memory."""

import os

import jax
import numpy as np

from jaxrl.trainable import Bilevel, Trainable
from jaxrl.training.trainer import Trainer
from jaxrl.types import PRNGKeyArray, PyTree

__all__ = ["bytes_per_member", "members_that_fit"]

# Live copies of one iteration's experience: as collected, packed, permuted, and gradients.
_COPIES = 4
_SHARE = 0.4


def bytes_per_member(trainer: Trainable) -> int:
    """Estimated bytes of one member: its state, its metrics and a few copies of its experience.

    A study counts as one member, with the experience of all that learn in it.
    """
    key = jax.random.key(0)
    state = jax.eval_shape(trainer.init, key, trainer.hyperparameters)
    outputs = jax.eval_shape(trainer.step, state, trainer.hyperparameters, 0)[1]
    experience = _COPIES * _size(_experience(trainer, state, key)) * getattr(trainer, "num_members", 1)
    return 2 * _size(state) + experience + trainer.num_iterations * _size(outputs)


def _experience(trainer: Trainable, state: PyTree, key: PRNGKeyArray) -> PyTree:
    """What each of those that learn side by side collects at a time."""
    if isinstance(trainer, Bilevel):
        return jax.eval_shape(trainer.experience, key, state, trainer.hyperparameters)
    inner = trainer if isinstance(trainer, Trainer) else trainer.trainer
    # A tabular algorithm keeps no experience besides its state.
    return _rollout(inner, key) if isinstance(inner, Trainer) else ()


def _rollout(trainer: Trainer, key: PRNGKeyArray) -> PyTree:
    state = jax.eval_shape(trainer.init, key, trainer.hyperparameters)
    return jax.eval_shape(trainer.collect, key, state, trainer.hyperparameters)[1]


def members_that_fit(trainer: Trainable, num_devices: int) -> int:
    """Members that fit in 40 % of the memory of `num_devices` devices, at least one each."""
    device = jax.local_devices()[0]
    statistics = device.memory_stats() or {}
    if "bytes_limit" in statistics:
        budget = _SHARE * statistics["bytes_limit"] * num_devices
    else:
        budget = _SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(num_devices, int(budget // bytes_per_member(trainer)))


def _size(tree: PyTree) -> int:
    return sum(int(np.prod(leaf.shape)) * 4 for leaf in jax.tree.leaves(tree))
