"""Atomic checkpoints of any pytree of arrays and keys.

A checkpoint is one file, `STEP.npz`, which `numpy.load` opens: an array per leaf, named by its path, and `record.json`
with their shapes, types and checksums and one of its own. It is written beside its final name, to the disk, and
renamed, so a process killed at any moment leaves the previous step whole; a damaged or foreign one is an error.
"""

import json
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.errors import CheckpointError, DamagedError
from jaxrl.sweeps import former_checkpoints as former
from jaxrl.sweeps.files import reason, remove_leftovers, replaced
from jaxrl.sweeps.keys import data_of, is_key
from jaxrl.types import PyTree

__all__ = ["Checkpoints"]

_RECORD = "record.json"


class Checkpoints:
    """The checkpoints of one run; the newest `keep` are kept."""

    def __init__(self, directory: str | Path, keep: int = 2) -> None:
        self.directory = Path(directory).absolute()
        self._keep = keep

    def steps(self) -> list[int]:
        """The complete steps, newest first."""
        own = [int(path.stem) for path in self.directory.glob("*.npz") if path.stem.isdigit()]
        return sorted(own, reverse=True) or former.steps(self.directory)

    def latest(self) -> int | None:
        """The newest complete step, or None."""
        return next(iter(self.steps()), None)

    def save(self, step: int, tree: PyTree, metadata: dict[str, Any] | None = None) -> None:
        """Writes `tree` as `step`, from the first host; when it returns, the checkpoint is complete.

        Raises:
            CheckpointError: if it cannot be written; the one before is whole.
        """
        if jax.process_index() != 0:
            return
        arrays = {name: np.asarray(leaf) for name, leaf in _plain(tree).items()}
        record = {"leaves": _fingerprint(arrays), "metadata": metadata or {}}
        try:
            with replaced(self._path(step)) as file:
                _write(file, record, arrays)
        except OSError as error:
            kept = self.latest()
            left = "none was saved before" if kept is None else f"step {kept} is whole: resume goes on from it"
            raise CheckpointError(f"cannot save step {step} in {self.directory}: {reason(error)}; {left}") from error
        remove_leftovers(self.directory, "*.npz")
        # Later steps are damaged ones, before which the run went on.
        before = [other for other in self.steps() if other < step]
        for path in self.directory.glob("*.npz"):
            if path.stem.isdigit() and int(path.stem) not in [step, *before[: self._keep - 1]]:
                path.unlink(missing_ok=True)

    def metadata(self, step: int | None = None) -> dict[str, Any]:
        """What was passed to `save` as metadata."""
        return self._record(self._require(step), "metadata")

    def names(self, step: int | None = None) -> set[str]:
        """Paths of the leaves that were saved, `2/0/entropy`."""
        return set(self._record(self._require(step), "leaves"))

    def _record(self, step: int, entry: str) -> dict[str, Any]:
        try:
            return self._read(step)[0][entry]
        except Exception as error:
            raise self._damaged(step, error) from error

    def arrays(self, step: int | None = None) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The metadata and all arrays of a checkpoint, by path; keys as their data. Default: of the newest.

        Raises:
            CheckpointError: if there is none, or it is damaged.
        """
        step = self._require(step)
        try:
            record, arrays = self._read(step, {name: {} for name in self.names(step)})
            if any(record["leaves"][name]["crc"] not in (None, _checksum(array)) for name, array in arrays.items()):
                raise ValueError("wrong checksum of an array")
        except Exception as error:
            raise self._damaged(step, error) from error
        return record["metadata"], arrays

    def restore(
        self, template: PyTree, step: int | None = None, partial: bool = False, on_host: bool = False
    ) -> PyTree:
        """The saved tree, in the structure of `template` (arrays or shapes).

        Args:
            template: what to restore.
            step: which checkpoint; default the newest.
            partial: whether the checkpoint may hold more than `template` does.
            on_host: whether arrays are left as NumPy's.

        Raises:
            CheckpointError: if there is none, it is damaged, or it holds other arrays than `template`.
        """
        newest, step = step is None, self._require(step)
        wanted = _shapes(jax.eval_shape(_plain, template))
        try:
            record, arrays = self._read(step, wanted)
            saved = record["leaves"]
            for name, array in arrays.items():
                if name in wanted and saved[name]["crc"] not in (None, _checksum(array)):
                    raise ValueError(f"wrong checksum of {name}")
        except Exception as error:
            raise self._damaged(step, error, advise=newest) from error
        _compare({name: saved[name] for name in saved if name in wanted or not partial}, wanted, self.directory)
        leaves, structure = jax.tree.flatten(template)
        put = (lambda array: array) if on_host else jnp.asarray
        values = [_as_template(leaf, put(arrays[name])) for leaf, name in zip(leaves, _names(template))]
        return jax.tree.unflatten(structure, values)

    def _path(self, step: int) -> Path:
        return self.directory / f"{step}.npz"

    def _require(self, step: int | None) -> int:
        step = self.latest() if step is None else step
        if step is None:
            raise CheckpointError(f"no checkpoint in {self.directory}")
        return step

    def _read(self, step: int, wanted: dict[str, dict] | None = None) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The record, and the arrays among `wanted` that are there; a file of another version has them all."""
        if self._path(step).exists():
            return _read(self._path(step), wanted or ())
        return former.read(self.directory, step, wanted)

    def _damaged(self, step: int, error: Exception, advise: bool = False) -> CheckpointError:
        older = next((other for other in self.steps() if other < step), None)
        advice = f"step {older} is there too: jaxrl resume goes on from it"
        if older is None:
            advice = "there is no other: delete that folder and resume to start again"
        path = f"{self.directory}/{step}"
        return DamagedError(f"the checkpoint {path} is damaged ({reason(error)})" + (f"; {advice}" if advise else ""))


