"""Names in registries and docstrings, read from the source of modules, which are not imported.

A name stands for the value of its assignment, evaluated with what it refers to, in whichever module that is. Functions
and classes are not run: a stub takes their place, which remembers the docstring.
"""

import ast
import builtins
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["describe", "read"]


class _Stub:
    """A function, a class, a module or what a call returns; `text` describes it."""

    def __init__(
        self, text: str | None = None, module: str | None = None, name: Any = None, fields: Sequence[str] = ()
    ) -> None:
        self.text, self.name, self.__name__, self._module, self._fields = text, name, name, module, fields

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """A registry's entry, which its description or its builder describes."""
        named |= dict(zip(self._fields, arguments))
        first = arguments[0] if arguments else None
        return _Stub(describe(named.get("description", named.get("build", first))), name=first)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _known(self._module, name) if self._module else _Stub()


class _Entry(NamedTuple):
    """What stands beside a name in a dict, evaluated where it is described."""

    module: str
    expression: ast.expr


def describe(entry: Any) -> str | None:
    """What a registry's entry is: its own words, or those of what it stands for."""
    if isinstance(entry, _Entry):
        return describe(_value(*entry))
    if isinstance(entry, str):
        return describe(read(*entry.split(":"))) if entry.startswith("jaxrl.") and ":" in entry else entry
    return getattr(entry, "text", None)


def read(module: str, name: str) -> Any:
    """The value of a name in a module; of a function without arguments called `names`, what it returns.

    Raises:
        ValueError: where there is no such name. What cannot be evaluated raises as it would anywhere.
    """
    for node in _statements(module):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            if name == "names":
                return _value(module, node.body[-1].value)
            fields = [item.target.id for item in node.body if isinstance(item, ast.AnnAssign)]
            return _Stub(ast.get_docstring(node), name=name, fields=fields)
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == name and node.value is not None:
            return _value(module, node.value)
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _imported(getattr(node, "module", None), alias.name)
    raise ValueError(f"{module} has no {name} that can be read from its source")


def _imported(package: str | None, name: str) -> Any:
    """What an import binds; of other libraries than gymnax, whose names we list, no more than a stub."""
    path = f"{package}.{name}" if package else name
    if path.split(".")[0] not in ("jaxrl", "gymnax"):
        return _Stub()
    if _file(path) is None:
        return read(package, name)
    return _Stub(ast.get_docstring(_tree(path)), module=path)


def _value(module: str, expression: ast.expr) -> Any:
    """What an expression comes to; what it refers to and cannot be read is a stub."""
    if isinstance(expression, ast.Call) and getattr(expression.func, "id", None) == "Registry":
        return _value(module, expression.args[1])
    if isinstance(expression, ast.Dict):
        entries = {}
        for key, value in zip(expression.keys, expression.values):
            entries |= {ast.literal_eval(key): _Entry(module, value)} if key else _value(module, value)
        return entries
    names = [node for node in ast.walk(expression) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in ast.walk(expression) if isinstance(node, ast.arg)}
    known = {name: _known(module, name) for name in {node.id for node in names} - bound - set(dir(builtins))}
    return eval(compile(ast.Expression(expression), module, "eval"), known)


def _known(module: str, name: str) -> Any:
    try:
        return read(module, name)
    except Exception:
        return _Stub()


@lru_cache
def _statements(module: str) -> list[ast.stmt]:
    """The statements of a module, the last first, those inside `with` and `try` included."""

    def flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
        for node in body:
            yield from flat(node.body) if isinstance(node, ast.With | ast.Try) else [node]

    return [*flat(_tree(module).body)][::-1]


@lru_cache
def _tree(module: str) -> ast.Module:
    path = _file(module)
    if path is None:
        raise ValueError(f"no source of {module}")
    return ast.parse(path.read_text(encoding="utf-8"))


@lru_cache
def _file(module: str) -> Path | None:
    """The file of a module, found without importing the packages that it is in."""
    top, *rest = module.split(".")
    spec = find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0], *rest)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
