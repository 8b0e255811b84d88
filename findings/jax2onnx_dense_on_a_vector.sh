#!/usr/bin/env bash
# jax2onnx 0.17.1: a flax Dense applied to one unbatched observation is converted without an error to a Gemm of rank 1, which onnxruntime refuses to load.
# Wrong guess: that what converts loads, and that a policy may be exported for one observation as it acts on one.
# Hurt: whoever exports a flax policy without a batch axis: the file is written, and fails where it is to be used.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'jax2onnx==0.17.1' 'onnx==1.23.2' 'onnxruntime==1.32.0' \
    'jax==0.10.2' 'jaxlib==0.10.2' 'flax==0.12.8'
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata as metadata

import flax.linen as nn
import jax
import jax.numpy as jnp
import onnxruntime
from jax2onnx import to_onnx

print(*(f"{name} {metadata.version(name)}" for name in ("jax2onnx", "onnx", "onnxruntime", "jax", "flax")))
layer = nn.Dense(4)
params = layer.init(jax.random.key(0), jnp.ones(3))


def outcome(shape):
    """What onnxruntime says of the layer converted for inputs of a shape."""
    model = to_onnx(lambda x: layer.apply(params, x), [shape])
    try:
        onnxruntime.InferenceSession(model.SerializeToString())
    except Exception as error:
        return str(error).splitlines()[-1]
    return "loaded"


vector, batch = outcome((3,)), outcome((2, 3))
print("one observation:", vector)
print("a batch:        ", batch)
assert "rank" in vector, "a vector is converted to what loads now"
assert batch == "loaded", "a batch does not load either now"
PYTHON
