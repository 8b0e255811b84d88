"""Bodies of which MuJoCo has a model, drawn by `mujoco.Renderer`: brax, Playground, Meta-World and robots of `mo/`.

It draws without a window through EGL or OSMesa. Where neither is there, a sentence says so, and frames show what the
agent sees.
"""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxrl.rendering.base import NotDrawn, Scene
from jaxrl.rendering.generic import what_is_seen
from jaxrl.types import Float

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["brax", "locomotion", "metaworld", "opengl", "playground"]

_WIDTH, _HEIGHT = 480, 360
_HEADLESS = ("egl", "osmesa")
# Whoever has a model of an environment, by the suite of its name.
_MODELS = {
    "brax": "jaxrl.environments.brax",
    "metaworld": "jaxrl.environments.metaworld.simulator",
    "mo": "jaxrl.environments.multi_objective.locomotion",
    "playground": "jaxrl.environments.playground",
}
_COLOURS = {
    "world": (0.85, 0.8, 0.72), "hand": (0.25, 0.27, 0.3), "left": (0.25, 0.27, 0.3), "right": (0.25, 0.27, 0.3),
    "object": (0.84, 0.37, 0.0), "mechanism": (0.0, 0.45, 0.7), "fixture": (0.55, 0.55, 0.58),
}  # fmt: skip
_PROBE = "import mujoco; mujoco.Renderer(mujoco.MjModel.from_xml_string('<mujoco/>'), 1, 1).render()"
_PROBE_SECONDS = 60


def brax(scene: Scene) -> "Image.Image":
    """A system of brax's, whichever engine moves it."""
    return _picture(scene, scene.state.q)


def locomotion(scene: Scene) -> "Image.Image":
    """A robot of `mo/`."""
    return _picture(scene, scene.state.qpos)


def playground(scene: Scene) -> "Image.Image":
    """A task of MuJoCo Playground."""
    data = scene.state.data
    return _picture(scene, data.qpos, mocap_pos=data.mocap_pos, mocap_quat=data.mocap_quat)


def metaworld(scene: Scene) -> "Image.Image":
    """A task of Meta-World, its objects where its parameters have them; the goal is a green ball."""
    from jaxrl.environments.metaworld.simulator import places

    task = scene.spec.name.partition("/")[2]
    return _picture(
        scene, scene.state.qpos, np.asarray(places(task, scene.params)), goal=np.asarray(scene.params.goal, float)
    )


class _Stage(NamedTuple):
    """A model of MuJoCo's, its data, and who draws them from where."""

    model: Any
    data: Any
    renderer: Any
    camera: Any


def _picture(
    scene: Scene,
    positions: Float[np.ndarray, " position"],
    places: Float[np.ndarray, "body 3"] | None = None,
    goal: Float[np.ndarray, "3"] | None = None,
    **more: Any,
) -> "Image.Image":
    """What MuJoCo draws of generalised positions, or what the agent sees.

    Args:
        scene: the moment.
        positions: generalised ones of MuJoCo's model.
        places: of bodies in their parents, where they are not the model's.
        goal: a place to mark.
        more: of MuJoCo's data.
    """
    import mujoco
    from PIL import Image

    suite = scene.spec.name.partition("/")[0]
    if suite not in _MODELS:
        return what_is_seen(scene)
    if opengl() is None:
        warnings.warn(_why_not(scene.spec.name), NotDrawn, stacklevel=2)
        return what_is_seen(scene)
    stage = _stage(scene.spec.name, scene.spec.options)
    if places is not None:
        stage.model.body_pos[:] = places
    stage.data.qpos[:] = positions
    for name, value in more.items():
        getattr(stage.data, name)[:] = value
    mujoco.mj_forward(stage.model, stage.data)
    stage.renderer.update_scene(stage.data, stage.camera)
    if goal is not None:
        _mark(stage.renderer.scene, goal)
    return Image.fromarray(stage.renderer.render())


