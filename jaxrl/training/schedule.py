"""The schedule of a run, and defaults that give way: only what a user wrote can be wrong."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple

from jaxrl.agents.base import Collection
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.fitting import nearest_multiple
from jaxrl.configs import check_config, field_names
from jaxrl.environments.base import Environment
from jaxrl.ranges import COUNT, STEPS

__all__ = ["Default", "TrainerConfig", "fit_config", "fit_evaluations", "fit_schedule"]


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """The schedule of a run; static."""

    total_steps: Annotated[int, STEPS] = 500_000
    """Environment steps over all copies, rounded down to whole iterations."""
    num_evaluations: Annotated[int, COUNT] = 10
    """Evaluations at equal intervals, the last one at the end."""
    evaluation_episodes: Annotated[int, COUNT] = 16
    """Episodes of each evaluation."""
    evaluation_steps: Annotated[int, COUNT] = 1000
    """Steps after which an episode without a time limit is cut in evaluation."""
    evaluation_explores: bool = False
    """Sample actions in evaluation instead of taking the most likely."""
    action_repeat: Annotated[int, COUNT] = 1
    """Times that every action is taken in the environment, rewards summed; an end stops it. All steps, of this
    schedule, of rollouts and of episodes, count the agent's decisions."""
    auto_reset: str | None = None
    """fresh (a new start per copy and step), pool (a few starts per step, for costly resets: copies that end in the
    same step may share one) or None: what suits the environment. Evaluations never share starts."""
    pool_size: Annotated[int, COUNT] | None = None
    """Starts per step in mode pool, from 1 to num_envs; default num_envs / 16. Copy i restarts from start
    i mod pool_size: by default 3 in 10 starts are shared if episodes take 20 steps, 1 in 100 if they take 1000."""

    __post_init__ = check_config


class Default(NamedTuple):
    """A setting that somebody else than the user chose, such as an algorithm's paper: it gives way, too."""

    value: Any


def fit_config(
    config: Any, entry: AgentEntry, given: frozenset[str], environment: Environment, schedule: TrainerConfig
) -> Any:
    """An agent's static settings, those that were not `given` fitted to the others, the environment and the schedule.

    Copies are shared out among an environment's blocks; where `total_steps` is less than one iteration, iterations
    become shorter, then fewer copies act; what the agent itself knows to fit follows.

    Args:
        config: the settings; `num_envs` and `num_steps` are fitted where it has them.
        entry: of the agent.
        given: names of settings that the user wrote.
        environment: the environment.
        schedule: the schedule.
    """
    if {"num_envs", "num_steps"} <= field_names(config):
        if environment.blocks and "num_envs" not in given:
            config = replace(config, num_envs=nearest_multiple(config.num_envs, len(environment.blocks)))
        config = _shortened(config, given, environment, schedule)
        if entry.fit:
            # What the agent makes longer, whole episodes for groups, may leave room for fewer copies.
            config = _shortened(entry.fit(config, given, environment.spec), given, environment, schedule, least=True)
    if {"learning_starts", "buffer_size"} <= field_names(config):
        config = _with_experience(config, given, schedule)
    return entry.fit(config, given, environment.spec) if entry.fit else config


def _with_experience(config: Any, given: frozenset[str], schedule: TrainerConfig) -> Any:
    """A buffer no larger than the run is long, and a tenth of a short run before learning.

    Raises:
        ValueError: where nothing would be learned.
    """
    total = schedule.total_steps
    if "buffer_size" not in given:
        config = replace(config, buffer_size=max(min(config.buffer_size, total), config.batch_size))
    if "learning_starts" not in given:
        starts = config.learning_starts if config.learning_starts < total else total // 10
        return replace(config, learning_starts=min(starts, config.buffer_size))
    if config.learning_starts >= total:
        raise ValueError(f"learning_starts={config.learning_starts} leaves none of total_steps={total} to learn in")
    return config


def _shortened(
    config: Any, given: frozenset[str], environment: Environment, schedule: TrainerConfig, least: bool = False
) -> Any:
    """`least`: whether `num_steps` cannot be less."""
    total = schedule.total_steps
    if "total_steps" not in given or not config.num_steps or config.num_envs * config.num_steps <= total:
        return config
    if "num_steps" not in given and not least:
        config = replace(config, num_steps=max(1, total // config.num_envs))
    if config.num_envs * config.num_steps > total and "num_envs" not in given:
        blocks = max(1, len(environment.blocks))
        config = replace(config, num_envs=max(1, total // config.num_steps // blocks) * blocks)
    return config


def fit_schedule(schedule: TrainerConfig, collects: Collection, given: frozenset[str]) -> TrainerConfig:
    """At least one iteration where `total_steps` was not given, and no more evaluations than iterations by default."""
    per_iteration = collects.steps_per_iteration
    if "total_steps" not in given:
        schedule = replace(schedule, total_steps=max(schedule.total_steps, per_iteration))
    return fit_evaluations(schedule, given, schedule.total_steps // per_iteration)


def fit_evaluations(config: Any, given: Any, num_iterations: int) -> Any:
    """Any schedule with as many evaluations as iterations at most, unless their number was given."""
    if "num_evaluations" in given:
        return config
    return replace(config, num_evaluations=max(1, min(config.num_evaluations, num_iterations)))
