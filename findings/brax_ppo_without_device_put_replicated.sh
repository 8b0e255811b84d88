#!/usr/bin/env bash
# brax 0.14.2: brax.training's PPO fails before its first step on jax 0.10, which has removed jax.device_put_replicated.
# Wrong guess: that brax, which asks for any jax and imports and steps on 0.10.2, trains there too.
# Hurt: whoever installs brax today and compares with its PPO or SAC; the function that jax's guide gives instead lets it run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'brax==0.14.2' 'jax==0.10.2' 'jaxlib==0.10.2'
JAX_PLATFORMS=cpu "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import importlib.metadata as metadata

import jax
import jax.numpy as jnp
import numpy as np
from brax import envs
from brax.training.agents.ppo.train import train
from jax.sharding import Mesh, NamedSharding, PartitionSpec

print("brax", metadata.version("brax"), "jax", jax.__version__)
environment = envs.get_environment("fast")


def steps_of_a_run():
    seen = []
    train(
        environment, num_timesteps=64, num_envs=4, batch_size=4, num_minibatches=2, unroll_length=4, num_evals=2,
        num_eval_envs=2, episode_length=8, progress_fn=lambda steps, metrics: seen.append(steps),
    )
    return seen


try:
    said = f"trained, evaluated after steps {steps_of_a_run()}"
except AttributeError as error:
    said = f"AttributeError: {error}"
print("as installed:", said)
assert "device_put_replicated" in said, "brax.training runs on this jax now"


def replicated(tree, devices):
    """A copy of every leaf on each device, along a new leading axis: the replacement of jax's guide."""
    sharding = NamedSharding(Mesh(np.array(devices), ("device",)), PartitionSpec("device"))
    return jax.tree.map(lambda leaf: jax.device_put(jnp.stack([leaf] * len(devices)), sharding), tree)


jax.device_put_replicated = replicated
seen = steps_of_a_run()
print("with the function given back: evaluated after steps", seen)
assert seen[-1] >= 64, "brax.training needs more than that function now"
PYTHON
