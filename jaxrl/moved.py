"""Module paths of jaxrl 0.1.0 that have moved; each goes on working for one release, with a warning."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from types import ModuleType
from typing import Any

__all__ = ["MODULES", "NAMES", "attribute", "install"]

MODULES = {
    "jaxrl.checkpoint": "jaxrl.sweeps.checkpoint",
    "jaxrl.comparison": "jaxrl.runs.comparison",
    "jaxrl.configuration": "jaxrl.runs.configuration",
    "jaxrl.designs": "jaxrl.sweeps.designs",
    "jaxrl.devices": "jaxrl.sweeps.devices",
    "jaxrl.distributions": "jaxrl.numerics.distributions",
    "jaxrl.evaluation": "jaxrl.training.evaluation",
    "jaxrl.experiment": "jaxrl.runs.experiment",
    "jaxrl.linear_solve": "jaxrl.numerics.linear_solve",
    "jaxrl.loop": "jaxrl.training.loop",
    "jaxrl.memory": "jaxrl.sweeps.memory",
    "jaxrl.morl.archive": "jaxrl.numerics.archive",
    "jaxrl.morl.attainment": "jaxrl.numerics.attainment",
    "jaxrl.morl.boxes": "jaxrl.numerics.boxes",
    "jaxrl.morl.dominance": "jaxrl.numerics.dominance",
    "jaxrl.morl.hypervolume": "jaxrl.numerics.hypervolume",
    "jaxrl.morl.weights": "jaxrl.numerics.weights",
    "jaxrl.multitask.family": "jaxrl.environments.family",
    "jaxrl.multitask.goals": "jaxrl.environments.goals",
    "jaxrl.normalisation": "jaxrl.numerics.normalisation",
    "jaxrl.plotting": "jaxrl.figures.plotting",
    "jaxrl.policy": "jaxrl.training.policy",
    "jaxrl.program": "jaxrl.sweeps.program",
    "jaxrl.returns": "jaxrl.numerics.returns",
    "jaxrl.rollouts": "jaxrl.training.rollouts",
    "jaxrl.running": "jaxrl.sweeps.running",
    "jaxrl.saved": "jaxrl.runs.saved",
    "jaxrl.statistics": "jaxrl.numerics.statistics",
    "jaxrl.sweep_result": "jaxrl.sweeps.result",
    "jaxrl.tables": "jaxrl.runs.tables",
    "jaxrl.tuning": "jaxrl.sweeps.tuning",
}

# Names of modules that have moved on their own.
NAMES = {
    "jaxrl.runs.report": {"front_table": "jaxrl.morl.kind", "write_front": "jaxrl.morl.kind"},
    "jaxrl.runs.saved": {"save_policy": "jaxrl.morl.kind"},
}


def attribute(module: str, name: str) -> Any:
    """What a module's own `__getattr__` returns: a name that stands elsewhere now."""
    if name not in NAMES[module]:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    warnings.warn(f"{module}.{name} is now {NAMES[module][name]}.{name}", DeprecationWarning, stacklevel=3)
    return getattr(importlib.import_module(NAMES[module][name]), name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Resolves a former path to the module that stands elsewhere now."""

    def __init__(self) -> None:
        self._specs: dict[str, importlib.machinery.ModuleSpec | None] = {}

    def find_spec(
        self, name: str, path: Any = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of a module that has moved, else None."""
        return importlib.util.spec_from_loader(name, self) if name in MODULES else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The module itself, not a copy, so that both paths hold the same classes."""
        now = MODULES[spec.name]
        warnings.warn(f"{spec.name} is now {now}", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(now)
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has run already; the import system has overwritten the spec under which it did."""
        module.__spec__ = self._specs[module.__spec__.name]


def install() -> None:
    """Makes former paths importable."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
