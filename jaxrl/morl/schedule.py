"""How a study's environment steps are shared between phases of different size, counted truly."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

from jaxrl.agents import agent_entry
from jaxrl.environments.base import Environment
from jaxrl.morl.population import Method, Phase, population
from jaxrl.morl.problem import Problem
from jaxrl.morl.study import Study
from jaxrl.training import Trainer, trainer

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
    settings = {"total_steps": 500_000, **settings}
    entry = agent_entry(agent)
    known = {field.name for field in fields(entry.config)}
    config = replace(entry.config, **{name: value for name, value in settings.items() if name in known})
    per_iteration = config.num_envs * config.num_steps
    lengths = [share / members for members, share in phases]
    lengths = [length / sum(lengths) for length in lengths]
    iterations = _iterations(settings["total_steps"], per_iteration, phases, lengths)
    evaluations = settings.get("num_evaluations") or max(2 * len(phases), int(iterations) // _UPDATES_PER_EVALUATION)
    counts = _whole(lengths, evaluations)
    lengths = [count / evaluations for count in counts]
    iterations = int(_iterations(settings["total_steps"], per_iteration, phases, lengths))
    if iterations < evaluations:
        raise ValueError(
            f"total_steps={settings['total_steps']} gives {iterations} iterations of {per_iteration} steps for each of "
            f"{' then '.join(str(members) for members, _ in phases)} members: fewer than num_evaluations={evaluations}"
        )
    member = {**settings, "total_steps": iterations * per_iteration, "num_evaluations": evaluations}
    built = trainer(agent, environment, **member)
    return built, tuple(Phase(members, count) for (members, _), count in zip(phases, counts, strict=True))


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
