#!/usr/bin/env bash
# craftax 1.6.1: step's `done` and info["discount"] are the same at the step limit as at death: there is no truncated flag, and the discount is 0 for both.
# Wrong guess: that `discount` is what to bootstrap with, as its docstring's "zero if the episode has terminated" says, and 1 where only time has run out.
# Hurt: whoever shortens `max_timesteps` or trains agents that live to it: a survivor's last state is learned to be worth nothing, like a death.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'craftax==1.6.1' 'jax==0.10.2' 'jaxlib==0.10.2'
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata as metadata

import jax
from craftax.craftax_env import make_craftax_env_from_name

print("craftax", metadata.version("craftax"), "jax", jax.__version__)
environment = make_craftax_env_from_name("Craftax-Classic-Symbolic-v1", auto_reset=False)


def ending(max_timesteps):
    """Health, steps and flags at the end of an episode that does nothing."""
    params = environment.default_params.replace(max_timesteps=max_timesteps)
    _, state = environment.reset_env(jax.random.key(0), params)
    step = jax.jit(environment.step_env)
    for i in range(2000):
        _, state, _, done, info = step(jax.random.fold_in(jax.random.key(1), i), state, 0, params)
        if done:
            break
    return float(state.player_health), int(state.timestep), bool(done), float(info["discount"]), sorted(info)


health, steps, done, discount, names = ending(10)
print(f"at the limit: health {health:g} after {steps} steps, done {done}, discount {discount:g}")
dead = ending(10_000)
print(f"at death:     health {dead[0]:g} after {dead[1]} steps, done {dead[2]}, discount {dead[3]:g}")
assert health > 0.0 >= dead[0] and done and dead[2]
assert discount == dead[3] == 0.0, "the discount at the time limit is not that of a death now"
assert not [name for name in names if "trunc" in name.lower()], "a truncation is told now"
PYTHON
