"""What brax.training calls in jax and jax 0.10 no longer has, so that the peer runs as it is under jaxrl's own jax.

brax 0.14.2 puts its state on every device by `jax.device_put_replicated`, which jax removed in 0.10. What stands here
is the replacement that jax's own guide to the change gives. It is defined in the peer's process alone, once per run and
outside of what is compiled; the peer's code is not changed. An environment of the peer's own with an older jax would
need a network, and would compare two compilers.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

__all__ = ["give_back_device_put_replicated"]


def give_back_device_put_replicated() -> bool:
    """Defines `jax.device_put_replicated` where jax has none; whether it had to."""
    missing = not hasattr(jax, "device_put_replicated")
    if missing:
        jax.device_put_replicated = _replicated
    return missing


def _replicated(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """A copy of every leaf on each device, along a new leading axis."""
    sharding = NamedSharding(Mesh(np.array(devices), ("device",)), PartitionSpec("device"))
    return jax.tree.map(lambda leaf: jax.device_put(jnp.stack([leaf] * len(devices)), sharding), tree)
