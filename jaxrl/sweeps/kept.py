"""Compiled programs that one process keeps for the next, which finds them without tracing them.

JAX's own cache holds what XLA compiles, and is asked for it by a program that has been traced and lowered. For a short
run these two take longer than all else, so what they end in is kept too, under a name made of all that they depend on:

- the function with all that it closes over, by value (cloudpickle), and what it is called with: structure, shapes and
  types; what is a traced leaf, such as a learning rate or a seed, is not part of it;
- versions, settings of JAX, environment variables of JAX, XLA and jaxrl, devices, and the processor's features.

An entry also says which files Python's modules came from, their sizes and times; it counts only while none of them has
changed. It names another, found by what was lowered, which holds the code: so a changed file costs tracing, and no
compilation if the program stays the same. A program that calls back into Python, closes over arrays on a device, or
cannot be pickled is not kept. The folder is the user's own, and as trusted as JAX's cache beside it.
"""

import hashlib
import io
import os
import pickle
import platform
import re
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable
from jax.sharding import NamedSharding

__all__ = ["LIMIT", "Kept", "keep_in"]

# Bytes of the folder, beyond which the programs that were not used for longest are deleted.
LIMIT = 2**28
# What of the environment tracing and compiling may read.
_PREFIXES = ("JAX", "XLA", "NPROC", "OMP_", "CUDA_VISIBLE", "TF_")
# What cloudpickle calls a class that is not a module's, another one in every process.
_OWN_CLASS = re.compile(rb"\x8c\x20[0-9a-f]{32}")
_DIGEST = hashlib.sha256().digest_size

# Nanoseconds: files that are older were whole when this process imported them, which it may have begun to before.
_BEGUN = time.time_ns() - 10 * 10**9

_folder: Path | None = None


def keep_in(folder: Path | None) -> None:
    """From now on this process keeps programs in `folder`, and finds them there; None for nowhere."""
    global _folder
    _folder = folder


class Kept:
    """What may be kept of one compiled function called with arguments of one kind.

    Args:
        function: what is compiled.
        options: of `jax.jit`, and the mesh that is set while it is compiled.
        arguments: of the call.
    """

    def __init__(self, function: Callable, options: Any, arguments: tuple) -> None:
        self._in_tree = jax.tree.structure((arguments, {}))
        self._path: Path | None = None
        if _folder is not None and jax.process_count() == 1:
            avals = [
                (leaf.shape, str(leaf.dtype), getattr(leaf, "weak_type", False)) for leaf in jax.tree.leaves(arguments)
            ]
            # Whatever an environment of a user's own holds: what cannot be pickled is compiled as if nothing was kept.
            with suppress(Exception):
                self._path = _folder / _name((function, options), (str(self._in_tree), avals, _surroundings()))

    def load(self) -> jax.stages.Compiled | None:
        """The compiled function, if it was kept and all that it depends on is as it was."""
        if self._path is None or not self._path.exists():
            return None
        # A damaged entry, or one of a library that has changed: it is compiled and written again.
        try:
            return self._load(*_read(self._path))
        except Exception:
            self._path.unlink(missing_ok=True)
            return None

    def _load(self, stamps: dict, ids: list[int], example: Any, name: str) -> jax.stages.Compiled | None:
        if any(_stamp(path) != stamp for path, stamp in stamps.items()):
            return None
        code = self._path.parent / name
        devices = {device.id: device for device in jax.devices()}
        places = [devices[index] for index in ids]
        try:
            content = _read(code)
        except Exception:
            code.unlink(missing_ok=True)
            raise
        tree = jax.tree.structure(example)
        loaded = serialize_executable.deserialize_and_load(content, self._in_tree, tree, execution_devices=places)
        os.utime(self._path)
        os.utime(code)
        return loaded

    def compile(self, lowered: jax.stages.Lowered) -> jax.stages.Compiled:
        """Compiles what was traced and lowered, and keeps it if that can be done."""
        if self._path is None:
            return lowered.compile()
        hits = _hits()
        compiled = lowered.compile()
        with suppress(Exception):
            self._save(lowered, compiled, fresh=_hits() == hits)
        return compiled

    def _save(self, lowered: jax.stages.Lowered, compiled: jax.stages.Compiled, fresh: bool) -> None:
        if "callback" in (text := lowered.as_text()):
            return
        ids = _devices(compiled)
        code = self._path.parent / _digest(repr((text, ids, _surroundings())).encode())
        # What XLA has loaded from JAX's cache cannot be written a second time: it would load, and fail when called.
        if fresh:
            _write(code, serialize_executable.serialize(compiled)[0])
        stamps = _stamps()
        # What was changed since it was imported, if only perhaps, may not be what was traced.
        if code.exists() and not any(stamp and stamp[1] > _BEGUN for stamp in stamps.values()):
            tree = compiled.out_tree
            _write(self._path, (stamps, ids, jax.tree.unflatten(tree, range(tree.num_leaves)), code.name))
        _tidy(self._path.parent)


