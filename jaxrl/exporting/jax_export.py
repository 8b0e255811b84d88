"""Policies as StableHLO, which JAX alone loads and runs: on CPUs, NVIDIA's GPUs and TPUs, in batches of any size."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxrl.exporting.interface import Interface, cannot_express

__all__ = ["DESCRIPTION", "PLATFORMS", "POLICY", "StableHLO", "convert"]

PLATFORMS = ("cpu", "cuda", "tpu")
POLICY, DESCRIPTION = "policy.stablehlo", "description.json"
"""Members of the ZIP archive that a policy is."""
# Of every member: equal policies are equal files.
_TIME = (1980, 1, 1, 0, 0, 0)


class StableHLO:
    """An exported policy."""

    def __init__(self, serialised: bytes) -> None:
        self._serialised = serialised
        self._exported = jax.export.deserialize(bytearray(serialised))

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name."""
        return jax.device_get(self._exported.call(**inputs))

    def packed(self, description: Mapping[str, Any]) -> bytes:
        """A file with the policy and its description."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(DESCRIPTION, _TIME), json.dumps(description, indent=2, allow_nan=False))
            archive.writestr(zipfile.ZipInfo(POLICY, _TIME), self._serialised, zipfile.ZIP_DEFLATED)
        return file.getvalue()

    @property
    def facts(self) -> dict[str, Any]:
        """What a description says of the format."""
        return {"format": "jax-export", "platforms": list(PLATFORMS)}


def convert(made: Interface) -> StableHLO:
    """The policy's function, for batches of any size.

    Raises:
        ValueError: for a policy that calls back into Python, or depends on how many samples there are.
    """
    (batch,) = jax.export.symbolic_shape("batch")
    try:
        exported = jax.export.export(jax.jit(made.call), platforms=PLATFORMS)(**made.batched(batch))
        return StableHLO(bytes(exported.serialize()))
    except ImportError:
        raise
    except Exception as error:
        raise cannot_express("by jax.export", error) from error
