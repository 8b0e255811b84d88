"""A policy at work: one episode, step by step, as frames, and frames as a GIF or a video."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxrl.environments.base import Environment
from jaxrl.ranges import COUNT, SEED, Range
from jaxrl.rendering.base import Scene, renderer_of
from jaxrl.rendering.frames import Caption, frame
from jaxrl.runs.configuration import read_configuration
from jaxrl.runs.saved import choose_one
from jaxrl.training.policy import Policy
from jaxrl.types import PyTree

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["FRAMES_PER_SECOND", "Moment", "frames", "play", "watch", "write_frames"]

FRAMES_PER_SECOND = Range(1, 100, integer=True)
# Seconds for which the last frame stands.
_STANDS = 1.0
_SUFFIXES = (".gif", ".mp4", ".png")


class Moment(NamedTuple):
    """One moment of an episode, on the host.

    Attributes:
        state: of the environment.
        observation: what the agent sees.
        action: that led here; None at the start.
        reward: `[objective]` of the step that led here; zeros at the start.
        ended: `terminated`, `truncated`, or empty while the episode goes on.
    """

    state: PyTree
    observation: PyTree
    action: Any
    reward: np.ndarray
    ended: str


def play(policy: Policy, environment: Environment, seed: int = 1, max_steps: int = 1000) -> Iterator[Moment]:
    """One episode under the policy's own parameters of the environment, as those in training; the start comes first.

    Args:
        policy: what acts.
        environment: without auto-reset.
        seed: of the episode.
        max_steps: after which an episode is left.
    """
    params = policy.hyperparameters.environment
    reset, step = jax.jit(environment.reset), jax.jit(environment.step)
    key, start_key = jax.random.split(jax.random.key(seed))
    state, observation = reset(start_key, params)
    memory = policy.initial_memory()
    nothing = np.zeros(environment.spec.num_objectives)
    yield Moment(*jax.device_get((state, observation)), None, nothing, "")
    for index in range(max_steps):
        act_key, step_key = jax.random.split(jax.random.fold_in(key, index))
        action, memory = policy.act(act_key, observation, memory)
        state, timestep = step(step_key, state, action, params)
        observation = timestep.observation
        ended = "terminated" if timestep.terminated else "truncated" if timestep.truncated else ""
        yield Moment(*jax.device_get((state, observation, action, timestep.reward)), ended)
        if ended:
            return


def frames(
    policy: Policy, environment: Environment, moments: Iterator[Moment], every: int = 1
) -> "Iterator[Image.Image]":
    """A picture of every moment, or `every` so many and the end, with action, rewards and preference beside it."""
    spec, params = environment.spec, jax.device_get(policy.hyperparameters.environment)
    weights = np.asarray(policy.hyperparameters.weights)
    returns: np.ndarray | None = None
    draw = unwrap = None
    for index, moment in enumerate(moments):
        if draw is None:
            draw, unwrap = renderer_of(moment.state)
        returns = moment.reward.astype(float) if returns is None else returns + moment.reward
        if index % every and not moment.ended:
            continue
        picture = draw(Scene(unwrap(moment.state), moment.observation, params, spec))
        caption = Caption(
            spec.name, index, moment.action, spec.objective_names, moment.reward, returns, weights, moment.ended
        )
        yield frame(picture, caption)


def watch(
    directory: str | Path,
    out: str | Path | None = None,
    member: int | None = None,
    weights: Sequence[float] | None = None,
    at_least: Mapping[str | int, float | int] | None = None,
    seed: int = 1,
    max_steps: int = 1000,
    frames_per_second: int = 20,
    which: str = "last",
    explore: bool = False,
) -> Path:
    """One episode of a run's policy, as a GIF, a video or single pictures.

    Args:
        directory: of a run with policies.
        out: `.gif`, `.mp4`, or `.png` for a file per frame, numbered; default `episode.gif` in the run directory.
        member: which of many policies; default the first of a sweep.
        weights, at_least: choose from a front instead, as `jaxrl.choose`; of a policy that is conditioned on
            preference weights, the weights to act by.
        seed: of the episode.
        max_steps: after which an episode is left.
        frames_per_second: from 1 to 100.
        which: `last`, or `best`, as for `jaxrl.load`.
        explore: sample actions instead of taking the most likely.

    Returns:
        What was written, the first file of several.

    Raises:
        ValueError: for a run without policies, or a file of another kind.
        ImportError: for a video without imageio-ffmpeg.
        IndexError: for a member that does not exist.
    """
    SEED.check("seed", seed)
    COUNT.check("max_steps", max_steps)
    FRAMES_PER_SECOND.check("frames_per_second", frames_per_second)
    out = Path(directory) / "episode.gif" if out is None else Path(out)
    if out.suffix not in _SUFFIXES:
        raise ValueError(f"an episode is written as {', '.join(_SUFFIXES)}, got {str(out)!r}")
    if out.suffix == ".mp4":
        _video_writer()
    configuration = read_configuration(directory)
    _, policy, environment = choose_one(directory, configuration, member, weights, at_least, which)
    policy = Policy(policy.agent, policy.state, policy.hyperparameters, explore)
    moments = play(policy, environment, seed, max_steps)
    return write_frames(list(frames(policy, environment, moments)), out, frames_per_second)


def write_frames(pictures: "list[Image.Image]", out: Path, frames_per_second: int = 20) -> Path:
    """Writes pictures of one size by the file's suffix; the last one stands for a second."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".png":
        paths = [out.with_name(f"{out.stem}_{index:04d}.png") for index in range(len(pictures))]
        for path, picture in zip(paths, pictures, strict=True):
            picture.save(path)
        return paths[0]
    pictures = pictures + [pictures[-1]] * round(_STANDS * frames_per_second)
    if out.suffix == ".mp4":
        width, height = pictures[0].size
        writer = _video_writer()(str(out), (width, height), fps=frames_per_second, macro_block_size=2)
        writer.send(None)
        for picture in pictures:
            writer.send(picture.tobytes())
        writer.close()
        return out
    # Of one palette: cells and lines keep their colours from frame to frame.
    palette = _palette(pictures)
    reduced = [picture.quantize(palette=palette, dither=0) for picture in pictures]
    reduced[0].save(
        out, save_all=True, append_images=reduced[1:], duration=round(1000 / frames_per_second), loop=0, optimize=False
    )
    return out


def _palette(pictures: "list[Image.Image]") -> "Image.Image":
    """The colours of a few frames through the episode."""
    from PIL import Image

    chosen = pictures[:: max(1, len(pictures) // 4)][:5]
    joined = Image.new("RGB", (chosen[0].width, sum(picture.height for picture in chosen)))
    top = 0
    for picture in chosen:
        joined.paste(picture, (0, top))
        top += picture.height
    return joined.quantize(256, dither=0)


def _video_writer() -> Any:
    try:
        from imageio_ffmpeg import write_frames as write
    except ImportError as error:
        raise ImportError("a video needs imageio-ffmpeg: pip install 'jaxrl[video]'; a .gif needs nothing") from error
    return write
