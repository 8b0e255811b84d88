"""Parameter files of OPEN in the format of its authors: one flat vector."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxrl.optimisers.open import open_optimiser
from jaxrl.types import Array

__all__ = ["load_open", "save_open"]

# Widths of GRU and dense layers by number of parameters: one environment, or several.
_SIZES = {1211: (8, 16), 3571: (16, 32)}
_GATES = ("reset", "update", "new")

# (entry, gate of it or None), in the order in which the authors' tree is flattened.
_Entry = tuple[str, str | None]
_ORDER: tuple[_Entry, ...] = (
    ("hidden_bias", None), ("hidden", "new"), ("hidden", "reset"), ("hidden", "update"),
    ("input_bias", "new"), ("input", "new"), ("input_bias", "reset"), ("input", "reset"),
    ("input_bias", "update"), ("input", "update"),
    ("dense_0_bias", None), ("dense_0", None), ("norm_0_bias", None), ("norm_0_scale", None),
    ("dense_1_bias", None), ("dense_1", None), ("norm_1_bias", None), ("norm_1_scale", None),
    ("output_bias", None), ("output", None),
)  # fmt: skip


def load_open(path: str | Path) -> dict[str, Array]:
    """Parameters of OPEN from a file of its authors (github.com/AlexGoldie/rl-learned-optimization, `pretrained`).

    They are a value of the leaf `hyperparameters.optimiser` of an agent with `optimiser="open"` (1,211 numbers) or
    `"open_large"` (3,571), meant for `learning_rate=1e-3` (its default there) and `anneal_learning_rate=False`.

    Args:
        path: a `.npy` file with one vector.

    Raises:
        ValueError: for a file of another size or shape, or with entries that are not finite.
    """
    try:
        flat = np.asarray(np.load(path, allow_pickle=False))
    except ValueError as error:
        raise ValueError(f"{path} is not a .npy file of numbers: {error}") from error
    if flat.ndim != 1 or flat.size not in _SIZES:
        allowed = " or ".join(f"({size},)" for size in _SIZES)
        raise ValueError(f"{path} holds an array of shape {flat.shape}; parameters of OPEN have shape {allowed}")
    if not np.issubdtype(flat.dtype, np.floating) or not np.all(np.isfinite(flat)):
        raise ValueError(f"{path} has entries that are not finite numbers")
    shapes = {name: value.shape for name, value in open_optimiser(*_SIZES[flat.size]).init(None).items()}
    position, found = 0, {}
    for name, gate in _ORDER:
        shape = shapes[name] if gate is None else (*shapes[name][:-1], shapes[name][-1] // len(_GATES))
        size = int(np.prod(shape))
        found[name, gate] = flat[position : position + size].reshape(shape)
        position += size
    return {name: jnp.asarray(_whole(found, name), jnp.float32) for name in shapes}


def save_open(path: str | Path, parameters: dict[str, Array]) -> None:
    """Writes parameters of OPEN as a file that `load_open` and the authors' code read.

    Raises:
        ValueError: for widths other than those of `load_open`.
    """
    count = sum(np.size(value) for value in parameters.values())
    if count not in _SIZES:
        raise ValueError(f"files of OPEN have {' or '.join(map(str, _SIZES))} parameters, got {count}")
    parts = []
    for name, gate in _ORDER:
        value = np.asarray(parameters[name])
        if gate is not None:
            value = np.split(value, len(_GATES), axis=-1)[_GATES.index(gate)]
        parts.append(value.reshape(-1))
    np.save(path, np.concatenate(parts).astype(np.float32))


def _whole(found: dict[_Entry, np.ndarray], name: str) -> np.ndarray:
    if (name, None) in found:
        return found[name, None]
    return np.concatenate([found[name, gate] for gate in _GATES], axis=-1)
