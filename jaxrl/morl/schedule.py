"""How a study's environment steps are shared between phases of different size, counted truly."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from jaxrl.agents import AgentEntry, agent_entry
from jaxrl.configs import field_names
from jaxrl.environments.base import Environment
from jaxrl.morl.population import Method, Phase, population
from jaxrl.morl.problem import Problem
from jaxrl.morl.study import Study
from jaxrl.training.schedule import Default, TrainerConfig, fit_config
from jaxrl.training.trainer import Trainer, trainer

__all__ = ["CONTROL_SETTINGS", "member_trainer", "study_of_members"]

# Members' settings that PGMORL's paper (appendix C) and C-MORL's code share.
CONTROL_SETTINGS: dict[str, Any] = {
    "num_steps": 512,
    "num_epochs": 10,
    "num_minibatches": 32,
    "learning_rate": 3e-4,
    "discount": 0.995,
    "entropy_coefficient": 0.0,
}

# Updates between two evaluations where nothing else is said (C-MORL's and PGMORL's code evaluate as often or less).
_UPDATES_PER_EVALUATION = 10


def study_of_members(
    environment: Environment,
    problem: Problem,
    config: Any,
    hyperparameters: Any,
    settings: dict[str, Any],
    shares: Sequence[tuple[int, float]],
    method: Callable[[Trainer, tuple[Phase, ...]], Method],
) -> Study:
    """A population study whose members together take `total_steps` environment steps.

    Args:
        environment: under the protocol.
        problem: the protocol.
        config: static settings of the algorithm, `member_agent` and `archive_capacity` among them.
        hyperparameters: traced settings of the algorithm.
        settings: of the inner trainer; `total_steps` counts every member's steps.
        shares: members and share of all steps of each phase.
        method: `(trainer of one member, phases) -> Method`.

    Raises:
        ValueError: if the steps do not suffice for one iteration per evaluation, or for sizes below 1.
    """
    trainer, phases = member_trainer(environment, config.member_agent, shares, settings)
    return population(trainer, method(trainer, phases), problem, config.archive_capacity, hyperparameters, config)


def member_trainer(
    environment: Environment,
    agent: str,
    phases: Sequence[tuple[int, float]],
    settings: dict[str, Any],
) -> tuple[Trainer, tuple[Phase, ...]]:
    """The trainer of one member, and phases whose members take `total_steps` environment steps together.

    A phase with Mᵢ members and a share fᵢ of all steps gets iterations in proportion to fᵢ/Mᵢ, in whole evaluation
    intervals.

    Args:
        environment: under the problem's protocol.
        agent: name of the inner agent.
        phases: members and share of steps of each phase; shares sum to 1.
        settings: of the trainer; `total_steps` counts all members.

    Raises:
        ValueError: if the steps do not suffice for one iteration per evaluation.
    """
    settings = {"total_steps": Default(500_000), **settings}
    given = frozenset(name for name, value in settings.items() if not isinstance(value, Default))
    plain = {name: value.value if isinstance(value, Default) else value for name, value in settings.items()}
    chosen = plain.get("num_evaluations")
    total_steps = TrainerConfig(total_steps=plain["total_steps"], num_evaluations=chosen or 1).total_steps
    lengths = [share / members for members, share in phases]
    lengths = [length / sum(lengths) for length in lengths]
    entry, least = agent_entry(agent), chosen or 2 * len(phases)
    fitted = _fitted(environment, entry, plain, given)
    rounded = [count / least for count in _whole(lengths, least)]
    if _iterations(total_steps, _product(fitted), phases, rounded) < least:
        most = int(_iterations(total_steps, least, phases, rounded))
        fitted = _fitted(environment, entry, plain, given, most)
    per_iteration = _product(fitted)
    iterations = _iterations(total_steps, per_iteration, phases, lengths)
    evaluations = chosen or max(least, int(iterations) // _UPDATES_PER_EVALUATION)
    counts = _whole(lengths, evaluations)
    lengths = [count / evaluations for count in counts]
    iterations = int(_iterations(total_steps, per_iteration, phases, lengths))
    if iterations < evaluations:
        raise ValueError(
            f"total_steps={total_steps} gives {iterations} iterations of {per_iteration} steps for each of "
            f"{' then '.join(str(members) for members, _ in phases)} members: fewer than num_evaluations={evaluations}"
        )
    member = {**settings, **fitted, "total_steps": iterations * per_iteration, "num_evaluations": evaluations}
    built = trainer(agent, environment, **member)
    return built, tuple(Phase(members, count) for (members, _), count in zip(phases, counts, strict=True))


def _fitted(
    environment: Environment,
    entry: AgentEntry,
    plain: dict[str, Any],
    given: frozenset[str],
    most: int | None = None,
) -> dict[str, int]:
    """Copies and steps of a member's iteration; those that were not given fit into `most` steps, where they can."""
    known = field_names(entry.config)
    config = replace(entry.config, **{name: value for name, value in plain.items() if name in known})
    if not {"num_envs", "num_steps"} <= known:
        collects = entry.build(environment.spec, config).collects
        return {"num_envs": collects.num_envs, "num_steps": collects.num_steps}
    schedule = TrainerConfig(total_steps=max(1, most or 1))
    given = (given | {"total_steps"}) if most is not None else given - {"total_steps"}
    config = fit_config(config, entry, given, environment, schedule)
    return {"num_envs": config.num_envs, "num_steps": config.num_steps}


def _product(fitted: dict[str, int]) -> int:
    return fitted["num_envs"] * fitted["num_steps"]


def _iterations(
    total_steps: int, per_iteration: int, phases: Sequence[tuple[int, float]], lengths: Sequence[float]
) -> float:
    members = sum(length * count for length, (count, _) in zip(lengths, phases, strict=True))
    return total_steps / (per_iteration * members)


def _whole(lengths: Sequence[float], total: int) -> list[int]:
    """Whole numbers near `lengths` times `total`, each at least 1, with that sum."""
    if total < len(lengths):
        raise ValueError(f"num_evaluations={total} is less than one for each of {len(lengths)} phases")
    counts = [max(1, round(length * total)) for length in lengths]
    while sum(counts) != total:
        # The largest phase takes what rounding left over.
        counts[counts.index(max(counts))] += 1 if sum(counts) < total else -1
    return counts
