"""Runs that have been: which members of which directories are meant, and what was run there, setting by setting."""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxrl import hyperparameters as named
from jaxrl.errors import CheckpointError, require_name
from jaxrl.runs.configuration import Configuration, read_configuration
from jaxrl.runs.experiment import build
from jaxrl.runs.finding import run_directories, state_of
from jaxrl.runs.kinds import KINDS, Kind
from jaxrl.runs.metrics import read_metrics
from jaxrl.training.program import Program

if TYPE_CHECKING:
    import pandas

__all__ = ["Contender", "facts_that_differ", "find_contenders", "shown", "split_choice"]

# What follows the folder in `RUN:NAME=VALUE,NAME=VALUE`.
_CHOICE = re.compile(r"(?P<folder>.+?):(?P<choice>[A-Za-z_][\w.]*=.*)", re.DOTALL)
_OTHERWISE = "default"


class Contender(NamedTuple):
    """The members of one run directory that have one setting.

    Attributes:
        place: the directory.
        configuration: of the run.
        program: that it ran.
        facts: what was run, by name: the agent, what was set, and what was swept.
        rows: the evaluations of these members.
        state: `finished`, `running` or `stopped`.
    """

    place: Path
    configuration: Configuration
    program: Program
    facts: dict[str, Any]
    rows: "pandas.DataFrame"
    state: str

    @property
    def kind(self) -> Kind:
        """Of the run."""
        return KINDS[self.configuration.kind]

    @property
    def environment(self) -> str:
        """Its name, with the options of its builder."""
        options = ", ".join(f"{name}={shown(value)}" for name, value in self.configuration.environment_options.items())
        return self.configuration.environment + (f" ({options})" if options else "")

    @property
    def last(self) -> "pandas.DataFrame":
        """The last evaluation of every member."""
        return self.rows.groupby("member", sort=False).tail(1)


def split_choice(word: str) -> tuple[str, dict[str, str]]:
    """The folder of `RUN:NAME=VALUE,NAME=VALUE`, and the values by name."""
    found = _CHOICE.fullmatch(word)
    if not found or os.path.isdir(word):
        return word, {}
    # A comma within a value, as in hidden_sizes=(64,64), is none between names.
    parts = re.split(r",(?=[A-Za-z_][\w.]*=)", found["choice"])
    return found["folder"], dict(part.split("=", 1) for part in parts)


def find_contenders(runs: Sequence[str | Path], say: Callable[[str], None]) -> list[Contender]:
    """What is meant by folders: their runs, and of a sweep each of its settings.

    Args:
        runs: run directories, or folders of them, each once; `RUN:NAME=VALUE` means the members with that value.
        say: is told what is left out.

    Raises:
        ValueError: for what is no folder or holds no run, or a choice that nothing meets.
        CheckpointError: for a run that is damaged or has not been evaluated yet.
    """
    found: dict[tuple[Path, int], Contender] = {}
    split = {word: split_choice(word) for word in map(str, runs)}
    # A word that is no folder is said before any run is read.
    there = {folder: run_directories(folder) for folder, _ in split.values()}
    for word, (folder, choice) in split.items():
        places = there[folder]
        alone = [place.resolve() for place in places] == [Path(folder).resolve()]
        own = [one for place in places for one in _contenders(place, alone, say)]
        _fill(own)
        for one in _chosen(word, own, choice):
            found.setdefault((one.place.resolve(), int(one.rows["member"].iloc[0])), one)
    _fill(found.values())
    return list(found.values())


def _contenders(place: Path, alone: bool, say: Callable[[str], None]) -> list[Contender]:
    """Those of one directory; among many, a run that shows nothing is passed over."""
    try:
        configuration = read_configuration(place)
        if not (place / "metrics.csv").exists():
            raise CheckpointError(f"{place} has no metrics.csv: nothing of it has been evaluated where it lies")
        program = build(configuration)
        rows = _evaluations(read_metrics(place / "metrics.csv"), program)
        if not len(rows):
            raise CheckpointError(f"{place} has not been evaluated yet")
    except CheckpointError as error:
        if alone:
            raise
        say(f"left out: {error}")
        return []
    return [
        Contender(place, configuration, program, _facts(configuration, program, swept), members, state_of(place))
        for swept, members in _settings(rows, configuration)
    ]


