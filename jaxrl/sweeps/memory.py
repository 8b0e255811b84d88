"""How many members of a sweep fit in memory."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.sweeps.liveness import peak_bytes
from jaxrl.sweeps.program import strongly_typed
from jaxrl.training.loop import traced_once
from jaxrl.training.program import Program
from jaxrl.types import PyTree

__all__ = ["bytes_per_member", "host_memory", "members_that_fit"]

# A member's state: the one in turn, the one that waits on the host, and the one that is written or joined.
_STATES = 3
_SHARE = 0.4
# Of a shell, as `ulimit -v`, `-d` and `-m` set them; Linux does not enforce the last.
_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_RSS)
_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def bytes_per_member(program: Program) -> int:
    """Estimated bytes of one member: its state, its metrics, and what an iteration holds at once."""
    state = jax.eval_shape(strongly_typed(program.init), jax.random.key(0), program.hyperparameters)
    index = jax.ShapeDtypeStruct((), jnp.int32)
    step = traced_once(program.step).trace(state, program.hyperparameters, index)
    outputs = program.num_iterations * _num_bytes(step.out_info[1])
    return _STATES * _num_bytes(state) + outputs + peak_bytes(step.jaxpr.jaxpr)


def members_that_fit(program: Program, num_devices: int) -> int:
    """Members that fit in 40 % of the memory of `num_devices` devices, at least one each."""
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    memory = limit * num_devices if limit else host_memory()
    return max(num_devices, int(_SHARE * memory // max(1, bytes_per_member(program))))


def host_memory() -> int:
    """Bytes that this process may use: of the machine, or less where a container, a job or a shell grants less."""
    granted = [resource.getrlimit(kind)[0] for kind in _LIMITS]
    limits = [limit for limit in granted if limit != resource.RLIM_INFINITY]
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *limits, *_control_group_limits()])


def _control_group_limits() -> Iterator[int]:
    """Limits of the control groups, of either version, that this process is in, and of those around them."""
    for line in _OWN_GROUPS.read_text(encoding="utf-8").splitlines() if _OWN_GROUPS.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _limits(_CONTROL_GROUPS, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits(_CONTROL_GROUPS / "memory", path, "memory.limit_in_bytes")


def _limits(root: Path, path: str, name: str) -> Iterator[int]:
    own = PurePosixPath(path.lstrip("/"))
    for folder in (own, *own.parents):
        limit = root / folder / name
        # In a container those outside of it cannot be seen; where there is none, it is a word or beyond any memory.
        text = limit.read_text(encoding="utf-8").strip() if limit.is_file() else ""
        if text.isdecimal():
            yield int(text)


def _num_bytes(shapes: PyTree) -> int:
    """At four per number."""
    return sum(int(np.prod(leaf.shape)) * 4 for leaf in jax.tree.leaves(shapes))