@cache
def _listener() -> list[str]:
    """Grows by one entry whenever JAX finds something in its own cache."""
    found: list[str] = []
    jax.monitoring.register_event_listener(
        lambda name, **_: found.append(name) if name == "/jax/compilation_cache/cache_hits" else None
    )
    return found


def _hits() -> int:
    return len(_listener())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _name(function: Any, called: tuple) -> str:
    """A digest of all that the compiled program depends on but files."""
    written = io.BytesIO()
    _pickler()(written).dump(function)
    content = _OWN_CLASS.sub(b"class", written.getvalue())
    return _digest(content + repr(called).encode())


@cache
def _pickler() -> type:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):
        """Devices by what they are, keys by what they hold."""

        def persistent_id(self, obj: Any) -> Any:
            if isinstance(obj, jax.Device):
                return "device", obj.id, obj.platform
            if isinstance(obj, jax.Array) and jax.dtypes.issubdtype(obj.dtype, jax.dtypes.prng_key):
                return "key", str(obj.dtype), jax.random.key_data(obj)
            return None

    return Pickler


def _surroundings() -> tuple:
    """What a program depends on beside what it is."""
    variables = sorted((name, value) for name, value in os.environ.items() if name.startswith(_PREFIXES))
    devices = [(device.id, device.platform, device.device_kind) for device in jax.devices()]
    settings = sorted((name, str(value)) for name, value in jax.config.values.items())
    versions = sys.version, jax.__version__, jax.lib.__version__, platform.platform(), _processor()
    return versions, variables, devices, settings


@cache
def _processor() -> str:
    """The features of the processor, as far as the platform says them."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return " ".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    return platform.processor()


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _stamps() -> dict[str, tuple[int, int] | None]:
    """Of every file that a module of this process came from."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return {path: _stamp(path) for path in sorted(file for file in files if isinstance(file, str))}


def _devices(compiled: jax.stages.Compiled) -> list[int]:
    """The devices' numbers, in the program's order.

    Raises:
        ValueError: if the order cannot be told.
    """
    shardings = [*jax.tree.leaves(compiled.output_shardings)]
    meshes = (sharding.mesh for sharding in shardings if isinstance(sharding, NamedSharding))
    for mesh in meshes:
        return [device.id for device in mesh.devices.flat]
    (device,) = shardings[0].device_set
    return [device.id]


def _read(path: Path) -> Any:
    """What this user wrote: an entry is code, and a folder that is shared may hold another's."""
    if hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
        raise PermissionError(f"{path} is another user's")
    content = path.read_bytes()
    if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        raise ValueError(f"{path} is damaged")
    return pickle.loads(zlib.decompress(content[_DIGEST:]))


def _write(path: Path, entry: Any) -> None:
    """Whole, or not at all."""
    content = zlib.compress(pickle.dumps(entry), level=1)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        file.write(hashlib.sha256(content).digest() + content)
    os.replace(file.name, path)


def _tidy(folder: Path) -> None:
    """Deletes what was used longest ago, until the rest fits, and what a killed process left unfinished."""
    kept = 0
    for path, size in _newest_first(folder):
        kept += size
        if kept > LIMIT:
            path.unlink(missing_ok=True)


def _newest_first(folder: Path) -> Iterator[tuple[Path, int]]:
    found = []
    for path in folder.iterdir():
        with suppress(OSError):
            state = path.stat()
            found.append((state.st_mtime, path, state.st_size))
    return ((path, size) for _, path, size in sorted(found, reverse=True))
