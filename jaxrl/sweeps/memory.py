"""How many members of a sweep fit in memory."""

import os

import jax

from jaxrl.training.program import Program, num_bytes

__all__ = ["bytes_per_member", "members_that_fit"]

# Live copies of one iteration's experience: as collected, packed, permuted, and gradients.
_COPIES = 4
_SHARE = 0.4


def bytes_per_member(program: Program) -> int:
    """Estimated bytes of one member: its state, its metrics and a few copies of its experience."""
    state = jax.eval_shape(program.init, jax.random.key(0), program.hyperparameters)
    outputs = jax.eval_shape(program.step, state, program.hyperparameters, 0)[1]
    experience = _COPIES * program.experience_bytes()
    return 2 * num_bytes(state) + experience + program.num_iterations * num_bytes(outputs)


def members_that_fit(program: Program, num_devices: int) -> int:
    """Members that fit in 40 % of the memory of `num_devices` devices, at least one each."""
    device = jax.local_devices()[0]
    statistics = device.memory_stats() or {}
    if "bytes_limit" in statistics:
        budget = _SHARE * statistics["bytes_limit"] * num_devices
    else:
        budget = _SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(num_devices, int(budget // max(1, bytes_per_member(program))))
