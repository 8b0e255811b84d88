#!/usr/bin/env bash
# gymnax 1.0.1: CartPole's `masscart` and Acrobot's `link_length_2` change nothing at all, and CartPole's `length` and `masspole` act without their totals.
# Wrong guess: that a field of EnvParams that is named like a mass or a length is one, so that a sweep over it varies the robot.
# Hurt: whoever tests generalisation or meta-learns over physics: all members are equal runs, or of a cart-pole that cannot be.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'gymnax==1.0.1' six 'jax==0.10.2' 'jaxlib==0.10.2'
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata as metadata

import gymnax
import jax
import jax.numpy as jnp

print("gymnax", metadata.version("gymnax"), "jax", jax.__version__)


def trajectory(name, **changes):
    """Observations of fifty steps under the same keys and actions."""
    environment, params = gymnax.make(name)
    params = params.replace(**changes)
    _, state = environment.reset_env(jax.random.key(0), params)
    seen = []
    for i in range(50):
        key = jax.random.key(i)
        observation, state, *_ = environment.step_env(key, state, i % 2, params)
        seen.append(observation)
    return jnp.stack(seen)


def changes(name, **changed):
    """Largest difference that a changed parameter makes."""
    return float(jnp.abs(trajectory(name, **changed) - trajectory(name)).max())


heavy = changes("CartPole-v1", masscart=100.0)
total = changes("CartPole-v1", total_mass=100.1)
arm = changes("Acrobot-v1", link_length_2=10.0)
first_arm = changes("Acrobot-v1", link_length_1=10.0)
pole = trajectory("CartPole-v1", length=1.0)
whole = trajectory("CartPole-v1", length=1.0, polemass_length=0.1)
apart = float(jnp.abs(pole - whole).max())
print(f"CartPole, masscart 1 -> 100: {heavy:.3g}; total_mass 1.1 -> 100.1: {total:.3g}")
print(f"Acrobot, link_length_2 1 -> 10: {arm:.3g}; link_length_1 1 -> 10: {first_arm:.3g}")
print(f"CartPole, length 1 without and with polemass_length = masspole * length: {apart:.3g} apart")
assert heavy == 0.0 and total > 0.0, "the cart's mass acts now"
assert arm == 0.0 and first_arm > 0.0, "the second link's length acts now"
assert apart > 0.0, "polemass_length follows the length now"
PYTHON
