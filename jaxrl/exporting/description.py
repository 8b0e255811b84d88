"""What an exported policy is, as JSON: spaces, inputs and outputs, preference, and how far it agrees with jaxrl's."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import jax

from jaxrl.environments.base import EnvironmentSpec
from jaxrl.exporting.interface import Interface

__all__ = ["describe", "plain"]

VERSION = 1
"""Of the description."""


def describe(made: Interface, spec: EnvironmentSpec, more: Mapping[str, Any]) -> dict[str, Any]:
    """A description that JSON can hold.

    Args:
        made: the policy's function.
        spec: of the environment that it was trained in.
        more: further entries.
    """
    from jaxrl import __version__

    random = next((name for name in ("key", "noise") if name in made.inputs), None)
    return {
        "policy": VERSION,
        "jaxrl": __version__,
        "jax": jax.__version__,
        "environment": spec.name,
        "observation": plain(spec.observation),
        "action": plain(spec.action),
        "objectives": list(spec.objective_names),
        "weights": None if made.weights is None else made.weights.tolist(),
        "random": {"input": random, "law": made.law} if made.law else {"input": random} if random else None,
        "inputs": {name: _shape(name, leaf) for name, leaf in made.inputs.items()},
        "outputs": {name: _shape(name, leaf) for name, leaf in made.outputs.items()},
        "memory": {
            name: {"next": f"next_{name}", "initial": plain(leaf.tolist())} for name, leaf in made.memory.items()
        },
        **more,
    }


def _shape(name: str, leaf: jax.ShapeDtypeStruct) -> dict[str, Any]:
    batch = [] if name == "key" else ["batch"]
    return {"shape": [*batch, *leaf.shape], "dtype": str(leaf.dtype)}


def plain(value: Any) -> Any:
    """Spaces by the name of their class, their fields and shape; a bound that is none, and no number, as null."""
    if is_dataclass(value):
        names = dict.fromkeys((*(item.name for item in fields(value)), *(["shape"] if hasattr(value, "shape") else [])))
        return {"type": type(value).__name__, **{name: plain(getattr(value, name)) for name in names}}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
