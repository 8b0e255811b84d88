"""Policies as ONNX models, for onnxruntime and whatever else reads them, in batches of any size."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from jaxrl.errors import missing_extra
from jaxrl.exporting.interface import Interface, cannot_express
from jaxrl.types import Array

__all__ = ["METADATA", "OPSET", "OnnxModel", "convert"]

OPSET = 18
"""Version of ONNX's operators: that of December 2022, so that runtimes since then do."""
METADATA = "jaxrl"
"""Of the model's properties, the one that holds the description."""


class OnnxModel:
    """An exported policy, run by onnxruntime."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._session = _runtime().InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name."""
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))

    def packed(self, description: Mapping[str, Any]) -> bytes:
        """The model with its description."""
        del self._model.metadata_props[:]
        self._model.metadata_props.add(key=METADATA, value=json.dumps(description, allow_nan=False))
        return self._model.SerializeToString()

    @property
    def facts(self) -> dict[str, Any]:
        """What a description says of the format."""
        return {"format": "onnx", "opset": OPSET, "onnxruntime": _runtime().__version__}


def convert(made: Interface) -> OnnxModel:
    """The policy's function, for batches of any size.

    Raises:
        ImportError: without the extra `onnx`.
        ValueError: for a policy that does what ONNX or the converter lacks.
    """
    to_onnx = _converter()
    names, outputs = list(made.inputs), list(made.outputs)

    def call(*arrays: Array) -> tuple[Array, ...]:
        given = made.call(**dict(zip(names, arrays, strict=True)))
        return tuple(given[name] for name in outputs)

    inputs = [
        SimpleNamespace(shape=("batch", *leaf.shape), dtype=np.dtype(leaf.dtype)) for leaf in made.inputs.values()
    ]
    try:
        with _quiet():
            model = to_onnx(call, inputs, model_name="policy", opset=OPSET, input_names=names, output_names=outputs)
        return OnnxModel(model)
    except Exception as error:
        raise cannot_express("as ONNX, other than by --format jax-export", error) from error


def _converter() -> Any:
    try:
        from jax2onnx import to_onnx
    except ImportError as error:
        raise missing_extra("jax2onnx", "onnx") from error
    return to_onnx


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_extra("onnxruntime", "onnx") from error
    return onnxruntime


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings about shapes that a model need not state."""
    logger = logging.getLogger("onnx_ir")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
