"""The reference: one page per folder of the package, with every public name in the module that defines it."""

import inspect
import pkgutil
import re
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from types import ModuleType

import jaxrl

# Folders below this depth share the page of the one that holds them.
_DEPTH = 3


def _modules() -> list[ModuleType]:
    names = ["jaxrl", *(found.name for found in pkgutil.walk_packages(jaxrl.__path__, "jaxrl."))]
    public = [name for name in names if not any(part.startswith("_") for part in name.split("."))]
    return [module for module in map(import_module, public) if getattr(module, "__all__", ())]


def _directive(module: ModuleType, name: str) -> list[str]:
    subject = getattr(module, name)
    if inspect.isclass(subject):
        return [f".. autoclass:: {name}", "   :members:", ""]
    if inspect.isroutine(subject):
        return [f".. autofunction:: {name}", ""]
    return [f".. autodata:: {name}", "   :no-value:", ""]


def _first_line(subject: object) -> str:
    """Of a docstring, its code as reStructuredText has it."""
    return re.sub("`([^`]+)`", r"``\1``", (inspect.getdoc(subject) or "").partition("\n")[0])


def _section(module: ModuleType, level: str) -> list[str]:
    lines = [f"``{module.__name__}``", level * (len(module.__name__) + 4), "", f".. automodule:: {module.__name__}", ""]
    lines += [f".. currentmodule:: {module.__name__}", ""]
    elsewhere = []
    for name in module.__all__:
        subject = getattr(module, name)
        named = inspect.isclass(subject) or inspect.isroutine(subject)
        home = subject.__module__ if named else module.__name__
        if inspect.ismodule(subject):
            elsewhere.append(f"- :py:mod:`{name} <{subject.__name__}>`: {_first_line(subject)}")
        elif home != module.__name__ and home.startswith("jaxrl."):
            elsewhere.append(f"- :py:obj:`{name} <{home}.{subject.__name__}>`: {_first_line(subject)}")
        else:
            lines += _directive(module, name)
    return [*lines, *elsewhere, ""]


def _page(module: ModuleType) -> str:
    """The folder whose page a module is on."""
    name = module.__name__ if hasattr(module, "__path__") else module.__name__.rpartition(".")[0]
    return ".".join(name.split(".")[:_DEPTH])


def write(folder: Path) -> None:
    """Writes the pages into `folder`, one per folder; only those that changed, so that a rebuild is quick."""
    sections: dict[str, list[str]] = defaultdict(list)
    for module in _modules():
        sections[_page(module)] += _section(module, "-")
    pages = {f"{name}.rst": "\n".join([name, "=" * len(name), "", *lines]) for name, lines in sections.items()}
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.rst"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        if not (folder / name).exists() or (folder / name).read_text() != text:
            (folder / name).write_text(text)
