"""Whether runs can be compared: a sentence for what differs, an error where their numbers mean different things."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from jaxrl.errors import CheckpointError
from jaxrl.runs.contenders import Contender, shown

__all__ = ["check_comparable", "check_finished", "is_judged_at_end"]

_EPISODES = "evaluation_episodes"


def check_comparable(contenders: Sequence[Contender], say: Callable[[str], None], at_end: bool) -> dict[str, int]:
    """Says what differs where it should not.

    Args:
        contenders: what is compared.
        say: is told what makes a comparison less than fair.
        at_end: whether runs are judged by what they end with, after however many steps.

    Returns:
        By environment, the steps after which all of its runs can be judged.

    Raises:
        ValueError: for runs of different kinds, no environment in common, or another protocol of evaluation.
        CheckpointError: for a run whose first evaluation is later than the last of another.
    """
    _check_kinds(contenders)
    by_environment: dict[str, list[Contender]] = {}
    for one in contenders:
        by_environment.setdefault(one.environment, []).append(one)
    if len(by_environment) > 1 and all(len(found) < 2 for found in by_environment.values()):
        text = _each({name: [str(one.place) for one in found] for name, found in by_environment.items()})
        raise ValueError(f"runs are compared on one environment, these have none in common: {text}")
    limits = {}
    for environment, found in by_environment.items():
        _check_protocol(found, say)
        _say_constants(environment, found, say)
        limits[environment] = _check_steps(environment, found, say, at_end)
    return limits


def _check_kinds(contenders: Sequence[Contender]) -> None:
    """What is built in another way, or judged by something else, comes to something else."""
    first = contenders[0]
    for one in contenders:
        if one.kind.build is not first.kind.build or one.program.summary != first.program.summary:
            raise ValueError(
                f"runs of different kinds come to different things and cannot be compared: {first.place} is a "
                f"{first.kind.name} judged by {', '.join(first.program.summary)}, {one.place} a {one.kind.name} judged "
                f"by {', '.join(one.program.summary)}"
            )


def _check_protocol(contenders: Sequence[Contender], say: Callable[[str], None]) -> None:
    protocols = [_protocol(one) for one in contenders]
    for name in dict.fromkeys(name for protocol in protocols for name in protocol):
        text = _that_differ(contenders, [protocol.get(name) for protocol in protocols])
        if text and name == _EPISODES:
            say(f"{name} is {text}: fewer episodes make noisier numbers")
        elif text:
            raise ValueError(f"runs are compared under one protocol of evaluation, and {name} is {text}")


def _protocol(one: Contender) -> Mapping[str, Any]:
    if one.kind.protocol is not None:
        return one.kind.protocol(one.program, one.configuration)
    config = getattr(one.program, "config", None)
    names = [field.name for field in fields(config)] if config is not None else []
    return {name: getattr(config, name) for name in names if name.startswith("evaluation")}


def _say_constants(environment: str, contenders: Sequence[Contender], say: Callable[[str], None]) -> None:
    """Constants of the environment are evaluated as they were trained."""
    names = dict.fromkeys(name for one in contenders for name in one.facts if ".environment." in f".{name}")
    for name in names:
        text = _that_differ(contenders, [one.facts[name] for one in contenders])
        if text:
            say(f"{name} is {text}: these runs were evaluated in different versions of {environment}")


def _check_steps(environment: str, contenders: Sequence[Contender], say: Callable[[str], None], at_end: bool) -> int:
    """The steps after which all can be judged."""
    for one in contenders:
        _say_unfinished(one, say)
    reached = [int(one.last["steps"].min()) for one in contenders]
    limit, text = min(reached), _that_differ(contenders, reached)
    if text:
        how = "their results are compared all the same" if at_end else f"all are compared after {limit:,}"
        say(f"the number of steps{f' on {environment}' if environment else ''} is {text}: {how}")
    for one in contenders:
        first = one.rows.groupby("member")["steps"].min().max()
        if not at_end and first > limit:
            least = contenders[reached.index(limit)].place
            raise CheckpointError(
                f"{one.place} was first evaluated after {first:,} steps, {least} has come to {limit:,}: there is no "
                "number of steps after which both were evaluated"
            )
    return limit


def _say_unfinished(one: Contender, say: Callable[[str], None]) -> None:
    total, steps = int(one.program.evaluation_steps[-1]), int(one.last["steps"].min())
    lacking = {*one.configuration.seeds} - {*one.rows["seed"]}
    if one.state == "finished" or (steps >= total and not lacking):
        return
    seeds = f", and {len(lacking)} of its {len(one.configuration.seeds)} seeds have not begun" if lacking else ""
    say(f"{one.place} is {one.state} after {steps:,} of {total:,} steps{seeds}: it is compared as far as it is")


def check_finished(contenders: Iterable[Contender], why: str) -> None:
    """Refuses runs that have not come to their end.

    Args:
        contenders: what is compared.
        why: a reason that only finished runs will do.

    Raises:
        CheckpointError: for the first that has not ended.
    """
    for one in contenders:
        if one.state != "finished":
            raise CheckpointError(f"{one.place} is {one.state}, and {why}: jaxrl resume {one.place} finishes it")


def _that_differ(contenders: Sequence[Contender], values: Sequence[Any]) -> str:
    """`1 in runs/a, 2 in runs/b and runs/c`; empty where all are the same."""
    places: dict[str, list[str]] = {}
    for one, value in zip(contenders, values, strict=True):
        text = f"{value:,}" if type(value) is int else shown(value)
        places.setdefault(text, []).append(str(one.place))
    return "" if len(places) < 2 else _each(places)


def _each(places: Mapping[str, Sequence[str]]) -> str:
    """Values, and the few first places of each."""
    parts = []
    for value, found in places.items():
        own = list(dict.fromkeys(found))
        more = f" and {len(own) - 2} more" if len(own) > 2 else ""
        parts.append(f"{value} in {', '.join(own[:2])}{more}")
    return "; ".join(parts)


def is_judged_at_end(contenders: Iterable[Contender]) -> bool:
    """Whether runs are judged by what their kind's `finish` found."""
    return any(one.kind.measures is not None for one in contenders)
