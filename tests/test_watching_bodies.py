"""Pictures of what MuJoCo simulates: by its renderer where OpenGL draws without a window, else as the agent sees it."""

from contextlib import nullcontext
from dataclasses import replace
from typing import ClassVar

import jax
import numpy as np
import pytest
from PIL import Image

import jaxrl
from jaxrl.cli import main
from jaxrl.environments.suite import suite
from jaxrl.rendering import NotDrawn, Scene, bodies, renderer_of
from jaxrl.rendering.generic import what_is_seen
from jaxrl.runs import experiment
from jaxrl.runs.configuration import Configuration
from tests import short

mujoco = pytest.importorskip("mujoco")
pytest.importorskip("brax")

pytestmark = pytest.mark.quick_compilation


@pytest.fixture(autouse=True)
def fresh():
    """No renderer, and no answer about OpenGL, of another test."""
    yield
    bodies._stage.cache_clear()
    bodies.opengl.cache_clear()


class Stub:
    """A renderer that remembers what it is asked to draw, and paints it in the colour of the first position."""

    made: ClassVar[list] = []

    def __init__(self, model, height, width):
        self.model, self.shape, self.seen = model, (height, width, 3), []
        self.scene = mujoco.MjvScene(model, 1000)
        Stub.made.append(self)

    def update_scene(self, data, camera):
        self.seen.append((np.array(data.qpos), np.array(data.xpos), camera))
        self.scene.ngeom = 0

    def render(self):
        position = self.seen[-1][0][0]
        return np.full(self.shape, int(127 + 100 * np.tanh(position)), np.uint8)


@pytest.fixture
def stub(monkeypatch):
    """OpenGL as if it were here, and who draws by it."""
    Stub.made = []
    monkeypatch.setattr(mujoco, "Renderer", Stub)
    monkeypatch.setattr(bodies, "opengl", lambda: "egl")
    monkeypatch.setattr(bodies, "_without_a_window", nullcontext)
    return Stub.made


def scene_of(environment, seed=1):
    state, observation = jax.jit(environment.reset)(jax.random.key(seed), environment.params)
    draw, unwrap = renderer_of(state)
    return draw, state, Scene(unwrap(jax.device_get(state)), observation, environment.params, environment.spec)


@pytest.mark.parametrize(
    "backend", ["spring", *(pytest.param(name, marks=pytest.mark.slow) for name in ("generalized", "mjx"))]
)
def test_a_body_of_brax_is_drawn_where_its_state_says(backend, stub):
    environment = jaxrl.make("brax/inverted_pendulum", backend=backend)
    draw, _, scene = scene_of(environment)
    moved = scene._replace(state=scene.state.replace(q=np.array([0.3, -0.2])))
    assert draw(scene).size == draw(moved).size == (480, 360)
    (renderer,) = stub
    np.testing.assert_allclose([seen[0] for seen in renderer.seen], [scene.state.q, [0.3, -0.2]], rtol=1e-6)
    # The cart slides along x, and its pole turns about y with it.
    assert renderer.seen[1][1][1, 0] == pytest.approx(0.3)
    assert renderer.seen[0][2] == "track" or isinstance(renderer.seen[0][2], int)


@pytest.mark.slow  # A body of brax is the quick test.
def test_a_robot_of_mo_is_drawn_as_the_backend_models_it(stub):
    draw, _, scene = scene_of(jaxrl.make("mo/hopper-2", backend="mjx-lite"))
    draw(scene)
    (renderer,) = stub
    np.testing.assert_allclose(renderer.seen[0][0], scene.state.qpos, rtol=1e-6)
    assert renderer.seen[0][2] == "track" and renderer.model.nq == scene.state.qpos.size


def test_a_task_of_meta_world_is_drawn_with_its_objects_where_the_episode_has_them(stub):
    environment = jaxrl.make("metaworld/drawer-open", num_variations=3)
    places = []
    for seed in range(3):
        draw, state, scene = scene_of(environment, seed)
        draw(scene)
        own = scene.params.tasks.object[int(state.task)]
        (renderer,) = stub
        place = renderer.seen[-1][1][renderer.model.body("object").id]
        np.testing.assert_allclose(place, own, atol=1e-6)
        assert renderer.scene.ngeom == 1
        np.testing.assert_allclose(renderer.scene.geoms[0].pos, scene.params.tasks.goal[int(state.task)], atol=1e-6)
        places.append(tuple(place))
    assert len(set(places)) > 1


