"""Eight CPU devices for every test, and shapes checked at run time."""

import os

# Must precede JAX's start: one pool of threads serves all devices (see jaxrl.devices).
os.environ.setdefault("NPROC", "16")
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from jaxtyping import install_import_hook

install_import_hook("jaxrl", "beartype.beartype")
