#!/usr/bin/env bash
# evosax 0.3.2: one candidate whose fitness is NaN makes the search mean of GuidedES NaN in every coordinate, for good.
# Wrong guess: that a rank-based or centred strategy treats a diverged candidate as its worst and goes on with the rest.
# Hurt: whoever evolves agents or objectives, where now and then one candidate of hundreds diverges in training.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'evosax==0.3.2' 'jax==0.10.2' 'jaxlib==0.10.2'
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata as metadata

import jax
import jax.numpy as jnp
from evosax.algorithms import CMA_ES, GuidedES

print("evosax", metadata.version("evosax"), "jax", jax.__version__)


def mean_after_one_nan(algorithm):
    """The search mean two generations after one of sixteen candidates returned NaN."""
    strategy = algorithm(population_size=16, solution=jnp.zeros(3))
    params, key = strategy.default_params, jax.random.key(0)
    state = strategy.init(key, jnp.zeros(3), params)
    for generation in range(3):
        ask_key, tell_key, key = jax.random.split(key, 3)
        candidates, state = strategy.ask(ask_key, state, params)
        fitness = jnp.sum(candidates**2, axis=-1)
        fitness = fitness.at[5].set(jnp.nan) if generation == 0 else fitness
        state, _ = strategy.tell(tell_key, candidates, fitness, state, params)
    return state.mean


lost, sound = mean_after_one_nan(GuidedES), mean_after_one_nan(CMA_ES)
print("GuidedES mean:", lost.tolist())
print("CMA_ES mean:  ", [round(value, 3) for value in sound.tolist()])
assert bool(jnp.all(jnp.isnan(lost))), "GuidedES goes on after a NaN now"
assert bool(jnp.all(jnp.isfinite(sound))), "CMA_ES is lost now too"
PYTHON
