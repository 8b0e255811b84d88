"""How many members of a sweep fit in memory."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.machine import device_memory
from jaxrl.numerics.tracing import traced_once
from jaxrl.sweeps.liveness import peak_bytes
from jaxrl.sweeps.program import strongly_typed
from jaxrl.training.program import Program
from jaxrl.types import PyTree

__all__ = ["bytes_per_member", "members_that_fit"]

# A member's state: the one in turn, the one that waits on the host, and the one that is written or joined.
_STATES = 3
_SHARE = 0.4


def bytes_per_member(program: Program) -> int:
    """Estimated bytes of one member: its state, its metrics, and what an iteration holds at once."""
    state = jax.eval_shape(strongly_typed(program.init), jax.random.key(0), program.hyperparameters)
    index = jax.ShapeDtypeStruct((), jnp.int32)
    step = traced_once(program.step).trace(state, program.hyperparameters, index)
    outputs = program.num_iterations * _num_bytes(step.out_info[1])
    return _STATES * _num_bytes(state) + outputs + peak_bytes(step.jaxpr.jaxpr)


def members_that_fit(program: Program, num_devices: int) -> int:
    """Members that fit in 40 % of the memory of `num_devices` devices, at least one each."""
    return max(num_devices, int(_SHARE * device_memory(num_devices) // max(1, bytes_per_member(program))))


def _num_bytes(shapes: PyTree) -> int:
    """Of all leaves; a key is two numbers."""
    return sum(int(np.prod(leaf.shape)) * getattr(leaf.dtype, "itemsize", 8) for leaf in jax.tree.leaves(shapes))
