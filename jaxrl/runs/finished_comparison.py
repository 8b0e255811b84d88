"""Runs that have been, compared: the table and figures of a comparison from what run directories hold."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxrl.errors import CheckpointError
from jaxrl.ranges import EPISODES
from jaxrl.runs.comparability import check_comparable, check_finished, is_judged_at_end
from jaxrl.runs.compared import Compared, summarise, write_comparison
from jaxrl.runs.configuration import check_writable, write_atomically
from jaxrl.runs.contenders import Contender, facts_that_differ, find_contenders, shown
from jaxrl.runs.kinds import Outcome
from jaxrl.runs.saved import evaluate

if TYPE_CHECKING:
    import pandas

__all__ = ["RECORD", "compare_runs"]

RECORD = "compared.json"
"""Written beside tables and figures: what was compared, and what was said of it."""
_BY = "run"


def compare_runs(
    runs: Sequence[str | Path],
    directory: str | Path | None = None,
    num_episodes: int | None = None,
    say: Callable[[str], None] = print,
) -> "pandas.DataFrame":
    """Compares runs that have been, by what they were set to; nothing in their directories changes.

    What a run came to is its last evaluation in `metrics.csv` (of fronts, `measures.csv`), after as many steps as all
    have come to. Runs that differ in nothing but their seeds are one row; where they have a seed in common they stay
    apart, by the names of their folders.

    Args:
        runs: run directories, or folders that hold some, such as a comparison's. Each setting of a sweep is a row;
            `RUN:learning_rate=0.001` means the members with that value.
        directory: where `comparison.csv` (one row per seed), `summary.csv`, figures and `compared.json` go, none of
            the runs'; None writes nothing.
        num_episodes: fresh episodes per policy, from the checkpoints of finished runs, instead of the last evaluations.
        say: is told what differs besides what is compared: steps, episodes, constants of the environment, what has not
            finished.

    Returns:
        One row per environment and `run`: interquartile means over seeds with 95 % bootstrap intervals, and steps.

    Raises:
        ValueError: for fewer than two rows, or runs whose numbers mean different things: of different kinds, with no
            environment in common, or under another protocol of evaluation.
        CheckpointError: for a run that is damaged, has not been evaluated, or would have to be finished first, or a
            directory that holds something else.
    """
    if num_episodes is not None:
        EPISODES.check("num_episodes", num_episodes)
    said: list[str] = []

    def tell(text: str) -> None:
        said.append(text)
        say(text)

    contenders = find_contenders(runs, tell)
    if not contenders:
        raise ValueError(f"{', '.join(map(str, runs)) or 'nothing'} holds no run that could be compared")
    if directory is not None:
        _check_out(Path(directory), contenders)
    at_end = is_judged_at_end(contenders)
    if at_end or num_episodes is not None:
        what = "what it is judged by comes at the end" if at_end else "fresh episodes are of policies that are finished"
        check_finished(contenders, what)
    limits = check_comparable(contenders, tell, at_end or num_episodes is not None)
    rows = _rows(contenders, pool=not at_end)
    if len({name for _, name in rows}) < 2:
        raise ValueError(f"a comparison needs two runs, or settings, that differ in more than seeds, got {_list(rows)}")
    measured = _Measured(num_episodes, limits)
    compared = [measured.row(environment, name, members) for (environment, name), members in rows.items()]
    if directory is None:
        return summarise(compared, _BY)
    place = Path(directory)
    _remove_former(place)
    summary = write_comparison(compared, contenders[0].kind, place, _BY, tell)
    _write_record(place, rows, num_episodes, said)
    return summary


def _rows(contenders: Sequence[Contender], pool: bool) -> dict[tuple[str, str], list[Contender]]:
    """What makes up each row, by environment and name; `pool` says whether seeds of several directories may."""
    differing = facts_that_differ(contenders)
    rows: dict[tuple[str, str], list[Contender]] = {}
    for one in contenders:
        rows.setdefault((one.environment, _name(one, differing, str)), []).append(one)
    short = {_name(one, differing, shown) for one in contenders}
    text = shown if len(short) == len({name for _, name in rows}) else str
    folders = _folders(contenders)
    named: dict[tuple[str, str], list[Contender]] = {}
    for (environment, _), found in rows.items():
        name = _name(found[0], differing, text)
        seeds = [seed for one in found for seed in one.rows["seed"].unique()]
        if len(found) == 1 and name:
            named[environment, name] = found
        elif pool and len(set(seeds)) == len(seeds):
            named[environment, name or folders[found[0].place]] = found
        else:
            for one in found:
                named[environment, ", ".join(filter(None, (name, folders[one.place])))] = [one]
    return named


def _name(one: Contender, differing: Sequence[str], text: Callable[[Any], str]) -> str:
    """`ppo, learning_rate=0.001`, of what differs."""
    last = [name.rpartition(".")[2] for name in differing]
    names = {name: short if last.count(short) == 1 else name for name, short in zip(differing, last, strict=True)}
    value = lambda name: text(one.facts.get(name, "default"))  # noqa: E731
    return ", ".join(value(name) if name == "agent" else f"{names[name]}={value(name)}" for name in differing)


def _folders(contenders: Sequence[Contender]) -> dict[Path, str]:
    """What tells directories apart: their paths without the folders that all share."""
    parts = {one.place: one.place.resolve().parts for one in contenders}
    shared = 0
    while len(parts) > 1 and len({own[: shared + 1] for own in parts.values()}) == 1:
        shared += 1
    return {place: str(Path(*own[shared:])) if len(parts) > 1 else place.name for place, own in parts.items()}


class _Measured:
    """What runs came to, after given steps or over fresh episodes, which are played once for a directory."""

    def __init__(self, num_episodes: int | None, limits: dict[str, int]) -> None:
        self.num_episodes = num_episodes
        self.limits = limits
        self.fresh: dict[Path, pandas.DataFrame] = {}

    def row(self, environment: str, name: str, contenders: Sequence[Contender]) -> Compared:
        """One row of the comparison."""
        import pandas

        first = contenders[0]
        if first.kind.measures is not None:
            return self._found(environment, name, first)
        measures = pandas.concat([self._measures(one) for one in contenders], ignore_index=True)
        curve = pandas.concat([one.rows for one in contenders], ignore_index=True)
        return Compared(environment, name, first.program, measures, curve)

    def _measures(self, one: Contender) -> "pandas.DataFrame":
        """What every seed of one setting came to."""
        names = list(dict.fromkeys((*one.program.summary, one.program.score)))
        if self.num_episodes is None:
            rows = one.rows[one.rows["steps"] <= self.limits[one.environment]]
            return rows.groupby("member", sort=False).tail(1)[["seed", *names, "steps"]]
        if one.place not in self.fresh:
            found = evaluate(one.place, self.num_episodes, explore=None)
            self.fresh[one.place] = found.set_index("member")
        last, fresh = one.last.set_index("member"), self.fresh[one.place]
        known = [name for name in names if name in fresh]
        return fresh.loc[last.index, known].assign(seed=last["seed"], steps=last["steps"])

    def _found(self, environment: str, name: str, one: Contender) -> Compared:
        """Of what the kind's `finish` found."""
        kind = one.kind
        if kind.found is None:
            raise ValueError(f"runs of the kind {kind.name} are compared as they are run, not afterwards")
        found = kind.found(one.place, one.configuration, one.program, self.num_episodes)
        outcome = Outcome(one.configuration, one.program, found=found)
        measures = kind.measures(outcome, self.num_episodes or 0)
        steps = one.last.groupby("seed")["steps"].max().rename(str)
        measures = measures.assign(steps=measures["seed"].astype(str).map(steps))
        return Compared(environment, name, one.program, measures, one.rows, outcome)


