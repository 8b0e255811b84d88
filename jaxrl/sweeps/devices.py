"""Devices: CPU cores as devices, the member axis sharded over all of them, several hosts."""

import os
import warnings

import jax
import numpy as np
from jax.sharding import Mesh

__all__ = ["member_mesh", "use_cpu_cores"]


def use_cpu_cores(count: int | None = None) -> None:
    """Makes every CPU core a device, so that the members of a sweep run side by side.

    Call it before the first computation; the command line does. It has no effect on GPUs or TPUs, nor where
    XLA_FLAGS already forces a number of host devices.

    Args:
        count: number of CPU devices; default the number of cores.

    Warns:
        if JAX has already started with another number of devices, with which everything goes on.
    """
    count = count or os.cpu_count() or 1
    # XLA runs all CPU devices on one pool of NPROC threads, and a program that occupies every
    # thread waits for ever for its own parallel parts: the pool must be larger than the devices.
    os.environ.setdefault("NPROC", str(2 * max(count, os.cpu_count() or 1)))
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