def test_of_a_suite_the_task_of_the_episode_is_drawn(stub):
    names = ("reach", "pick-place")
    environment = suite([jaxrl.make(f"metaworld/{name}") for name in names], names)
    environment = environment._replace(spec=replace(environment.spec, name="metaworld/both"))
    seen = {}
    for seed in range(8):
        draw, state, scene = scene_of(environment, seed)
        if int(state.task) not in seen:
            draw(scene)
            seen[int(state.task)] = stub[-1].seen[-1][0].size
            assert stub[-1].seen[-1][0] == pytest.approx(np.asarray(state.inner[int(state.task)].inner.qpos))
    assert len(seen) == 2 and len(stub) == 2


def test_what_goes_by_another_name_is_drawn_as_it_is_seen(stub):
    draw, _, scene = scene_of(jaxrl.make("brax/inverted_pendulum"))
    other = scene._replace(spec=replace(scene.spec, name="mine/pendulum"))
    np.testing.assert_array_equal(np.asarray(draw(other)), np.asarray(what_is_seen(other)))
    assert not stub


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run."""
    place = tmp_path_factory.mktemp("bodies") / "run"
    settings = {**short.SETTINGS, "total_steps": 64, "num_evaluations": 1}
    configuration = Configuration("train", "ppo", "brax/inverted_pendulum", settings=settings)
    experiment.run(configuration, place, jaxrl.RunOptions(progress=False))
    return place


def test_every_frame_of_an_episode_is_the_renderers(run, stub, tmp_path):
    path = jaxrl.watch(run, tmp_path / "x.png", max_steps=5)
    (renderer,) = stub
    pictures = sorted(tmp_path.glob("x_*.png"))
    assert path == pictures[0] and len(renderer.seen) == len(pictures) == 6
    for picture, (positions, _, _) in zip(pictures, renderer.seen, strict=True):
        left = np.asarray(Image.open(picture))[180, 20]
        assert (left == int(127 + 100 * np.tanh(positions[0]))).all()


def test_without_opengl_a_sentence_says_so_and_frames_show_what_is_seen(run, monkeypatch, tmp_path, capsys):
    # For MuJoCo's own process, too: this is what a machine without OpenGL does.
    monkeypatch.setenv("MUJOCO_GL", "disabled")
    assert bodies.opengl() is None
    assert main(["watch", str(run), "--max-steps", "3", "--out", str(tmp_path / "x.gif")]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "OpenGL" in line]
    assert lines == [
        "jaxrl: brax/inverted_pendulum is drawn by MuJoCo, which needs OpenGL without a window, and MUJOCO_GL=disabled "
        "does not draw here: frames show what the agent sees. Debian's packages are libegl1 and libosmesa6."
    ]
    assert Image.open(tmp_path / "x.gif").n_frames >= 1
    draw, _, scene = scene_of(jaxrl.make("brax/inverted_pendulum"))
    with pytest.warns(NotDrawn, match="needs OpenGL without a window"):
        picture = draw(scene)
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(what_is_seen(scene)))


def test_without_a_word_egl_and_then_osmesa_are_tried(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(bodies.sys, "platform", "linux")
    tried = []
    monkeypatch.setattr(bodies, "_draws", lambda name: tried.append(name) or name == "osmesa")
    assert bodies.opengl() == "osmesa" and tried == ["egl", "osmesa"]
    bodies.opengl.cache_clear()
    monkeypatch.setattr(bodies, "_draws", lambda name: False)
    assert bodies.opengl() is None
    assert "neither EGL nor OSMesa is here" in bodies._why_not("brax/ant")


def test_mujoco_draws_here_or_says_why_not():
    draw, _, scene = scene_of(jaxrl.make("brax/inverted_pendulum"))
    moved = scene._replace(state=scene.state.replace(q=np.array([0.5, 0.4])))
    if bodies.opengl() is None:
        with pytest.warns(NotDrawn):
            draw(scene)
        return
    first, second = np.asarray(draw(scene)), np.asarray(draw(moved))
    assert first.shape == second.shape == (360, 480, 3)
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 50 and (first != second).any()
    np.testing.assert_array_equal(np.asarray(draw(scene)), first)