def _check_out(directory: Path, contenders: Sequence[Contender]) -> None:
    """Raises CheckpointError unless a comparison may be written there: in none of the runs, over nothing else."""
    check_writable(directory)
    places = {one.place.resolve() for one in contenders}
    inside = next((place for place in (directory.resolve(), *directory.resolve().parents) if place in places), None)
    if inside:
        raise CheckpointError(f"{directory} is one of the compared runs, or in it: choose another --out")
    held = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    if held and RECORD not in held:
        raise CheckpointError(
            f"{directory} holds {held[0]} and no {RECORD} of a former comparison: choose another --out"
        )


def _written(directory: Path) -> list[Path]:
    """Tables and figures of a comparison."""
    return sorted([*directory.glob("*.csv"), *directory.glob("figures/*.png")])


def _remove_former(directory: Path) -> None:
    """Of a former comparison of other runs, nothing is left beside the new one."""
    for path in _written(directory) if (directory / RECORD).exists() else ():
        path.unlink()


def _write_record(
    directory: Path, rows: dict[tuple[str, str], list[Contender]], num_episodes: int | None, said: Sequence[str]
) -> None:
    from jaxrl import __version__

    described = [
        {
            "environment": environment,
            _BY: name,
            "directories": [str(one.place.resolve()) for one in found],
            "facts": found[0].facts,
            "members": [[int(member) for member in one.rows["member"].unique()] for one in found],
        }
        for (environment, name), found in rows.items()
    ]
    record = {"runs": described, "fresh_episodes": num_episodes, "said": [*said], "jaxrl": __version__}
    write_atomically(directory / RECORD, json.dumps(record, indent=2, default=str))


def _list(rows: dict[tuple[str, str], list[Contender]]) -> str:
    return ", ".join(dict.fromkeys(str(one.place) for found in rows.values() for one in found))
