"""What determines the numbers of a run, and how a run directory records it."""

import json
import os
import platform
import zlib
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl import plugins
from jaxrl.errors import CheckpointError, require_name
from jaxrl.ranges import SEED
from jaxrl.runs.kinds import KINDS
from jaxrl.sweeps.files import check_writable, reason, replaced

__all__ = [
    "OUTCOME",
    "Configuration",
    "check_claim",
    "check_free",
    "check_unused",
    "check_writable",
    "claim",
    "configure",
    "read_configuration",
    "record_of",
    "threads_of",
    "write_atomically",
    "write_outcome",
]

OUTCOME = "outcome.json"
"""Written into a run directory when its run has ended."""

# Written by jaxrl 0.1.0 into every configuration, also of kinds that have no such options.
_FORMER_OPTIONS = {"evaluation_episodes", "discounted", "horizon", "outer", "outer_settings"}


@dataclass(frozen=True)
class Configuration:
    """Everything that determines the numbers of a run."""

    kind: str
    """A name of `jaxrl list kinds`."""
    agent: str
    """What is run: an agent, an algorithm, a method, or whatever else the kind has names for."""
    environment: str
    """Name of the environment; empty for kinds without one."""
    environment_options: dict[str, Any] = field(default_factory=dict)
    """Static options of the environment."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the program that differ from the defaults."""
    seeds: tuple[int, ...] = (0,)
    """Seeds; a single run uses the first."""
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    """Swept settings: lists, or strings such as `log:1e-5:1e-2` for ranges."""
    weights: Any = None
    """Number of preference weights, or the weights."""
    design: str = "grid"
    """grid, random or sobol."""
    samples: int | None = None
    """Settings of a random or Sobol design."""
    options: dict[str, Any] = field(default_factory=dict)
    """What else the kind asks for; in configuration.json each stands by itself."""
    imports: tuple[str, ...] = field(default=(), compare=False)
    """Modules that register what is named above, filled in when the run is claimed; reading it imports them again."""

    def __post_init__(self) -> None:
        require_name("kind of run", self.kind, KINDS)
        SEED.check_each("a seed", self.seeds)
        for name in self.options:
            require_name(f"option of {self.kind}", name, KINDS[self.kind].options)

    def option(self, name: str) -> Any:
        """An option of the kind, or its default."""
        return self.options.get(name, KINDS[self.kind].options[name])


def configure(**values: Any) -> Configuration:
    """A configuration from its fields and, by their own names, the options of its kind."""
    names = {item.name for item in fields(Configuration)}
    own = {name: values.pop(name) for name in list(values) if name not in names}
    return Configuration(**{**values, "options": {**values.get("options", {}), **own}})


def record_of(configuration: Configuration) -> dict[str, Any]:
    """As configuration.json holds it, with the defaults of the kind's options."""
    values = asdict(configuration)
    record = {**values, **KINDS[configuration.kind].options, **values.pop("options")}
    del record["options"], record["imports"]
    return json.loads(json.dumps(record, default=_jsonable))


def _from_record(record: dict[str, Any]) -> Configuration:
    known = {item.name for item in fields(Configuration)} | set(KINDS[record["kind"]].options)
    found = {name: value for name, value in record.items() if name in known or name not in _FORMER_OPTIONS}
    return configure(**{**found, "seeds": tuple(record["seeds"]), "imports": tuple(record.get("imports", ()))})


def check_claim(directory: Path, configuration: Configuration) -> None:
    """Says whether a directory is free for a run, or already holds that very one.

    Raises:
        CheckpointError: if it holds another run, naming the settings that differ, or something else.
        ValueError: for settings that no file can record.
    """
    _require_names(configuration)
    if (directory / "configuration.json").exists():
        found, wanted = record_of(read_configuration(directory)), record_of(configuration)
        changed = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
        if changed:
            details = "; ".join(text for name in changed for text in _differences(name, found, wanted))
            raise CheckpointError(f"{directory} holds another run: {details}. Choose another --out or delete it")
        return
    check_free(directory)


def check_free(directory: Path) -> None:
    """Says whether a run can be written to a directory, which need not exist yet.

    Raises:
        CheckpointError: if it cannot be written to, or holds something that is no run.
    """
    check_writable(directory)
    held = "" if (directory / "configuration.json").exists() else _held(directory)
    if held:
        raise CheckpointError(
            f"{directory} is no run directory: it holds {held} but no configuration.json; choose another --out"
        )


def check_unused(directory: Path) -> None:
    """Says whether a directory, which need not exist yet, is free for tables of which no configuration is kept.

    Raises:
        CheckpointError: if it cannot be written to, or holds anything, which might be lost.
    """
    check_writable(directory)
    held = _held(directory)
    if held:
        raise CheckpointError(f"{directory} holds {held}; choose another --out or delete it")


