"""Names of traced leaves: `learning_rate`, `environment.gravity`, `objective.clip_epsilon`, ..."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.configs import annotated_ranges
from jaxrl.errors import require_name
from jaxrl.numerics.weights import validate as validate_weights
from jaxrl.ranges import NUMBER, UNBOUNDED, Range
from jaxrl.types import Array, PyTree

__all__ = [
    "check_values",
    "checked",
    "hashable",
    "leaves",
    "prefixed",
    "ranges_of",
    "replace",
    "require_present",
    "resolve",
    "split_settings",
]

# Of leaves that nothing is said of: any finite number; an environment's own may be infinite.
_OTHER, _ENVIRONMENT = NUMBER, UNBOUNDED


def ranges_of(hyperparameters: PyTree, declared: Mapping[str, Range] | None = None) -> dict[str, Range]:
    """What every leaf may be, by path.

    Args:
        hyperparameters: NamedTuples whose classes annotate their fields, `Annotated[float, Range(0)]`; a field that is
            a tree passes its range on.
        declared: further ranges by path, such as an agent's.
    """
    declared = {**_annotated(hyperparameters), **(declared or {})}

    def of(path: str) -> Range:
        parts = path.split(".")
        parents = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
        known = next((declared[parent] for parent in parents if parent in declared), None)
        return known or (_ENVIRONMENT if "environment" in parts[:-1] or path == "environment" else _OTHER)

    return {path: of(path) for path in leaves(hyperparameters)}


def _annotated(tree: Any, prefix: str = "") -> dict[str, Range]:
    """Ranges that the classes of nested NamedTuples say, by path."""
    if not hasattr(tree, "_fields"):
        return {}
    found = {prefix + name: within for name, within in annotated_ranges(type(tree)).items()}
    for name, value in tree._asdict().items():
        found |= _annotated(value, f"{prefix}{name}.")
    return found


def prefixed(prefix: str, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Ranges of hyperparameters that are a field of others."""
    return {f"{prefix}.{path}": within for path, within in ranges.items()}


def leaves(hyperparameters: PyTree) -> dict[str, Any]:
    """Every traced leaf by its dotted path."""
    flat, _ = jax.tree_util.tree_flatten_with_path(hyperparameters)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in flat}


def resolve(hyperparameters: PyTree, name: str, also: Iterable[str] = ()) -> str:
    """The full path of `name`, which may leave out a unique prefix (`gravity`, `clip_epsilon`).

    Args:
        hyperparameters: whose leaves are named.
        name: path or suffix.
        also: other names that an error should offer.

    Raises:
        UnknownNameError: if no leaf is called so, with the nearest match.
        ValueError: if several leaves end in that name.
    """
    paths = list(leaves(hyperparameters))
    if name in paths:
        return name
    require_present(type(hyperparameters), paths, name)
    matches = [path for path in paths if path.endswith("." + name)]
    if len(matches) > 1:
        raise ValueError(f"hyperparameter {name!r} is ambiguous: {', '.join(matches)}")
    if matches:
        return matches[0]
    shorts = [path.rsplit(".", 1)[-1] for path in paths]
    return require_name("hyperparameter", name, {*paths, *shorts, *also})


def require_present(hyperparameters: type, paths: Iterable[str], name: str) -> None:
    """Refuses the name of a leaf that exists under other settings alone.

    Args:
        hyperparameters: a class; `brought_by` says by name which settings bring a leaf.
        paths: of the leaves that there are.
        name: path or suffix.

    Raises:
        ValueError: with what the leaf needs.
    """
    short = name.rpartition(".")[2]
    needed = getattr(hyperparameters, "brought_by", {}).get(short)
    if needed and not any(f".{path}".endswith(f".{short}") for path in paths):
        raise ValueError(f"{short} would have no effect here: it needs {needed}")


