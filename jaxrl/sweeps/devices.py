"""Devices: CPU cores as devices, the member axis sharded over all of them, several hosts."""

import os
import warnings

import jax
import numpy as np
from jax.sharding import Mesh

from jaxrl.numerics.copies import copies_mesh
from jaxrl.training.program import Program

__all__ = ["member_mesh", "run_mesh", "use_cpu_cores"]

# Copies of the environment that a device needs for exchanging gradients to pay.
_COPIES_THAT_PAY = 256


def use_cpu_cores(count: int | None = None, threads: int | None = None) -> None:
    """Makes every CPU core a device, so that the members of a sweep run side by side.

    Call it before the first computation; the command line does. It has no effect on GPUs or TPUs, nor where
    XLA_FLAGS already forces a number of host devices, nor NPROC one of threads.

    Args:
        count: number of CPU devices; default the number of cores.
        threads: of the pool on which XLA runs what a program may do at once; default one where every core is a device,
            so that each device goes through its program in order: of operations as small as those of a narrow run,
            handing one to another thread costs more than it saves (experiments/benchmarks/threads.py). Otherwise two
            for every core.

    Raises:
        ValueError: for a number of threads from two to that of devices, of which all may wait for each other.

    Warns:
        if JAX has already started with another number of devices, with which everything goes on.
    """
    cores = os.cpu_count() or 1
    count = count or cores
    # A program that occupies every thread of the pool that all devices share waits for ever for its own parallel parts,
    # so the pool must be larger than the devices, or have one thread, with which no program has parallel parts.
    if threads is None:
        threads = 1 if count >= cores else 2 * cores
    if 1 < threads <= count:
        raise ValueError(f"threads must be 1 or more than the {count} devices, got {threads}")
    os.environ.setdefault("NPROC", str(threads))
    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return  # The environment has decided, and JAX accepts only one of the two settings.
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:
        if jax.local_device_count("cpu") != count:
            warnings.warn(
                f"JAX has started with {jax.local_device_count('cpu')} CPU devices and goes on with them: "
                f"use_cpu_cores({count}) must come before the first computation",
                stacklevel=2,
            )


def member_mesh(max_devices: int | None = None) -> Mesh:
    """A mesh with one axis, `member`, over all devices of all hosts (or the first `max_devices`)."""
    devices = jax.devices()[:max_devices]
    return Mesh(np.asarray(devices), ("member",))


def run_mesh(program: Program, max_devices: int | None = None) -> Mesh | None:
    """The devices of this host that divide the copies of one run; None where one device does as well.

    On a CPU it does: the cores share the products of one device already (experiments/benchmarks/wide.py), and devices
    divide a run there only if asked.

    Args:
        program: of the run.
        max_devices: most of them; default, of other devices than CPUs, as many as have 256 copies each and divide all
            evenly.

    Raises:
        ValueError: if that many devices are asked for and do not divide the copies, or are not there.
    """
    there, copies = jax.local_device_count(), program.num_copies
    if max_devices is None:
        # A run on several hosts is one run on each.
        alone = jax.process_count() > 1 or _platform() == "cpu"
        most = 1 if alone else min(there, copies // _COPIES_THAT_PAY)
        count = next((count for count in range(most, 1, -1) if copies % count == 0), 1)
    else:
        count = max_devices
        if count > there or (count > 1 and (not copies or copies % count)):
            raise ValueError(
                f"devices={count} must divide the {copies} copies of the environment and be at most {there}, "
                "the devices that there are"
            )
    return copies_mesh(count) if count > 1 else None


def _platform() -> str:
    return jax.local_devices()[0].platform
