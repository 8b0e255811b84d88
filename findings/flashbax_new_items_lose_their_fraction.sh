#!/usr/bin/env bash
# flashbax 0.1.3: an item that joins a prioritised buffer gets the largest priority so far cut to a whole number: after 1.9 it gets 1.0.
# Wrong guess: that new items enter with the largest priority, as in Schaul et al. (2016), and are therefore seen at least as often as any other.
# Hurt: whoever trains with errors of about 1 to 2, as Huber losses and clipped rewards give: what is new is replayed up to half as often as it should be.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'flashbax==0.1.3' 'jax==0.10.2' 'jaxlib==0.10.2'
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata as metadata

import flashbax
import jax
import jax.numpy as jnp

print("flashbax", metadata.version("flashbax"), "jax", jax.__version__)
buffer = flashbax.make_prioritised_flat_buffer(max_length=64, min_length=1, sample_batch_size=64, priority_exponent=1.0)


def share_of_new(largest):
    """How often a new transition is drawn beside one old transition whose priority is `largest`."""
    state = buffer.init({"x": jnp.zeros(())})
    for value in (0.0, 1.0):
        state = buffer.add(state, {"x": jnp.asarray(value)})
    sample = buffer.sample(state, jax.random.key(0))
    state = buffer.set_priorities(state, sample.indices, jnp.full(sample.indices.shape, largest))
    state = buffer.add(state, {"x": jnp.asarray(2.0)})
    keys = jax.random.split(jax.random.key(1), 200)
    drawn = jax.vmap(lambda key: buffer.sample(state, key).experience.first["x"])(keys)
    return float(jnp.mean(drawn == 1.0))


for largest in (2.0, 1.9):
    print(f"largest priority {largest}: the new transition is {share_of_new(largest):.3f} of the draws, beside one old one")
assert abs(share_of_new(2.0) - 0.5) < 0.03, "whole priorities are not taken over now"
assert abs(share_of_new(1.9) - 1.0 / 2.9) < 0.03, "the new transition has the largest priority now"
PYTHON
