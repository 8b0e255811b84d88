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
    XLA_FLAGS already forces a number of host devices, or NPROC one of threads.

    Args:
        count: number of CPU devices; default the number of cores.
        threads: of the pool that all devices share for what a program may do at once; default two for each of them and
            of the cores. With 1, each device goes through its program in order: where every device has members, and
            operations are small, handing one over costs more than it saves (experiments/benchmarks/threads.py). As few
            as there are devices, but more than 1, are raised to the default: a program that occupies all of them would
            wait for ever for its own parallel parts. Sums of large products depend on their number in the last bits.

    Raises:
        ValueError: for fewer than 1 thread.

    Warns:
        if JAX has already started with another number of devices, with which everything goes on.
    """
    count, cores = count or os.cpu_count() or 1, os.cpu_count() or 1
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    if threads is None or 1 < threads <= count:
        threads = 2 * max(count, cores)
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