def _held(directory: Path) -> str:
    """The first files in a directory, leftovers apart; empty where there are none."""
    present = directory.iterdir() if directory.exists() else ()
    held = sorted(path.name for path in present if path.name[0] != "." and path.suffix != ".tmp")
    return ", ".join(held[:3]) + (", ..." if len(held) > 3 else "")


def _differences(name: str, found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """`name is OLD there, NEW here`, entry by entry of what is a mapping on both sides."""
    missing = "left at its default"
    old, new = found.get(name, missing), wanted.get(name, missing)
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in {**old, **new} if old.get(key, missing) != new.get(key, missing)]
        return [text for key in keys for text in _differences(key, old, new)]
    shown = [value if value == missing else repr(value) for value in (old, new)]
    return [f"{name} is {shown[0]} there and {shown[1]} here"]


def claim(directory: Path, configuration: Configuration) -> None:
    """Writes the configuration, or checks that the directory already holds the same one.

    Raises:
        CheckpointError: as `check_claim`.
    """
    check_claim(directory, configuration)
    path = directory / "configuration.json"
    if path.exists():
        return
    import jaxlib

    from jaxrl import __version__

    versions = {
        "jaxrl": __version__,
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    threads = os.environ.get("NPROC", "")
    devices = {"kind": jax.devices()[0].device_kind, "count": jax.device_count(), "processes": jax.process_count()}
    # On a CPU sums of large products are cut into as many parts as there are threads.
    devices["threads"] = int(threads) if threads.isdigit() else None
    named = asdict(configuration)
    imports = dict.fromkeys((*configuration.imports, *plugins.needed(named)))
    record = {**record_of(configuration), **({"imports": [*imports]} if imports else {})}
    written = {"configuration": record, "checksum": _checksum(record), "versions": versions, "devices": devices}
    write_atomically(path, json.dumps(written, indent=2))


def _checksum(record: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True).encode())


def _require_names(configuration: Configuration) -> None:
    """Raises ValueError for settings that are objects, such as networks, which no file can record."""
    for name, value in {**configuration.settings, **configuration.hyperparameters}.items():
        values = value if isinstance(value, tuple | list) else [value]
        found = next((entry for entry in values if callable(entry)), None)
        if found is not None:
            raise ValueError(
                f"a run directory records names, {name} is a {type(value).__name__}: register it "
                "(jaxrl.register_network, jaxrl.register_objective) and give its name"
            )


def _jsonable(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def read_configuration(directory: str | Path) -> Configuration:
    """The configuration of a run directory.

    Raises:
        CheckpointError: if the directory is not one, its configuration is damaged, or its kind is not registered.
    """
    path = Path(directory) / "configuration.json"
    if not path.exists():
        raise CheckpointError(f"{directory} is not a run directory: it has no configuration.json")
    try:
        written = json.loads(path.read_text())
        record = written["configuration"]
        kind = record["kind"]
        # Versions before 0.2.0 wrote none.
        if written.get("checksum", _checksum(record)) != _checksum(record):
            raise ValueError("it is not what was written; another run needs another --out")
        imports = tuple(record.get("imports", ()))
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise CheckpointError(f"{path} is damaged ({reason(error)})") from error
    try:
        plugins.load(imports, remember=False)
    except ImportError as error:
        raise CheckpointError(
            f"{directory} needs a module of your own: {error}; run where Python finds it, or set PYTHONPATH"
        ) from error
    if kind not in KINDS:
        raise CheckpointError(
            f"{directory} holds a run of the kind {kind!r}, which nothing has registered: import its module first"
        )
    try:
        return _from_record(record)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged ({reason(error)})") from error


def threads_of(directory: str | Path) -> int | None:
    """Threads of XLA's pool (NPROC) under which a run began, with which its numbers are the same to the bit.

    None where nobody chose them, the run is of an earlier version, or the file cannot be read.
    """
    try:
        found = json.loads((Path(directory) / "configuration.json").read_text())["devices"]["threads"]
    except (ValueError, KeyError, TypeError, OSError):
        return None
    return found if isinstance(found, int) and found > 0 else None


def write_atomically(path: Path, text: str) -> None:
    """Replaces a file in one step, on the first host only."""
    if jax.process_index() == 0:
        with replaced(path) as file:
            file.write(text.encode())


def write_outcome(directory: Path) -> None:
    """Says that the run of a directory has ended, once."""
    if not (directory / OUTCOME).exists():
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        write_atomically(directory / OUTCOME, json.dumps({"ended": ended}))
