"""Episodes of a run's policies for its page: as many as there is time for."""

import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec
from jaxrl.pages import Episode
from jaxrl.ranges import COUNT, NOT_NEGATIVE, SEED, SOME
from jaxrl.runs.configuration import OUTCOME, Configuration
from jaxrl.runs.kinds import KINDS
from jaxrl.runs.saved import policies_of
from jaxrl.runs.watching import Moment, frames, play, write_frames
from jaxrl.sweeps.files import reason
from jaxrl.training.policy import Policy

__all__ = ["EpisodeLimits", "make_episodes"]

# Pictures of an episode at most, seconds that it takes to watch, and bytes of all.
_MOST_PICTURES, _SECONDS, _MOST_BYTES = 100, 5, 24 * 2**20


@dataclass(frozen=True)
class EpisodeLimits:
    """What may be spent on episodes."""

    count: int = 16
    """Policies that are shown."""
    max_steps: int = 1000
    """Steps after which an episode is left."""
    seed: int = 1
    """Of the episodes."""
    seconds: float = 60.0
    """After which no more are made."""

    def __post_init__(self) -> None:
        SOME.check("episodes", self.count)
        COUNT.check("max_steps", self.max_steps)
        SEED.check("seed", self.seed)
        NOT_NEGATIVE.check("seconds", self.seconds)


def make_episodes(
    directory: Path, configuration: Configuration, numbers: Sequence[int], limits: EpisodeLimits
) -> tuple[dict[int, Episode], str]:
    """One episode of each policy, of the first where there are more than may be shown.

    Nothing is trained: a sweep whose run has not ended has no episodes yet. An episode that cannot be made is no error.

    Returns:
        Episodes by number of the policy, and a sentence about policies that have none.
    """
    if limits.count == 0:
        return {}, "This page was made without episodes."
    if not _trains_nothing(directory, configuration):
        return {}, "Episodes come when the run has ended."
    made: dict[int, Episode] = {}
    # What an environment, a renderer or a user's own policy raises is theirs; the page has other things to show.
    try:
        found, chosen = policies_of(directory, configuration), list(numbers)[: limits.count]
        # Compiles; time counts from here.
        list(itertools.islice(play(found.policy(chosen[0]), found.program(chosen[0]).environment), 2))
        end = time.monotonic() + limits.seconds
        for number in chosen:
            if made and (time.monotonic() > end or sum(len(one.picture) for one in made.values()) > _MOST_BYTES):
                break
            policy, environment = found.policy(number), found.program(number).environment
            name = environment.spec.name if found.alone else f"{environment.spec.name}, policy {number}"
            moments = list(_until(play(policy, environment, limits.seed, limits.max_steps), end))
            made[number] = _episode(policy, environment, moments, name)
    except Exception as error:
        return made, f"No episode: {reason(error)}."
    return made, _missing(directory, made, numbers)


def _trains_nothing(directory: Path, configuration: Configuration) -> bool:
    """Whether reading a run's policies finishes no run: it has ended, or reads a checkpoint alone."""
    ended = (directory / OUTCOME).exists() or KINDS[configuration.kind].drive is not None
    return ended and (directory / "checkpoints").is_dir()


def _until(moments: Iterator[Moment], end: float) -> Iterator[Moment]:
    """Moments until a time; one at least."""
    for moment in moments:
        yield moment
        if time.monotonic() > end:
            return


def _episode(policy: Policy, environment: Environment, moments: list[Moment], name: str) -> Episode:
    every = -(-len(moments) // _MOST_PICTURES)
    pictures = list(frames(policy, environment, iter(moments), every))
    speed = int(np.clip(len(pictures) / _SECONDS, 2, 20))
    with tempfile.TemporaryDirectory() as folder:
        written = write_frames(pictures, Path(folder) / "episode.gif", speed).read_bytes()
    return Episode(written, _description(environment.spec, moments, name, every))


def _description(spec: EnvironmentSpec, moments: list[Moment], name: str, every: int) -> str:
    """What happens in an episode, in a sentence."""
    returns = np.sum([moment.reward for moment in moments], axis=0)
    sums = ", ".join(f"{text.replace('_', ' ')} {value:.4g}" for text, value in zip(spec.objective_names, returns))
    thinned = f", one picture every {every} steps" if every > 1 else ""
    return f"{name}: {len(moments) - 1} steps, {moments[-1].ended or 'left there'}{thinned}. It earned {sums}."


def _missing(directory: Path, made: dict[int, Episode], numbers: Sequence[int]) -> str:
    if len(made) == len(numbers):
        return "The page holds episodes of the policies on the front; # is not among them."
    return f"The page holds episodes of {len(made)} of {len(numbers)} policies, and none of policy #."
