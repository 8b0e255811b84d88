"""How much memory there is."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["device_memory", "host_memory"]

# Of a shell, as `ulimit -v`, `-d` and `-m` set them; Linux does not enforce the last.
_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_RSS)
_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def device_memory(num_devices: int = 1) -> int:
    """Bytes that programs on so many devices may use: of the devices, or of this process where they share its own."""
    import jax

    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    return limit * num_devices if limit else host_memory()


def host_memory() -> int:
    """Bytes that this process may use: of the machine, or less where a container, a job or a shell grants less."""
    granted = [resource.getrlimit(kind)[0] for kind in _LIMITS]
    limits = [limit for limit in granted if limit != resource.RLIM_INFINITY]
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *limits, *_control_group_limits()])


def _control_group_limits() -> Iterator[int]:
    """Limits of the control groups, of either version, that this process is in, and of those around them."""
    for line in _OWN_GROUPS.read_text(encoding="utf-8").splitlines() if _OWN_GROUPS.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _limits(_CONTROL_GROUPS, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits(_CONTROL_GROUPS / "memory", path, "memory.limit_in_bytes")


def _limits(root: Path, path: str, name: str) -> Iterator[int]:
    own = PurePosixPath(path.lstrip("/"))
    for folder in (own, *own.parents):
        limit = root / folder / name
        # In a container those outside of it cannot be seen; where there is none, it is a word or beyond any memory.
        text = limit.read_text(encoding="utf-8").strip() if limit.is_file() else ""
        if text.isdecimal():
            yield int(text)