def replace(
    hyperparameters: PyTree, values: Mapping[str, Any], batch_axes: int = 0, ranges: Mapping[str, Range] | None = None
) -> PyTree:
    """A copy with the named leaves replaced.

    Args:
        hyperparameters: the pytree of defaults.
        values: by name or path; each must have the leaf's shape after `batch_axes` leading axes
            (a scalar leaf `discount` also takes one entry per objective).
        batch_axes: number of leading sweep axes of every value.
        ranges: what leaves may be, by path, where the hyperparameters' classes do not say it.

    Raises:
        ValueError: for a value of the wrong shape or out of range.
    """
    named = {resolve(hyperparameters, name): value for name, value in values.items()}
    weights = jnp.shape(getattr(hyperparameters, "weights", ()))
    check_values(named, sum(weights[-1:]), ranges_of(hyperparameters, ranges))

    def pick(path: Any, leaf: Array) -> Array:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if name not in named:
            return leaf
        value = jnp.asarray(_fitting(name, named[name], jnp.result_type(leaf)))
        if value.dtype != jnp.result_type(leaf):
            value = value.astype(jnp.result_type(leaf))
        allowed = {jnp.shape(leaf)}
        if name == "discount":
            allowed |= {(), weights[-1:]}
        if value.shape[batch_axes:] not in allowed:
            shapes = " or ".join(map(str, sorted(allowed)))
            raise ValueError(f"hyperparameter {name!r} has shape {shapes}, got a value of shape {value.shape}")
        return value

    return jax.tree_util.tree_map_with_path(pick, hyperparameters)


def check_values(values: Mapping[str, Any], num_objectives: int, ranges: Mapping[str, Range]) -> None:
    """Raises ValueError for a concrete value outside the range of its leaf."""
    for name, value in values.items():
        ranges.get(name, _OTHER).check_each(f"hyperparameter {name!r}", _numbers(value))
        if name.rpartition(".")[2] == "weights":
            validate_weights(np.asarray(value), num_objectives, normalised=False)


def _fitting(name: str, value: Any, dtype: Any) -> Any:
    """A value that an array of that type can hold: whole and small enough for integers, no huge integer for others."""
    if isinstance(value, jax.core.Tracer) or not jnp.issubdtype(dtype, jnp.number):
        return value
    if jnp.issubdtype(dtype, jnp.integer):
        info = jnp.iinfo(dtype)
        Range(int(info.min), int(info.max), integer=True).check_each(f"hyperparameter {name!r}", _numbers(value))
        return value
    array = np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind in "iuO" else value


def _sequence(name: str, value: Any) -> Any:
    UNBOUNDED.check_each(f"hyperparameter {name!r}", value)
    return np.asarray(value)


def _numbers(value: Any) -> Any:
    """Truth values as the numbers that traced leaves make of them."""
    truth = isinstance(value, bool) or getattr(value, "dtype", np.dtype(float)).kind == "b"
    return np.asarray(value, np.float32) if truth else value


def checked(hyperparameters: PyTree, given: Iterable[str] = ()) -> PyTree:
    """Hyperparameters as float32 arrays.

    Args:
        hyperparameters: NamedTuples of numbers.
        given: names of fields that must be numbers, and no None.

    Raises:
        ValueError: for a leaf that is out of its range, or not a number.
    """
    for name in given:
        value = getattr(hyperparameters, name, 0)
        if value is None:
            _OTHER.check(f"hyperparameter {name!r}", None)
        if type(value) in (list, tuple):
            # Written as a sequence, meant as one leaf.
            hyperparameters = hyperparameters._replace(**{name: _sequence(name, value)})
    ranges = ranges_of(hyperparameters)
    for path, leaf in leaves(hyperparameters).items():
        ranges[path].check_each(f"hyperparameter {path!r}", _numbers(leaf))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), hyperparameters)


def split_settings(settings: dict[str, Any], config: type, defaults: Any) -> tuple[Any, Any]:
    """Static and traced settings of a program, from settings by name; tuples within the traced ones included.

    Args:
        settings: what departs from the defaults.
        config: class of the static ones.
        defaults: the traced ones.

    Raises:
        UnknownNameError: for an unknown one, with the nearest match.
    """
    static, traced = {field.name for field in fields(config)}, defaults
    for name in settings:
        require_name("setting", name, static | _names(traced))
    given = {name: value for name, value in settings.items() if name not in static}
    traced = checked(_with_fields(traced, given), given)
    return config(**{name: hashable(value) for name, value in settings.items() if name in static}), traced


def hashable(value: Any) -> Any:
    """A static setting as it was given before it went through JSON: lists as tuples."""
    return tuple(value) if isinstance(value, list) else value


def _names(traced: Any) -> set[str]:
    inner = [_names(value) for value in traced if hasattr(value, "_fields")]
    return set(traced._fields).union(*inner)


def _with_fields(traced: Any, values: dict[str, Any]) -> Any:
    changed = {name: value for name, value in values.items() if name in traced._fields}
    inner = {name: _with_fields(value, values) for name, value in traced._asdict().items() if hasattr(value, "_fields")}
    return traced._replace(**{**inner, **changed})