def _evaluations(table: "pandas.DataFrame", program: Program) -> "pandas.DataFrame":
    """The rows that end with an evaluation, those of the single run as member 0."""
    if "member" not in table:
        table = table[table["steps"].isin(program.evaluation_steps)].assign(member=0)
    # Planning on tables takes no more steps: what it knows in the end is what those steps gave.
    return table.drop_duplicates(["member", "steps"], keep="last")


def _settings(
    rows: "pandas.DataFrame", configuration: Configuration
) -> Iterable[tuple[dict[str, Any], "pandas.DataFrame"]]:
    """Swept settings and the rows of their members; what is judged as a whole has one."""
    swept = configuration.hyperparameters
    if KINDS[configuration.kind].measures is not None:
        return [({name: json.dumps(values) for name, values in swept.items()}, rows)]
    weights = [name for name in rows if name.startswith("weight_")]
    by = [*swept, *weights]
    if not by:
        return [({}, rows)]
    found = []
    for values, members in rows.groupby(by, sort=False, dropna=False):
        settings = dict(zip(by, values, strict=True))
        chosen = {"weights": tuple(settings.pop(name) for name in weights)} if weights else {}
        found.append(({**settings, **chosen}, members))
    return found


def _facts(configuration: Configuration, program: Program, swept: Mapping[str, Any]) -> dict[str, Any]:
    recorded = {**configuration.settings, **configuration.options, **swept}
    own = {_full_name(program, name): _plain(value) for name, value in recorded.items()}
    return {"agent": configuration.agent, **own}


def _full_name(program: Program, name: str) -> str:
    """The path of a traced leaf; another name as it is."""
    if name in program.static_names:
        return name
    try:
        return named.resolve(program.hyperparameters, name)
    except ValueError:
        return name


def _plain(value: Any) -> Any:
    """A value that compares as a user would: six digits, and sequences as tuples."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _fill(contenders: Iterable[Contender]) -> None:
    """What one was given and another left as it was, as the program of that one has it."""
    contenders = list(contenders)
    names = dict.fromkeys(name for one in contenders for name in one.facts)
    for one in contenders:
        for name in names:
            if name not in one.facts:
                one.facts[name] = _plain(_value_of(one.program, name))


def _value_of(program: Program, name: str) -> Any:
    """A setting of a program: a traced leaf, or static in one of its parts."""
    leaves = named.leaves(program.hyperparameters)
    if name in leaves:
        return np.asarray(leaves[name])
    parts = [program, *(getattr(program, part, None) for part in ("agent", "trainer"))]
    configs = [part.config for part in parts if hasattr(part, "config")]
    return next((getattr(config, name) for config in configs if hasattr(config, name)), _OTHERWISE)


def _chosen(word: str, contenders: list[Contender], choice: Mapping[str, str]) -> list[Contender]:
    """Those with the values that were asked for."""
    for name, text in choice.items():
        names = {known.rpartition(".")[2]: known for one in contenders for known in one.facts}
        full = names.get(name, name)
        require_name(f"setting of {word}", full, {known for one in contenders for known in one.facts})
        fitting = [one for one in contenders if _matches(one.facts[full], text)]
        if not fitting:
            there = ", ".join(dict.fromkeys(shown(one.facts[full]) for one in contenders))
            raise ValueError(f"{word} means no members: of {name} there are {there}")
        contenders = fitting
    return contenders


def _matches(value: Any, text: str) -> bool:
    if shown(value) == text or str(value).replace(" ", "") == text.replace(" ", ""):
        return True
    try:
        return isinstance(value, int | float) and _plain(float(text)) == _plain(float(value))
    except ValueError:
        return False


def shown(value: Any) -> str:
    """A value in a name: `0.001`, `64,64`, `tanh`."""
    if isinstance(value, tuple):
        return ",".join(map(shown, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def facts_that_differ(contenders: Iterable[Contender]) -> list[str]:
    """Names of what is not the same in all that ran on one environment."""
    by_environment: dict[str, list[dict[str, Any]]] = {}
    for one in contenders:
        by_environment.setdefault(one.environment, []).append(one.facts)
    names = dict.fromkeys(name for found in by_environment.values() for facts in found for name in facts)
    differ = lambda name, found: len({str(facts.get(name, _OTHERWISE)) for facts in found}) > 1  # noqa: E731
    return [name for name in names if any(differ(name, found) for found in by_environment.values())]
