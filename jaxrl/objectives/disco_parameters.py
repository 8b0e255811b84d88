"""Parameters of DiscoRL's rule: sizes, a random draw, and a user's own copy of the published ones."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.errors import nearest
from jaxrl.types import Array, PRNGKeyArray

__all__ = ["PUBLISHED", "DiscoParameters", "DiscoSizes", "init_disco", "load_disco"]

DiscoParameters = dict[str, dict[str, dict[str, Array]]]
"""Part (trajectory, lifetime, heads), layer, then kernel and bias."""

EMBEDDING_HIDDEN = 16
POLICY_CHANNELS = (16, 2)
# What the transforms of disco_network make of a step, features of actions included, and of an action.
STEP_INPUTS = 27
ACTION_INPUTS = 9


@dataclass(frozen=True)
class DiscoSizes:
    """Static sizes of the rule.

    Attributes:
        num_predictions: categories of the predictions y and z.
        trajectory_size: width of the LSTM along trajectories.
        lifetime_size: width of the LSTM along updates.
    """

    num_predictions: int = 600
    trajectory_size: int = 256
    lifetime_size: int = 128

    def __post_init__(self) -> None:
        for name in ("num_predictions", "trajectory_size", "lifetime_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


PUBLISHED = DiscoSizes()


class Layer(NamedTuple):
    """One layer.

    Attributes:
        part: first key of its parameters.
        name: second key.
        source: its name in the published file.
        inputs: rows of the kernel.
        outputs: columns of the kernel.
        deviation: of a random kernel; None for 1/√inputs.
        convolution: whether the published kernel has a leading axis of width 1.
    """

    part: str
    name: str
    source: str
    inputs: int
    outputs: int
    deviation: float | None = None
    convolution: bool = False


def _layers(sizes: DiscoSizes) -> Iterator[Layer]:
    categories, trajectory, lifetime = sizes.num_predictions, sizes.trajectory_size, sizes.lifetime_size
    first, second = POLICY_CHANNELS
    for part, prefix in (("trajectory", "lstm/"), ("lifetime", "lstm/~/meta_lstm/~unroll/")):
        for name, source in (("prediction", "mlp"), ("action_prediction", "mlp_1")):
            yield Layer(part, f"{name}_hidden", f"{prefix}{source}/~/linear_0", categories, EMBEDDING_HIDDEN)
            yield Layer(part, f"{name}_output", f"{prefix}{source}/~/linear_1", EMBEDDING_HIDDEN, 1)
        convolutions = f"{prefix}sequential/conv1_d", f"{prefix}sequential/conv1_d_1"
        yield Layer(part, "policy_hidden", convolutions[0], 2 * ACTION_INPUTS, first, None, True)
        yield Layer(part, "policy_output", convolutions[1], 2 * first, second, None, True)
    yield Layer("trajectory", "recurrence", "lstm/lstm/linear", STEP_INPUTS + trajectory, 4 * trajectory)
    update = "lstm/~/meta_lstm/~unroll/"
    yield Layer("lifetime", "summary", f"{update}mlp_2/~/linear_0", STEP_INPUTS + 2, EMBEDDING_HIDDEN)
    yield Layer("lifetime", "recurrence", f"{update}lstm/linear", EMBEDDING_HIDDEN + lifetime, 4 * lifetime)
    yield Layer("heads", "scale", "lstm/linear", lifetime, trajectory, 1.0)
    yield Layer("heads", "summary", "lstm/linear_1", trajectory, 1, 0.3)
    yield Layer("heads", "prediction", "lstm/linear_2", trajectory, categories, 0.3)
    yield Layer("heads", "action_prediction", "lstm/linear_3", trajectory, categories, 0.3)
    mixed = 2 * (trajectory + second)
    yield Layer("heads", "policy_hidden", "lstm/sequential_1/conv1_d", mixed, EMBEDDING_HIDDEN, None, True)
    yield Layer("heads", "policy", "lstm/linear_4", EMBEDDING_HIDDEN, 1, 0.3)


def init_disco(key: PRNGKeyArray, sizes: DiscoSizes = PUBLISHED) -> DiscoParameters:
    """Random parameters as meta-training starts from: normal kernels cut at two deviations, biases of zero.

    The deviation is 1/√inputs, but 0.3 for the heads and 1 for the scale that the lifetime's memory gives.
    """
    layers = list(_layers(sizes))
    counts = [layer.inputs * layer.outputs for layer in layers]
    draws = jnp.split(jax.random.truncated_normal(key, -2.0, 2.0, (sum(counts),)), np.cumsum(counts)[:-1])
    parameters: DiscoParameters = {}
    for layer, draw in zip(layers, draws):
        deviation = layer.inputs**-0.5 if layer.deviation is None else layer.deviation
        kernel = deviation * draw.reshape(layer.inputs, layer.outputs)
        parameters.setdefault(layer.part, {})[layer.name] = {"kernel": kernel, "bias": jnp.zeros(layer.outputs)}
    return parameters


def load_disco(path: str | Path, sizes: DiscoSizes = PUBLISHED) -> DiscoParameters:
    """Reads a user's own copy of published parameters, `disco_103.npz` of github.com/google-deepmind/disco_rl.

    Args:
        path: an npz file with a kernel `…/w` and a bias `…/b` for each of the 21 layers; none is shipped.
        sizes: what the arrays' shapes must fit.

    Returns:
        The value of `hyperparameters.objective`, float32.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file of another kind, or arrays that are missing, unknown, not finite or of another shape,
            naming them.
    """
    arrays, layers = _read(path), list(_layers(sizes))
    shapes = {f"{layer.source}/w": _published_shape(layer) for layer in layers}
    shapes |= {f"{layer.source}/b": (layer.outputs,) for layer in layers}
    _check(str(path), arrays, shapes)
    parameters: DiscoParameters = {}
    for layer in layers:
        kernel = jnp.asarray(arrays[f"{layer.source}/w"], jnp.float32).reshape(layer.inputs, layer.outputs)
        bias = jnp.asarray(arrays[f"{layer.source}/b"], jnp.float32)
        parameters.setdefault(layer.part, {})[layer.name] = {"kernel": kernel, "bias": bias}
    return parameters


def _read(path: str | Path) -> dict[str, np.ndarray]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {str(path)!r}: load_disco reads your own copy of disco_103.npz")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{str(path)!r} is not an npz file of arrays: {error}") from error


def _published_shape(layer: Layer) -> tuple[int, ...]:
    shape = (layer.inputs, layer.outputs)
    return (1, *shape) if layer.convolution else shape


def _check(path: str, arrays: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]]) -> None:
    missing, unknown = sorted(shapes.keys() - arrays.keys()), sorted(arrays.keys() - shapes.keys())
    if missing:
        close = nearest(missing[0], unknown, count=1)
        hint = f"; nearest that the file has: {close[0]!r}" if close else ""
        raise ValueError(f"{path!r} lacks {len(missing)} of {len(shapes)} arrays, such as {missing[0]!r}{hint}")
    if unknown:
        raise ValueError(f"{path!r} has {len(unknown)} arrays that the rule has no use for, such as {unknown[0]!r}")
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name!r} in {path!r} has shape {arrays[name].shape}, the rule takes {shape}")
        if arrays[name].dtype.kind != "f" or not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name!r} in {path!r} must hold finite floats, its type is {arrays[name].dtype}")
