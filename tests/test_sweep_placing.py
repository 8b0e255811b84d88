"""Where a sweep puts its hyperparameters."""

import jax.numpy as jnp
import numpy as np

from jaxrl.sweeps.devices import member_mesh
from jaxrl.sweeps.program import _placer


def test_what_parameters_leave_out_stays_left_out():
    # As brax does with parts of its physics that a task has not.
    tree = {"rate": np.ones(8), "physics": {"mass": jnp.ones(3), "tendon": None}}
    placed = _placer(member_mesh())(tree, {"rate": 0, "physics": {"mass": None, "tendon": None}})
    assert placed["physics"]["tendon"] is None
    assert len(placed["rate"].addressable_shards) == 8 and placed["physics"]["mass"].is_fully_replicated
