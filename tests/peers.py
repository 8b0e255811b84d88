"""Peers that serve as oracles."""

import sys
import types

import pytest


def mujoco_peer(name):
    """MO-Gymnasium's environment of that id; skips where it or MuJoCo is missing."""
    # gymnasium imports it for rendering only, without declaring it for the physics.
    sys.modules.setdefault("imageio", types.ModuleType("imageio"))
    pytest.importorskip("mujoco")
    return pytest.importorskip("mo_gymnasium").make(name)
