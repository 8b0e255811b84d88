"""`jaxrl watch`: pictures of environments, and episodes of policies as files."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxrl
from jaxrl.cli import main
from jaxrl.environments import list_environments, transforms
from jaxrl.rendering import Canvas, Scene, renderer_of
from jaxrl.rendering import base as rendering
from jaxrl.rendering.canvas import COLOURS
from jaxrl.rendering.frames import Caption, frame
from jaxrl.rendering.generic import channel_colours, what_is_seen
from jaxrl.runs import experiment, watching
from jaxrl.runs.configuration import Configuration
from tests import short

pytestmark = [pytest.mark.quick_compilation, pytest.mark.usefixtures("built_once")]

DRAWN = [
    "gymnax/CartPole-v1", "gymnax/Acrobot-v1", "gymnax/Pendulum-v1", "gymnax/MountainCar-v0",
    "gymnax/MountainCarContinuous-v0", "mo/deep-sea-treasure", "mo/deep-sea-treasure-concave", "mo/four-room",
    "mo/resource-gathering", "mo/breakable-bottles", "mo/fishwood", "mo/fruit-tree", "mo/minecart", "mo/reacher",
    "mo/water-reservoir", "mo/lunar-lander", "mo/highway-fast", "mo/mountaincar", "grid/tiny", "grid/standard-maze",
]  # fmt: skip


def rgb(name):
    return tuple(int(COLOURS[name][i : i + 2], 16) for i in (1, 3, 5))


def scene_of(environment, steps=0, seed=0):
    state, observation = jax.jit(environment.reset)(jax.random.key(seed), environment.params)
    for index in range(steps):
        action = environment.spec.action.sample(jax.random.key(31 * index + 5))
        state, timestep = jax.jit(environment.step)(jax.random.key(index), state, action, environment.params)
        observation = timestep.observation
    draw, unwrap = renderer_of(state)
    return draw, Scene(unwrap(jax.device_get(state)), jax.device_get(observation), environment.params, environment.spec)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if i % 3 else ()) for i, name in enumerate(DRAWN)]
)
def test_an_environment_has_a_picture_of_its_own_that_changes_as_it_goes_on(name):
    environment = jaxrl.make(name)
    draw, first = scene_of(environment)
    assert draw is not what_is_seen
    pictures = [np.asarray(draw(scene)) for scene in (first, *(scene_of(environment, steps)[1] for steps in (1, 3, 7)))]
    assert len({picture.shape for picture in pictures}) == 1 and pictures[0].shape[2] == 3
    assert 200 <= max(pictures[0].shape) <= 700
    assert len(np.unique(pictures[0].reshape(-1, 3), axis=0)) > 3
    assert any((picture != pictures[0]).any() for picture in pictures[1:])


@pytest.mark.slow  # Forty environments are traced, whose drawings change seldom; others draw a few.
def test_every_environment_of_mo_and_grid_is_drawn():
    undrawn = []
    for name in list_environments():
        if name.startswith(("mo/", "grid/")):
            environment = jaxrl.make(name)
            state = jax.eval_shape(environment.reset, jax.random.key(0), environment.params)[0]
            if renderer_of(state)[0] is what_is_seen:
                undrawn.append(name)
    assert undrawn == []


def test_the_submarine_is_where_its_state_says():
    environment = jaxrl.make("mo/deep-sea-treasure")
    draw, scene = scene_of(environment)
    for row, column in ((0, 0), (2, 5)):
        moved = scene._replace(state=scene.state._replace(position=np.array([row, column])))
        picture = np.asarray(draw(moved)).astype(int)
        rows, _columns = scene.params.rock.shape
        cell = picture.shape[0] / rows
        y, x = np.argwhere(np.abs(picture - rgb("orange")).sum(axis=-1) < 30).mean(axis=0)
        assert abs(y / cell - row - 0.5) < 0.15 and abs(x / cell - column - 0.5) < 0.15


def test_the_pole_leans_as_its_angle_does():
    environment = jaxrl.make("gymnax/CartPole-v1")
    draw, scene = scene_of(environment)
    for angle in (-0.5, 0.5):
        leaning = np.asarray(draw(scene._replace(state=scene.state.replace(x=0.0, theta=angle)))).astype(int)
        x = np.argwhere(np.abs(leaning - rgb("amber")).sum(axis=-1) < 30)[:, 1].mean()
        assert np.sign(x - leaning.shape[1] / 2) == np.sign(angle)


def test_a_wrapped_environment_is_drawn_as_what_it_wraps():
    environment = transforms.episode_statistics(transforms.time_limit(jaxrl.make("mo/deep-sea-treasure"), 5))
    draw, scene = scene_of(environment)
    assert draw.__name__ == "deep_sea_treasure" and type(scene.state).__name__ == "DeepSeaTreasureState"


def test_what_nobody_has_drawn_is_drawn_as_it_is_seen():
    draw, scene = scene_of(jaxrl.make("gymnax/Breakout-MinAtar"))
    assert draw is what_is_seen
    observation = np.zeros((4, 6, 2), bool)
    observation[1, 2, 0] = observation[3, 5, 1] = True
    picture = np.asarray(channel_colours(observation, size=60)).astype(int)
    assert picture.shape == (40, 60, 3)
    assert tuple(picture[15, 25]) == (0x00, 0x72, 0xB2) and tuple(picture[35, 55]) == (0xD5, 0x5E, 0x00)
    assert np.asarray(draw(scene)).shape[2] == 3
    _, numbers = scene_of(jaxrl.make("gymnax/CartPole-v1"))
    assert np.asarray(what_is_seen(numbers)).shape[2] == 3


def test_a_renderer_of_ones_own_holds(monkeypatch):
    monkeypatch.setattr(rendering, "_RENDERERS", dict(rendering._RENDERERS))
    environment = jaxrl.make("mo/deep-sea-treasure")
    state = environment.reset(jax.random.key(0), environment.params)[0]

    def blue(scene):
        return Canvas((0, 0), (1, 1), size=20, background="blue").image()

    jaxrl.register_renderer(type(state), blue)
    assert renderer_of(state)[0] is blue
    with pytest.raises(ValueError, match="a renderer is a function of a Scene, got 3"):
        jaxrl.register_renderer(type(state), 3)


def test_canvas_has_y_upwards_and_no_distortion():
    canvas = Canvas((0, 0), (2, 1), size=200)
    canvas.rectangle((0, 0), (0.5, 0.5), "blue")
    picture = np.asarray(canvas.image())
    assert picture.shape == (100, 200, 3)
    assert tuple(picture[90, 10]) == rgb("blue") and tuple(picture[10, 10]) == (255, 255, 255)


def test_a_frame_says_what_was_done_and_paid():
    picture = Canvas((0, 0), (1, 1), size=101).image()
    caption = Caption(
        "mo/x", 3, np.array(2), ("treasure", "time"), (1.0, -1.0), (2.0, -3.0), (0.25, 0.75), "terminated"
    )
    found = frame(picture, caption)
    assert found.width % 2 == 0 and found.height % 2 == 0
    other = frame(picture, caption._replace(returns=(2.0, -4.0)))
    assert (np.asarray(found) != np.asarray(other)).any()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("watched") / "run"
    options = jaxrl.RunOptions(progress=False)
    experiment.run(Configuration("train", "ppo", "gymnax/CartPole-v1", settings=short.SETTINGS), place, options)
    return place


def test_an_episode_is_that_of_an_evaluation_with_the_same_policy(run):
    policy = jaxrl.load(run)
    environment = jaxrl.make("gymnax/CartPole-v1")
    moments = list(watching.play(policy, environment, seed=5))
    assert moments[0].action is None and moments[-1].ended and not any(moment.ended for moment in moments[:-1])
    assert sum(moment.reward[0] for moment in moments) == len(moments) - 1
    for before, moment in itertools.pairwise(moments):
        assert moment.action == policy(jax.random.key(0), jnp.asarray(before.observation))
    again = list(watching.play(policy, environment, seed=5))
    np.testing.assert_array_equal([m.observation for m in moments], [m.observation for m in again])
    assert len(list(watching.play(policy, environment, seed=5, max_steps=3))) == 4


def test_the_swept_constants_of_the_environment_hold_in_the_episode(tmp_path):
    configuration = Configuration(
        "sweep", "ppo", "gymnax/CartPole-v1", settings=short.SETTINGS,
        hyperparameters={"environment.max_steps_in_episode": [3, 5]},
    )  # fmt: skip
    experiment.run(configuration, tmp_path / "run", jaxrl.RunOptions(progress=False))
    for member, length in ((0, 3), (1, 5)):
        path = jaxrl.watch(tmp_path / "run", tmp_path / f"{member}.png", member=member)
        assert path == tmp_path / f"{member}_0000.png"
        assert len(list(tmp_path.glob(f"{member}_*.png"))) == length + 1


def test_the_shell_writes_a_gif(run, capsys):
    assert main(["watch", str(run), "--max-steps", "5", "--frames-per-second", "10"]) == 0
    assert str(run / "episode.gif") in capsys.readouterr().out
    with Image.open(run / "episode.gif") as written:
        # The start, five steps, and a second of the last.
        assert written.n_frames >= 6 and written.info["duration"] == 100
        total = sum(written.seek(index) or written.info["duration"] for index in range(written.n_frames))
        assert total == (6 + 10) * 100


def test_a_video_is_one(run, tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    path = jaxrl.watch(run, tmp_path / "episode.mp4", max_steps=5)
    assert path.read_bytes()[4:8] == b"ftyp"


@pytest.mark.slow  # A study of its own; test_front chooses by preference.
def test_a_front_is_watched_by_preference(tmp_path):
    settings = {**short.SETTINGS, "total_steps": 2000}
    configuration = Configuration("pareto", "ppo", "mo/deep-sea-treasure", settings=settings, weights=2)
    experiment.run(configuration, tmp_path / "run", jaxrl.RunOptions(progress=False))
    path = jaxrl.watch(tmp_path / "run", weights=[1.0, 0.0], max_steps=3)
    with Image.open(path) as written:
        assert written.format == "GIF" and written.n_frames >= 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--out", "x.avi"], "an episode is written as .gif, .mp4, .png, got 'x.avi'"),
        (["--member", "3"], "is a single run: it has no member 3"),
        (["--weights", "0.5", "0.5"], "weights need 1 entries"),
        (["--frames-per-second", "0"], "--frames-per-second must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_watched_is_one_sentence(run, words, sentence, capsys):
    assert main(["watch", str(run), *words]) == 2
    assert sentence in capsys.readouterr().err
