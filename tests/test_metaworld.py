"""Meta-World against numbers recorded from the original (experiments/metaworld_peer.py)."""

import json
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import make
from jaxrl.environments.metaworld import TASKS, MetaWorldParams
from jaxrl.environments.metaworld.scene import Scene
from jaxrl.errors import UnknownNameError
from tests.grids import quick_compilation  # noqa: F401

RECORD = json.loads(Path(__file__).with_name("metaworld_peer.json").read_text())
NAMES = tuple(name for name in RECORD if name not in ("versions", "every"))
MT10 = pytest.mark.parametrize("name", NAMES)


@cache
def environment(name, **options):
    return make(f"metaworld/{name}", **options)


def variation(name, recorded):
    values = {key: jnp.asarray(value, jnp.float32) for key, value in recorded.items()}
    return environment(name).params._replace(**values)


def stack(rows):
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *rows)


# --- rewards, success and metrics, without physics -----------------------------------------------


@MT10
def test_rewards_success_and_metrics_are_the_originals(name):
    rows = [(episode["variation"], state) for episode in RECORD[name]["episodes"] for state in episode["states"]]
    params = stack([MetaWorldParams(**{k: np.float32(v) for k, v in row.items()}, physics=None) for row, _ in rows])
    scenes = stack([Scene(**{k: np.float32(v) for k, v in s["scene"].items()})._replace(touching=s["scene"]["touching"]) for _, s in rows])
    actions = jnp.array([state["action"] for _, state in rows])
    found = jax.jit(jax.vmap(TASKS[name].reward))(scenes, actions, params)
    expected = {key: np.array([s["info"][key] for _, s in rows]) for key in rows[0][1]["info"]}
    expected["reward"] = np.array([state["reward"] for _, state in rows])
    assert set(expected) == set(found._fields)
    for key, values in expected.items():
        np.testing.assert_allclose(np.asarray(getattr(found, key), float), values, rtol=1e-4, atol=2e-5, err_msg=key)