def _write(file: IO[bytes], record: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(_RECORD, json.dumps({**record, "crc": _record_checksum(record)}))
        for name, array in arrays.items():
            # Types that NumPy has not itself, such as bfloat16, are stored as their bits.
            plain = array.view(f"u{array.itemsize}") if array.dtype.kind == "V" else array
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, plain, allow_pickle=False)


def _read(path: Path, names: Iterable[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with zipfile.ZipFile(path) as archive:
        record = json.loads(archive.read(_RECORD))
        if record.pop("crc", None) != _record_checksum(record):
            raise ValueError(f"wrong checksum of {_RECORD}")
        arrays = {}
        for name in names:
            if name in record["leaves"]:
                with archive.open(f"{name}.npy") as entry:
                    array = np.lib.format.read_array(entry, allow_pickle=False)
                dtype = jnp.dtype(record["leaves"][name]["dtype"])
                arrays[name] = array.view(dtype) if dtype.kind == "V" else array
    return record, arrays


def _record_checksum(record: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True).encode())


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def _names(tree: PyTree) -> list[str]:
    """Paths of the leaves, in their order."""
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [jax.tree_util.keystr(path, simple=True, separator="/") or "value" for path, _ in flat]


def _plain(tree: PyTree) -> dict[str, Any]:
    """Leaves by path, keys as their data."""
    return {name: data_of(leaf) for name, leaf in zip(_names(tree), jax.tree.leaves(tree))}


_KEY_IMPLEMENTATIONS = {"key<fry>": "threefry2x32", "key<rbg>": "rbg", "key<urbg>": "unsafe_rbg"}


def _as_template(leaf: Any, value: Any) -> Any:
    if not is_key(leaf):
        return value
    return jax.random.wrap_key_data(jnp.asarray(value), impl=_KEY_IMPLEMENTATIONS.get(str(leaf.dtype)))


def _shapes(plain: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: {"shape": list(leaf.shape), "dtype": str(leaf.dtype)} for name, leaf in plain.items()}


def _fingerprint(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    return {name: {**entry, "crc": _checksum(arrays[name])} for name, entry in _shapes(arrays).items()}


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
