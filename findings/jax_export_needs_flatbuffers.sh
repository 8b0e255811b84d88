#!/usr/bin/env bash
# jax 0.10.2: jax.export lowers a function, and then cannot serialise it: that needs flatbuffers, which installing jax does not bring.
# Wrong guess: that an environment in which jax.export.export works can write what it exported, and read it elsewhere.
# Hurt: whoever ships a policy as a jax.export file: it fails on writing, or on the machine that only has jax, on reading.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'jax==0.10.2' 'jaxlib==0.10.2'
"$folder/venv/bin/python" - <<'PYTHON'
import jax
import jax.numpy as jnp
from jax import export

print("jax", jax.__version__)
exported = export.export(jax.jit(jnp.sin))(jax.ShapeDtypeStruct((3,), jnp.float32))
print("exported:", exported.fun_name)
try:
    exported.serialize()
    said = "serialised"
except ImportError as error:
    said = f"{type(error).__name__}: {error}"
print("serialize():", said)
assert "flatbuffers" in said, "jax brings what serialising needs now"
PYTHON
"$folder/venv/bin/python" -m pip install --quiet flatbuffers
"$folder/venv/bin/python" -c '
import jax, jax.numpy as jnp
from jax import export
exported = export.export(jax.jit(jnp.sin))(jax.ShapeDtypeStruct((3,), jnp.float32))
print("with flatbuffers:", len(exported.serialize()) > 0)'
