"""Names of traced leaves: `learning_rate`, `environment.gravity`, `objective.clip_epsilon`, ..."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.errors import require_name
from jaxrl.numerics.weights import validate as validate_weights
from jaxrl.types import Array, PyTree

__all__ = ["check_values", "hashable", "leaves", "replace", "resolve", "split_settings"]

# Ranges that no sensible value leaves: (low, high, low is allowed).
_RANGES: dict[str, tuple[float, float, bool]] = {
    "learning_rate": (0.0, float("inf"), True),
    "discount": (0.0, 1.0, True),
    "gae_lambda": (0.0, 1.0, True),
    "max_gradient_norm": (0.0, float("inf"), False),
    "max_update": (0.0, float("inf"), False),
    "retrace_lambda": (0.0, 1.0, True),
    "target_decay": (0.0, 1.0, True),
    "optimiser.trust_region": (0.0, float("inf"), False),
    "optimiser.step_size": (0.0, float("inf"), False),
    "optimiser.damping": (0.0, float("inf"), True),
    "objective.clip_epsilon": (0.0, float("inf"), False),
    "objective.step_size": (0.0, float("inf"), False),
    "aggregator.smoothing": (0.0, float("inf"), False),
    "aggregator.scale": (0.0, float("inf"), False),
    "aggregator.sharpness": (0.0, float("inf"), False),
    "aggregator.max_coefficient": (0.0, float("inf"), False),
    "aggregator.temperature": (0.0, float("inf"), False),
    "aggregator.fairness": (0.0, float("inf"), True),
    "aggregator.floor": (0.0, float("inf"), False),
    "aggregator.rank_ratio": (0.0, 1.0, False),
    "epsilon_start": (0.0, 1.0, True),
    "epsilon_end": (0.0, 1.0, True),
    "exploration_fraction": (0.0, 1.0, True),
    "confidence": (0.0, 1.0, False),
    "tolerance": (0.0, float("inf"), True),
    "scale": (0.0, float("inf"), False),
}


def leaves(hyperparameters: PyTree) -> dict[str, Array | np.ndarray]:
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
    matches = [path for path in paths if path.endswith("." + name)]
    if len(matches) > 1:
        raise ValueError(f"hyperparameter {name!r} is ambiguous: {', '.join(matches)}")
    if matches:
        return matches[0]
    shorts = [path.rsplit(".", 1)[-1] for path in paths]
    return require_name("hyperparameter", name, {*paths, *shorts, *also})


def replace(hyperparameters: PyTree, values: Mapping[str, Any], batch_axes: int = 0) -> PyTree:
    """A copy with the named leaves replaced.

    Args:
        hyperparameters: the pytree of defaults.
        values: by name or path; each must have the leaf's shape after `batch_axes` leading axes
            (a scalar leaf `discount` also takes one entry per objective).
        batch_axes: number of leading sweep axes of every value.

    Raises:
        ValueError: for a value of the wrong shape.
    """
    named = {resolve(hyperparameters, name): value for name, value in values.items()}
    weights = jnp.shape(getattr(hyperparameters, "weights", ()))
    check_values(named, sum(weights[-1:]))

    def pick(path: Any, leaf: Array) -> Array:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if name not in named:
            return leaf
        value = jnp.asarray(named[name])
        if value.dtype != jnp.result_type(leaf):
            if jnp.issubdtype(jnp.result_type(leaf), jnp.integer) and np.any(np.asarray(value) % 1):
                raise ValueError(f"hyperparameter {name!r} takes integers, got {named[name]}")
            value = value.astype(jnp.result_type(leaf))
        allowed = {jnp.shape(leaf)}
        if name == "discount":
            allowed |= {(), weights[-1:]}
        if value.shape[batch_axes:] not in allowed:
            shapes = " or ".join(map(str, sorted(allowed)))
            raise ValueError(f"hyperparameter {name!r} has shape {shapes}, got a value of shape {value.shape}")
        return value

    return jax.tree_util.tree_map_with_path(pick, hyperparameters)


def check_values(values: Mapping[str, Any], num_objectives: int) -> None:
    """Raises ValueError for a concrete value outside the range of its leaf or not a number."""
    for path, value in values.items():
        name = path.removeprefix("training.").removeprefix("algorithm.")
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"hyperparameter {name!r} takes numbers, got {value!r}")
        if np.any(np.isnan(array)):
            raise ValueError(f"hyperparameter {name!r} must be a number, got {value}")
        if name == "weights":
            validate_weights(array, num_objectives, normalised=False)
        if name in _RANGES:
            low, high, closed = _RANGES[name]
            inside = (array >= low if closed else array > low) & (array <= high)
            if not np.all(inside):
                bracket = "[" if closed else "("
                bad = array[~inside].flat[0] if array.ndim else array
                raise ValueError(f"hyperparameter {name!r} must lie in {bracket}{low}, {high}], got {bad}")


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
    traced = _with_fields(traced, {name: value for name, value in settings.items() if name not in static})
    traced = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), traced)
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
