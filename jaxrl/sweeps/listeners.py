"""Who hears of the rows of a sweep after every chunk."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from jaxrl.sweeps.result import Group
from jaxrl.sweeps.tables import evaluation_table
from jaxrl.tracking import Tracked
from jaxrl.training.program import Program

__all__ = ["tell", "tracked_sweep"]


def tell(
    listeners: Iterable[Callable[[Any, bool], Any]], names: list[str], first: int, group: Group, restored: bool
) -> bool:
    """Gives the table of what a group has done to all listeners; true where one of them answers True, to end the run.

    Args:
        listeners: `(rows, whether a checkpoint held them already)`.
        names: of the swept settings.
        first: number of the group's first member.
        group: the members, with what one chunk gave.
        restored: whether a checkpoint held it already.
    """
    table = evaluation_table(group, names, first)
    answers = [listener(table, restored) for listener in listeners]
    return any(answer is True for answer in answers)


def tracked_sweep(
    program: Program,
    label: str,
    directory: str | Path | None,
    names: Iterable[str],
    configuration: Mapping[str, Any] | None,
    part: tuple[int, int] | None = None,
) -> Tracked:
    """What loggers are told of a sweep.

    Args:
        program: of its first group.
        label: the name of a sweep without a directory.
        directory: of its checkpoints.
        names: of the swept settings.
        configuration: of the run directory around them; None where there is none, for the program's settings.
        part: of the members, which has a folder of its own two below the run's.
    """
    if part is not None:
        place = Path(directory)
        run = f"{place.parents[1].name} {place.name}"
        return Tracked(run, place, {"program": program.name, **(configuration or {})}, tuple(names))
    place = None if directory is None else Path(directory) if configuration is None else Path(directory).parent
    told = getattr(program, "settings", {}) if configuration is None else configuration
    return Tracked(place.name if place else label, place, {"program": program.name, **told}, tuple(names))
