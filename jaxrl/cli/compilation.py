"""Where commands keep what XLA has compiled, so that the second run of one loads it instead."""

import os
import sys
from pathlib import Path

__all__ = ["LIMIT", "default_folder", "keep_compiled"]

_VARIABLE = "JAXRL_COMPILATION_CACHE"
# Bytes, beyond which the programs that were not used for longest are deleted; one takes about 0.3 MB on a CPU.
LIMIT = 2**30
# Seconds: what compiles faster is not worth a file.
_LEAST = 0.1


def default_folder() -> Path:
    """The user's cache folder by the custom of the platform."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "jaxrl"


def keep_compiled(choice: str | None = None) -> Path | None:
    """Turns JAX's persistent compilation cache on, in a folder of at most `LIMIT` bytes that processes share by a lock.

    Below it are whole programs, which are found without being traced (`jaxrl.sweeps.kept`).

    Entries are told apart by program, versions, flags, devices and the processor's features. One that is damaged is
    compiled again, with a warning.

    Args:
        choice: a folder, or `off`; default the variable JAXRL_COMPILATION_CACHE, then what JAX has been told, then the
            user's cache folder.

    Returns:
        The folder; None where there is none, as it cannot be written: then a line says so, and all is compiled.
    """
    import jax

    from jaxrl.sweeps.kept import keep_in

    choice = choice or os.environ.get(_VARIABLE)
    if choice is None and jax.config.jax_compilation_cache_dir:
        return Path(jax.config.jax_compilation_cache_dir)
    keep_in(None)
    if choice == "off":
        jax.config.update("jax_enable_compilation_cache", False)
        return None
    try:
        folder = Path(choice).expanduser().absolute() if choice else default_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_unfinished(folder)
    except (OSError, RuntimeError, NotImplementedError, ImportError) as error:
        print(f"jaxrl: compiled programs are not kept: {error}", file=sys.stderr)
        jax.config.update("jax_enable_compilation_cache", False)
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", LIMIT)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST)
    keep_in(folder / "programs")
    return folder


def _remove_unfinished(folder: Path) -> None:
    """Deletes what a process that was killed in the midst of writing has left: JAX notes the time of use last."""
    import filelock

    # The lock that JAX takes for reading and writing.
    with filelock.FileLock(folder / ".lockfile", timeout=10):
        for entry in folder.glob("*-cache"):
            if not entry.with_name(entry.name.removesuffix("-cache") + "-atime").exists():
                entry.unlink()