def _mark(drawn: Any, place: Float[np.ndarray, "3"]) -> None:
    """A ball that is there to be seen only."""
    import mujoco

    colour = np.array([0.0, 0.62, 0.45, 0.6], np.float32)
    ball = drawn.geoms[drawn.ngeom]
    mujoco.mjv_initGeom(ball, mujoco.mjtGeom.mjGEOM_SPHERE, np.full(3, 0.015), place, np.eye(3).ravel(), colour)
    drawn.ngeom += 1


@lru_cache(maxsize=4)
def _stage(name: str, options: tuple[tuple[str, Any], ...]) -> _Stage:
    """The stage of an environment, by what `jaxrl.make` was given."""
    import mujoco

    suite, _, task = name.partition("/")
    model = import_module(_MODELS[suite]).mujoco_model(task, **dict(options))
    width, height = min(_WIDTH, model.vis.global_.offwidth), min(_HEIGHT, model.vis.global_.offheight)
    if suite == "metaworld":
        _dress(model)
    with _without_a_window():
        renderer = mujoco.Renderer(model, height, width)
    return _Stage(model, mujoco.MjData(model), renderer, _over_the_table() if suite == "metaworld" else _camera(model))


def _camera(model: Any) -> int | str:
    """One that follows, else the first, else MuJoCo's own."""
    cameras = [model.camera(index).name for index in range(model.ncam)]
    return "track" if "track" in cameras else 0 if cameras else -1


def _over_the_table() -> Any:
    """From beside the table, towards hand and objects."""
    import mujoco

    camera = mujoco.MjvCamera()
    camera.lookat[:], camera.distance, camera.azimuth, camera.elevation = (0.0, 0.7, 0.08), 1.2, 55.0, -25.0
    return camera


def _dress(model: Any) -> None:
    """Light, and colours by body: models of Meta-World's tasks are made to be simulated and have none."""
    for part in ("ambient", "diffuse"):
        getattr(model.vis.headlight, part)[:] = 0.5
    for index in range(model.ngeom):
        body = model.body(model.geom_bodyid[index]).name
        model.geom_rgba[index] = (*_COLOURS.get(body, _COLOURS["fixture"]), 1.0)


@contextmanager
def _without_a_window() -> Iterator[None]:
    """A renderer that is made here draws by `opengl()`.

    MuJoCo chooses when it is imported, by MUJOCO_GL, and wants a window unless told otherwise.
    """
    import mujoco

    contexts = sys.modules[mujoco.Renderer.__module__].gl_context
    former, chosen = contexts.GLContext, opengl()
    if chosen in _HEADLESS:
        contexts.GLContext = import_module(f"mujoco.{chosen}").GLContext
    try:
        yield
    finally:
        contexts.GLContext = former


@cache
def opengl() -> str | None:
    """By which OpenGL MuJoCo draws here, as MUJOCO_GL has it: that which is set, else EGL or OSMesa; None for none.

    Each is tried in a process of its own: one that fails takes its process with it, or leaves it with half an OpenGL.
    """
    own = os.environ.get("MUJOCO_GL", "").lower().strip()
    tried = (own,) if own else _HEADLESS if sys.platform.startswith("linux") else ("",)
    return next((name for name in tried if _draws(name)), None)


def _draws(name: str) -> bool:
    words, environment = [sys.executable, "-c", _PROBE], {**os.environ, "MUJOCO_GL": name}
    try:
        done = subprocess.run(words, env=environment, capture_output=True, timeout=_PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _why_not(name: str) -> str:
    own = os.environ.get("MUJOCO_GL", "").strip()
    missing = f"MUJOCO_GL={own} does not draw here" if own else "neither EGL nor OSMesa is here"
    return (
        f"{name} is drawn by MuJoCo, which needs OpenGL without a window, and {missing}: frames show what the agent "
        "sees. Debian's packages are libegl1 and libosmesa6."
    )
