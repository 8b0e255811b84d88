#!/usr/bin/env bash
# jumanji 1.1.2: at their time limit eight of ten environments end with a discount of 0, as if the task itself had ended; two end with 1.
# Wrong guess: that jumanji tells a truncation (discount 1) from a termination (discount 0), as its `truncation` and `termination` helpers do.
# Hurt: whoever bootstraps with `reward + discount * value`, as its own agents do: what follows a time limit counts as worth nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'jumanji==1.1.2' 'jax==0.10.2' 'jaxlib==0.10.2'
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata as metadata

import jax
import jax.numpy as jnp
import jumanji

print("jumanji", metadata.version("jumanji"), "jax", jax.__version__)
LIMIT = 3
NAMES = (
    "Cleaner-v0",
    "Connector-v3",
    "LevelBasedForaging-v0",
    "MMST-v0",
    "Maze-v0",
    "PacMan-v1",
    "RobotWarehouse-v0",
    "RubiksCube-v0",
    "SlidingTilePuzzle-v0",
    "Tetris-v0",
)


def at_limit(name):
    """The last discount of an episode that nothing but its limit ends: legal actions, with time to spare."""
    short, long = (jumanji.make(name, time_limit=limit) for limit in (LIMIT, 50))
    state, timestep = short.reset(jax.random.key(0))
    other, _ = long.reset(jax.random.key(0))
    step, step_long = jax.jit(short.step), jax.jit(long.step)
    for i in range(LIMIT):
        action = legal(short, timestep, i)
        state, timestep = step(state, action)
        other, later = step_long(other, action)
    assert timestep.last() and not later.last(), f"{name} ends by itself"
    return float(jnp.min(timestep.discount))


def legal(environment, timestep, index):
    """The first legal action of each choice, else any."""
    spec = environment.action_spec
    mask = getattr(timestep.observation, "action_mask", None)
    if mask is None:
        return spec.generate_value()
    if mask.ndim > 1 and mask.shape == tuple(jnp.atleast_1d(jnp.asarray(spec.num_values)).tolist()):
        return jnp.stack(jnp.unravel_index(jnp.argmax(mask), mask.shape)).astype(spec.dtype)
    return jnp.argmax(mask, axis=-1).astype(spec.dtype)


found = {name: at_limit(name) for name in NAMES}
for name, discount in found.items():
    print(f"{name:22} discount {discount:g} at its time limit")
assert [name for name, discount in found.items() if discount > 0.0] == ["Connector-v3", "LevelBasedForaging-v0"]
PYTHON
