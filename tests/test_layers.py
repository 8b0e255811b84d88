"""Imports run downwards: a module imports from its own room or rooms below, and modules form no circle."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jaxrl"

# From the ground up; rooms of one row know nothing of each other.
LAYERS = (
    ("deferred", "errors", "machine", "moved", "types"),
    ("plugins", "ranges", "validity"),
    ("configs", "registry"),
    ("environments",),
    ("numerics",),
    ("hyperparameters",),
    ("networks", "replay"),
    ("aggregation", "combination", "objectives", "optimisers"),
    ("agents",),
    ("clusters", "rendering", "tracking", "training"),
    ("exporting", "sweeps"),
    ("figures",),
    ("pages",),
    ("runs",),
    ("morl",),
    ("bilevel", "meta", "multitask"),
    ("cli",),
    ("__main__",),
)
HEIGHT = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in PACKAGE.rglob("*.py")}


def _room(module: str) -> str:
    return module.split(".")[1]


def _statements(nodes: list[ast.stmt], inside: bool) -> Iterator[ast.stmt]:
    """Statements that run: not those for type checkers, and those of functions only where `inside`."""
    for node in nodes:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        if isinstance(node, ast.FunctionDef) and not inside:
            continue
        for field in ("body", "orelse", "finalbody", "handlers"):
            children = getattr(node, field, None) or []
            yield from _statements([child for child in children if isinstance(child, ast.stmt)], inside)
            for handler in (child for child in children if isinstance(child, ast.ExceptHandler)):
                yield from _statements(handler.body, inside)


@cache
def _imports(module: str, inside: bool) -> frozenset[str]:
    found = set()
    for node in _statements(ast.parse(MODULES[module].read_text()).body, inside):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return frozenset(name for name in found if name in MODULES)


def test_every_room_has_a_layer():
    rooms = {_room(module) for module in MODULES if module != "jaxrl"}
    assert rooms == set(HEIGHT)


def test_no_import_runs_up_the_layers():
    upward = [
        f"{module} imports {imported}"
        for module in sorted(MODULES)
        if module != "jaxrl"
        for imported in sorted(_imports(module, inside=True))
        if imported != "jaxrl" and HEIGHT[_room(imported)] > HEIGHT[_room(module)]
    ]
    assert not upward, "\n".join(upward)


def test_rooms_of_one_layer_know_nothing_of_each_other():
    sideways = [
        f"{module} imports {imported}"
        for module in sorted(MODULES)
        if module != "jaxrl"
        for imported in sorted(_imports(module, inside=True))
        if imported != "jaxrl" and _room(imported) != _room(module) and HEIGHT[_room(imported)] == HEIGHT[_room(module)]
    ]
    assert not sideways, "\n".join(sideways)


def test_no_modules_import_each_other_in_a_circle():
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            pytest.fail(" -> ".join((*path[path.index(module) :], module)))
        if module in done:
            return
        for imported in sorted(_imports(module, inside=True)):
            # A package runs before its modules, which is Python's own order and no circle.
            if not module.startswith(imported + "."):
                visit(imported, (*path, module))
        done.add(module)

    for module in sorted(MODULES):
        if module != "jaxrl":
            visit(module, ())
