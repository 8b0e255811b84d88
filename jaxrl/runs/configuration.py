"""What determines the numbers of a run, and how a run directory records it."""

import json
import os
import platform
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl import plugins
from jaxrl.errors import CheckpointError, require_name

__all__ = ["Configuration", "claim", "read_configuration", "write_atomically"]


@dataclass(frozen=True)
class Configuration:
    """Everything that determines the numbers of a run."""

    kind: str
    """train, sweep, pareto, meta, maml, align, or policy: one of a study's, saved alone, which no run made."""
    agent: str
    """Name of the agent, algorithm, meta-learning or bilevel method."""
    environment: str
    """Name of the environment."""
    environment_options: dict[str, Any] = field(default_factory=dict)
    """Static options of the environment."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the trainer that differ from the defaults."""
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
    evaluation_episodes: int = 64
    """Episodes per policy of a Pareto study's final evaluation."""
    discounted: bool = False
    """Whether a front shows discounted returns."""
    horizon: Any = 50
    """Iterations of a life in meta-training, or bounds between which they are drawn."""
    outer: str | None = None
    """Outer loop of meta-training; None is the method's own."""
    outer_settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the outer loop that differ from the method's."""
    imports: tuple[str, ...] = field(default=(), compare=False)
    """Modules that register what is named above, filled in when the run is claimed; reading it imports them again."""

    def __post_init__(self) -> None:
        require_name("kind of run", self.kind, ("train", "sweep", "pareto", "policy", "meta", "maml", "align"))


def claim(directory: Path, configuration: Configuration) -> None:
    """Writes the configuration, or checks that the directory already holds the same one."""
    path = directory / "configuration.json"
    _require_names(configuration)
    if path.exists():
        found = read_configuration(directory)
        if found != _roundtrip(configuration):
            changed = [
                name for name, value in asdict(_roundtrip(configuration)).items() if asdict(found)[name] != value
            ]
            raise CheckpointError(
                f"{directory} holds a run with another {', '.join(changed)}; choose another --out or delete it"
            )
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
    devices = {"kind": jax.devices()[0].device_kind, "count": jax.device_count(), "processes": jax.process_count()}
    names = (configuration.agent, configuration.environment, configuration.settings, configuration.hyperparameters)
    imports = dict.fromkeys((*configuration.imports, *plugins.needed(*names, configuration.outer_settings)))
    configuration = replace(configuration, imports=tuple(imports))
    record = {"configuration": asdict(configuration), "versions": versions, "devices": devices}
    write_atomically(path, json.dumps(record, indent=2, default=_jsonable))


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


def _roundtrip(configuration: Configuration) -> Configuration:
    return _from_dict(json.loads(json.dumps(asdict(configuration), default=_jsonable)))


def _from_dict(values: dict[str, Any]) -> Configuration:
    tuples = {name: tuple(values.get(name, ())) for name in ("seeds", "imports")}
    return Configuration(**{**values, **tuples})


def read_configuration(directory: str | Path) -> Configuration:
    """The configuration of a run directory.

    Raises:
        CheckpointError: if the directory is not one, or its configuration is damaged.
    """
    path = Path(directory) / "configuration.json"
    if not path.exists():
        raise CheckpointError(f"{directory} is not a run directory: it has no configuration.json")
    try:
        values = json.loads(path.read_text())["configuration"]
        plugins.load(values.get("imports", ()), remember=False)
        return _from_dict(values)
    except ImportError as error:
        raise CheckpointError(
            f"{directory} needs a module of your own: {error}; run where Python finds it, or set PYTHONPATH"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def write_atomically(path: Path, text: str) -> None:
    """Replaces a file in one step, on the first host only."""
    if jax.process_index() != 0:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)
