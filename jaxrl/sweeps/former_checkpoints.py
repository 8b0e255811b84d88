"""Checkpoints of versions that wrote them with orbax: folders instead of files, and a sweep's members in blocks.

The members of a sweep lay in `block_0`, `block_1`, ..., as many in each as fitted into memory, padded to a multiple
of the devices by members that were there already.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl.errors import CheckpointError

__all__ = ["read", "steps"]


def steps(directory: Path) -> list[int]:
    """The complete steps, newest first.

    Raises:
        CheckpointError: for blocks that stand at different steps.
    """
    found = [_steps(place) for place in _places(directory)]
    common = set(found[0]).intersection(*found)
    if any(found) and not common:
        raise CheckpointError(
            f"the members in {directory} were saved by an earlier version, in blocks that stand at different "
            "iterations: finish the run with that version or start again in another directory"
        )
    return sorted(common, reverse=True)


def read(directory: Path, step: int, wanted: dict[str, dict] | None) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Record and arrays, the latter with the members of all blocks and without the padding, as `wanted` has them."""
    places = [place / str(step) for place in _places(directory)]
    records = [json.loads((place / "record" / "metadata").read_text()) for place in places]
    record = {"leaves": dict(records[0]["leaves"]), "metadata": dict(records[0]["metadata"])}
    if wanted is None:
        return record, {}
    blocks = [_restore(place / "tree", each["leaves"]) for place, each in zip(places, records, strict=True)]
    arrays = blocks[0]
    for name, entry in wanted.items() if places[0].parent != directory else ():
        shape = list(arrays[name].shape) if name in arrays else []
        if shape != entry["shape"] and shape[1:] == entry["shape"][1:]:
            arrays[name] = np.concatenate([block[name] for block in blocks])[: entry["shape"][0]]
            shape, crc = list(arrays[name].shape), zlib.crc32(arrays[name].tobytes())
            record["leaves"][name] = {**record["leaves"][name], "shape": shape, "crc": crc}
    return record, arrays


def _places(directory: Path) -> list[Path]:
    blocks = [path for path in directory.glob("block_*") if path.name[6:].isdigit()]
    return sorted(blocks, key=lambda path: int(path.name[6:])) or [directory]


def _steps(directory: Path) -> list[int]:
    # Incomplete ones have other names.
    return [int(path.parent.name) for path in directory.glob("*/record") if path.parent.name.isdigit()]


def _restore(path: Path, leaves: dict[str, dict[str, Any]]) -> dict[str, np.ndarray]:
    import orbax.checkpoint as ocp

    target = {name: np.empty(entry["shape"], entry["dtype"]) for name, entry in leaves.items()}
    restored = ocp.StandardCheckpointer().restore(path, target)
    for name, entry in leaves.items():
        restored[name] = np.asarray(restored[name])
        if entry["crc"] is not None and zlib.crc32(np.ascontiguousarray(restored[name]).tobytes()) != entry["crc"]:
            raise ValueError(f"wrong checksum of {name}")
    return restored
