#!/usr/bin/env bash
# jax 0.10.2 on a CPU: an executable that came out of the persistent compilation cache can be serialised again without complaint; what is loaded from that raises NOT_FOUND when it is called.
# Wrong guess: that `serialize_executable.serialize` gives the same whether XLA compiled the program or JAX found it in its cache, since the two run alike.
# Hurt: whoever ships or keeps ahead-of-time executables from machines whose cache is warm: the file is broken on the second build, and the error comes at the first call, not at loading.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'jax==0.10.2' 'jaxlib==0.10.2'
cat > "$folder/build.py" <<'PYTHON'
import sys

import jax
import jax.numpy as jnp
from jax.experimental import serialize_executable as aot

jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name) if name.endswith("cache_hits") else None)
x = jnp.arange(3.0)
compiled = jax.jit(lambda x: jnp.sin(x**3) @ x).lower(x).compile()
print("from the cache:", bool(hits), "- runs:", float(compiled(x)))
loaded = aot.deserialize_and_load(*aot.serialize(compiled))
try:
    print("after serialising and loading:", float(loaded(x)))
except jax.errors.JaxRuntimeError as error:
    print("after serialising and loading:", str(error)[:60])
PYTHON
for build in first second; do
    echo "$build build"
    "$folder/venv/bin/python" "$folder/build.py" "$folder/cache" 2>/dev/null | tee "$folder/$build"
done
grep -q "after serialising and loading: -\?[0-9]" "$folder/first"
grep -q "from the cache: True" "$folder/second"
grep -q "after serialising and loading: NOT_FOUND" "$folder/second"
