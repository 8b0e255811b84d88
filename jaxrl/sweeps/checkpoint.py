"""Atomic checkpoints of any pytree of arrays and keys, with orbax.

A checkpoint is one step of a directory. orbax writes it beside its final name and renames it, so a
process killed at any moment leaves the previous step whole. A fingerprint of what was saved (paths,
shapes, types and checksums) is kept beside it, so that a damaged or foreign checkpoint is an error.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from jaxrl.errors import CheckpointError
from jaxrl.types import PyTree

__all__ = ["Checkpoints"]


class Checkpoints:
    """The checkpoints of one run; the newest `keep` are kept."""

    def __init__(self, directory: str | Path, keep: int = 2) -> None:
        self.directory = Path(directory).absolute()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, enable_async_checkpointing=False, create=True, cleanup_tmp_directories=True
        )
        self._manager = ocp.CheckpointManager(self.directory, options=options)

    def latest(self) -> int | None:
        """The newest complete step, or None."""
        return self._manager.latest_step()

    def save(self, step: int, tree: PyTree, metadata: dict[str, Any] | None = None) -> None:
        """Writes `tree` as `step`; when it returns, the checkpoint is complete."""
        plain = _plain(tree)
        # Arrays that span hosts are checked by shape alone: no host holds all of their bytes.
        record = {"leaves": _fingerprint(plain), "metadata": metadata or {}}
        self._manager.save(
            step,
            args=ocp.args.Composite(tree=ocp.args.StandardSave(plain), record=ocp.args.JsonSave(record)),
            force=True,
        )
        self._manager.wait_until_finished()

    def metadata(self, step: int | None = None) -> dict[str, Any]:
        """What was passed to `save` as metadata."""
        return self._record(self._require(step))["metadata"]

    def restore(self, template: PyTree, step: int | None = None, partial: bool = False) -> PyTree:
        """The saved tree, in the structure of `template` (arrays or shapes).

        Args:
            template: what to restore.
            step: which checkpoint; default the newest.
            partial: whether the checkpoint may hold more than `template` does.

        Raises:
            CheckpointError: if there is none, it is damaged, or it holds other arrays than `template`.
        """
        step = self._require(step)
        record = self._record(step)["leaves"]
        plain = jax.eval_shape(_plain, template)
        _compare(
            {name: record[name] for name in record if name in plain or not partial}, _shapes(plain), self.directory
        )
        try:
            target = {name: np.empty(entry["shape"], entry["dtype"]) for name, entry in record.items()}
            restored = self._manager.restore(step, args=ocp.args.Composite(tree=ocp.args.StandardRestore(target))).tree
        except Exception as error:
            raise CheckpointError(f"the checkpoint {self.directory}/{step} is damaged: {error}") from error
        for name, entry in _fingerprint(restored).items():
            if record[name]["crc"] is not None and entry["crc"] != record[name]["crc"]:
                raise CheckpointError(f"the checkpoint {self.directory}/{step} is damaged: wrong checksum of {name}")
        leaves, structure = jax.tree.flatten(template)
        values = [_as_template(leaf, restored[name]) for leaf, name in zip(leaves, _names(template))]
        return jax.tree.unflatten(structure, values)

    def close(self) -> None:
        """Releases the manager's threads."""
        self._manager.close()

    def _require(self, step: int | None) -> int:
        step = self.latest() if step is None else step
        if step is None:
            raise CheckpointError(f"no checkpoint in {self.directory}")
        return step

    def _record(self, step: int) -> dict[str, Any]:
        try:
            return self._manager.restore(step, args=ocp.args.Composite(record=ocp.args.JsonRestore())).record
        except Exception as error:
            raise CheckpointError(f"the checkpoint {self.directory}/{step} is damaged: {error}") from error


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _names(tree: PyTree) -> list[str]:
    """Paths of the leaves, in their order."""
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [jax.tree_util.keystr(path, simple=True, separator="/") or "value" for path, _ in flat]


def _plain(tree: PyTree) -> dict[str, Any]:
    """Leaves by path, keys as their data."""

    def data(leaf: Any) -> Any:
        return jax.random.key_data(leaf) if hasattr(leaf, "dtype") and _is_key(leaf) else leaf

    return {name: data(leaf) for name, leaf in zip(_names(tree), jax.tree.leaves(tree))}


_KEY_IMPLEMENTATIONS = {"key<fry>": "threefry2x32", "key<rbg>": "rbg", "key<urbg>": "unsafe_rbg"}


def _as_template(leaf: Any, value: Any) -> Any:
    if not _is_key(leaf):
        return jnp.asarray(value)
    return jax.random.wrap_key_data(jnp.asarray(value), impl=_KEY_IMPLEMENTATIONS.get(str(leaf.dtype)))


def _shapes(plain: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: {"shape": list(leaf.shape), "dtype": str(leaf.dtype)} for name, leaf in plain.items()}


def _fingerprint(plain: dict[str, Any]) -> dict[str, dict[str, Any]]:
    record = {}
    for name, leaf in plain.items():
        local = not isinstance(leaf, jax.Array) or leaf.is_fully_addressable
        array = np.asarray(leaf) if local else leaf
        crc = zlib.crc32(np.ascontiguousarray(array).tobytes()) if local else None
        record[name] = {"shape": list(array.shape), "dtype": str(array.dtype), "crc": crc}
    return record


def _compare(saved: dict[str, Any], wanted: dict[str, Any], directory: Path) -> None:
    missing, extra = sorted(set(wanted) - set(saved)), sorted(set(saved) - set(wanted))
    if missing or extra:
        raise CheckpointError(
            f"the checkpoint in {directory} was written by other settings or another version: "
            f"it lacks {missing[:3] or 'nothing'} and has {extra[:3] or 'nothing'} besides"
        )
    for name, entry in wanted.items():
        if any(saved[name][field] != entry[field] for field in ("shape", "dtype")):
            described = json.dumps({field: saved[name][field] for field in ("shape", "dtype")})
            raise CheckpointError(
                f"the checkpoint in {directory} was written by other settings or another version: "
                f"{name} is {described}, these settings need {json.dumps(entry)}"
            )
