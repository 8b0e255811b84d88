"""Runs the tests whose modules import, directly or through others, what has changed: `make test-changed`.

Changed is what differs from where this branch left main, committed or not. What a test names in a string, such as
"ppo" or "gymnax/CartPole-v1", counts as imported, since registries import it when they are asked; so does everything
in a registry that a test imports.
"""

import argparse
import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What every test depends on.
EVERYWHERE = ("pyproject.toml", "tests/conftest.py")


def changed_files(base: str | None) -> set[str]:
    """Paths that differ from `base`, or from where this branch left main; new files included."""
    if base is None:
        known = [name for name in ("origin/main", "main") if git("rev-parse", "--verify", "--quiet", name)]
        base = git("merge-base", "HEAD", known[0])[0] if known else "HEAD"
    return {*git("diff", "--name-only", base), *git("ls-files", "--others", "--exclude-standard")}


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.splitlines()


@cache
def modules() -> dict[str, str]:
    """Paths by module."""
    paths = [*(ROOT / "jaxrl").rglob("*.py"), *(ROOT / "tests").glob("*.py")]
    found = {}
    for path in sorted(paths):
        relative = path.relative_to(ROOT)
        name = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
        found[name] = str(relative)
    return found


@cache
def nodes(path: str) -> tuple[ast.AST, ...]:
    """All of a module but what is for type checkers alone."""
    found, left = [], [ast.parse((ROOT / path).read_text(encoding="utf-8"))]
    while left:
        node = left.pop()
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            found.append(node)
            left.extend(ast.iter_child_nodes(node))
    return tuple(found)


@cache
def public_names() -> dict[str, str]:
    """Where the names of `jaxrl` live, which it imports when they are asked for."""
    found = {}
    for node in nodes("jaxrl/__init__.py"):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("_HOMES", "_MODULES"):
            for key, value in ast.literal_eval(node.value).items():
                found |= {key: value} if isinstance(value, str) else dict.fromkeys(value, key)
    return found


@cache
def entries(module: str) -> dict[str, str]:
    """Modules by the names under which a module's registries hold paths to them."""
    found = {}
    for node in nodes(modules()[module]):
        for key, value in zip(node.keys, node.values) if isinstance(node, ast.Dict) else ():
            text = getattr(value, "value", None)
            path = text.split(":")[0] if isinstance(text, str) else ""
            if path in modules() and isinstance(getattr(key, "value", None), str):
                found[key.value] = path
    return found


@cache
def registered() -> dict[str, set[str]]:
    """Modules by name, of all registries."""
    found: dict[str, set[str]] = {}
    for module in modules():
        if module.startswith("jaxrl"):
            for name, path in entries(module).items():
                found.setdefault(name, set()).add(path)
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of ours that a module imports, those within functions included."""
    return frozenset(name for name in _imports(module) if name in modules())


def _imports(module: str) -> Iterator[str]:
    for node in nodes(modules()[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
                if alias.name.isupper() and node.module in modules() and not module.startswith("jaxrl"):
                    yield from entries(node.module).values()
                if node.module == "jaxrl":
                    yield public_names().get(alias.name, "jaxrl")
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "jaxrl":
            yield public_names().get(node.attr, "jaxrl")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not module.startswith("jaxrl"):
            words = (node.value, node.value.partition("/")[0])
            yield from (found for word in words for found in registered().get(word, ()))


def needed(module: str) -> set[str]:
    """Paths of all that a module imports, directly or through others, and its own."""
    found, left = set(), [module]
    while left:
        if (name := left.pop()) not in found:
            found.add(name)
            left.extend(imports(name))
    return {modules()[name] for name in found}


def picked(changed: set[str]) -> list[str]:
    """The test files and notebooks that what has changed can break."""
    tests = {name: path for name, path in modules().items() if name.startswith("tests.test_")}
    notebooks = [path for path in changed if path.startswith("notebooks/") and path.endswith(".ipynb")]
    notebooks = [path for path in notebooks if (ROOT / path).exists()]
    if changed.intersection(EVERYWHERE):
        return sorted([*tests.values(), *notebooks])
    # What is no module is tested where its name is written.
    names = {Path(path).name for path in changed - set(modules().values())}
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in tests.values()}
    mentioned = [path for path, text in texts.items() if any(name in text for name in names)]
    return sorted({*mentioned, *notebooks, *(path for name, path in tests.items() if needed(name) & changed)})


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the tests that what has changed can break.")
    parser.add_argument("--base", help="commit to compare with; default where this branch left main")
    parser.add_argument("--list", action="store_true", help="print the files and run nothing")
    arguments, rest = parser.parse_known_args()
    changed = changed_files(arguments.base)
    files = picked(changed)
    print(f"{len(changed)} changed files, {len(files)} files of tests:", *files, sep="\n  ", flush=True)
    if arguments.list or not files:
        return 0
    return subprocess.call([sys.executable, "-m", "pytest", *rest, *files], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
