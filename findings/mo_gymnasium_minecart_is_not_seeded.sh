#!/usr/bin/env bash
# mo-gymnasium 1.3.2: the ore that minecart-v0 mines is drawn from NumPy's global random numbers, which reset(seed=...) does not seed.
# Wrong guess: that two episodes under one seed and the same actions earn the same, as gymnasium's reset promises of every environment.
# Hurt: whoever compares policies on common seeds or repeats a table: returns differ, and change with whatever else draws in the process.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'mo-gymnasium==1.3.2' 'gymnasium==1.3.0'
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import importlib.metadata as metadata

import mo_gymnasium
import numpy as np

print("mo-gymnasium", metadata.version("mo-gymnasium"), "gymnasium", metadata.version("gymnasium"))


def returns(name, drawn_before):
    """Sum of rewards of one episode under one seed and fixed actions, after so many draws by others in the process."""
    np.random.seed(0)
    np.random.random(drawn_before)
    environment = mo_gymnasium.make(name)
    environment.reset(seed=5)
    total = 0.0
    # Actions that bring ore home.
    for action in np.random.default_rng(2).integers(6, size=200).tolist():
        _, reward, terminated, truncated, _ = environment.step(action)
        total = total + reward
        if terminated or truncated:
            break
    return total


drawn = [returns("minecart-v0", count) for count in (0, 0, 1)]
fixed = [returns("minecart-deterministic-v0", count) for count in (0, 0, 1)]
print("seed 5, the same 73 actions; nothing, nothing and one number drawn before by others:")
print("minecart-v0:              ", *drawn)
print("minecart-deterministic-v0:", *fixed)
assert np.array_equal(fixed[0], fixed[2])
assert np.array_equal(drawn[0], drawn[1]) and drawn[0][:2].sum() > 0.0
assert not np.array_equal(drawn[0], drawn[2]), "the ore of minecart-v0 is seeded by reset now"
PYTHON
