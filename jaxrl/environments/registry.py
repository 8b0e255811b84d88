"""Names of environments: `make("suite/name", **options)`."""

import inspect
import re
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

from jaxrl import plugins
from jaxrl.environments.base import Environment
from jaxrl.environments.check import check_structure
from jaxrl.errors import UnknownNameError, nearest, require_name
from jaxrl.ranges import Range

__all__ = ["call_builder", "list_environments", "make", "register", "suite_description"]

# Each suite's module offers `names() -> tuple[str, ...]` and `make(name, **options) -> Environment`; one whose names
# others can add to also `reads(name) -> bool`, of names that are not listed.
_SUITES: dict[str, str] = {
    "alignment": "jaxrl.bilevel.goal_grid",
    "bandit": "jaxrl.environments.bandit",
    "brax": "jaxrl.environments.brax",
    "craftax": "jaxrl.environments.craftax",
    "grid": "jaxrl.environments.grid",
    "gymnasium": "jaxrl.environments.gymnasium",
    "gymnax": "jaxrl.environments.gymnax",
    "jumanji": "jaxrl.environments.jumanji",
    "metaworld": "jaxrl.environments.metaworld",
    "mo": "jaxrl.environments.multi_objective",
    "multitask": "jaxrl.multitask.families",
    "navix": "jaxrl.environments.navix",
    "pgx": "jaxrl.environments.pgx",
    "playground": "jaxrl.environments.playground",
    "xminigrid": "jaxrl.environments.xminigrid",
}
_REGISTERED: dict[str, Callable[..., Environment]] = {}


def register(name: str, builder: Callable[..., Environment]) -> None:
    """Makes `builder(**options)` available as `jaxrl.make(name, **options)`.

    A builder takes the place of a former one of that name in its module, as when a cell of a notebook is run again.

    Raises:
        ValueError: if the name is taken or has no suite (`my-suite/my-task`), or for anything else than a builder.
    """
    suite, _, task = name.partition("/") if isinstance(name, str) else ("", "", "")
    if not suite or not task:
        raise ValueError(f"an environment's name is 'suite/task', got {name!r}")
    if not callable(builder):
        what = type(builder).__name__
        raise ValueError(f"{name!r} is registered with a builder, a function that returns an Environment, got {what}")
    taken = name in _REGISTERED and _place(_REGISTERED[name]) != _place(builder)
    if taken or suite in _SUITES:
        raise ValueError(f"{name!r} is already registered or uses the built-in suite {suite!r}")
    _REGISTERED[name] = builder
    plugins.note(name, plugins.module_of(builder))


def _place(builder: Any) -> tuple[str, Any]:
    """Where a builder is written; nowhere twice, if that is not known."""
    return plugins.module_of(builder), getattr(builder, "__qualname__", id(builder))


def list_environments(suite: str | None = None) -> list[str]:
    """All names that `make` knows, sorted; suites whose extra is missing are listed all the same."""
    names: list[str] = [f"{prefix}/{name}" for prefix, module in _SUITES.items() for name in _names(module)]
    names += _REGISTERED
    return sorted(name for name in names if suite is None or name.startswith(suite + "/"))


def suite_description(suite: str) -> str:
    """The docstring of a suite's module; empty for suites that were registered."""
    return (import_module(_SUITES[suite]).__doc__ or "") if suite in _SUITES else ""


def make(name: str, **options) -> Environment:
    """Builds an environment by name, e.g. `make("gymnax/CartPole-v1")`.

    Args:
        name: `suite/task`; see `list_environments`.
        options: static options of that environment's builder.

    Raises:
        UnknownNameError: for an unknown name or option, with the nearest known ones.
        ValueError: for a value that an option cannot have.
        ImportError: if the suite's extra is not installed, naming the extra.
    """
    if name in _REGISTERED:
        return _built(_REGISTERED[name], name, options)
    suite, _, task = name.partition("/")
    if suite not in _SUITES or not _has(_SUITES[suite], task):
        plugins.load_installed()
        if name in _REGISTERED:
            return _built(_REGISTERED[name], name, options)
        require_name("environment", name, _shortlist(name, suite, list_environments()))
    return _built(partial(import_module(_SUITES[suite]).make, task), name, options)


def _built(builder: Callable[..., Environment], name: str, options: dict[str, Any]) -> Environment:
    """The environment, with a record of how it was made, so that a run directory can make it again."""
    environment = call_builder(builder, name, options, check_structure)
    return environment._replace(spec=replace(environment.spec, name=name, options=tuple(sorted(options.items()))))


def call_builder(
    builder: Callable[..., Any],
    name: str,
    options: dict[str, Any],
    check: Callable[[Any], None] = lambda _: None,
) -> Any:
    """`builder(**options)`, where what goes wrong with an option is one sentence that names it.

    What a builder takes without complaint may be of no use later: with options, `check` is asked, too.

    Raises:
        UnknownNameError: for an option that it does not have, with the nearest that it has.
        ValueError: for a value that an option cannot have.
    """
    for option, value in options.items():
        if isinstance(value, int) and not isinstance(value, bool):
            Range(integer=True).check(f"{option} of {name}", value)
    try:
        built = builder(**options)
        if options:
            check(built)
        return built
    except (ValueError, ImportError):
        raise
    except Exception as error:
        if isinstance(error, TypeError):
            _refuse_unknown_option(error, builder, name, options)
        if not options:
            raise
        written = ", ".join(f"{option}={value!r}" for option, value in options.items())
        raise ValueError(f"{name} cannot be built with {written}: {str(error).partition(chr(10))[0]}") from error


def _refuse_unknown_option(
    error: TypeError, builder: Callable[..., Environment], name: str, options: dict[str, Any]
) -> None:
    """Raises an UnknownNameError where a builder was given an option that it does not have."""
    match = re.search(r"(?:([\w<>]+)\(\) )?got an unexpected keyword argument '(\w+)'", str(error))
    if not match or match[2] not in options:
        return
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    called = {**frame.f_globals, **frame.f_locals}.get(match[1], builder)
    known = [
        option.name for option in inspect.signature(called).parameters.values() if option.kind != option.VAR_KEYWORD
    ]
    if not known:
        raise UnknownNameError(f"unknown option of {name} {match[2]!r}")
    require_name(f"option of {name}", match[2], known)


def _names(module: str) -> Iterable[str]:
    return import_module(module).names()


def _has(module: str, name: str) -> bool:
    """Whether a suite has a task: it lists it, or reads what others may have added."""
    return name in _names(module) or getattr(import_module(module), "reads", lambda _: False)(name)


def _shortlist(name: str, suite: str, known: list[str]) -> list[str]:
    """The same suite's names, or the nearest of all, so that an error stays readable."""
    same = [entry for entry in known if entry.startswith(suite + "/")]
    return same or nearest(name, known, count=5) or known
