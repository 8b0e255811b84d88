"""Kinds of runs: what the first word of a configuration stands for, open to users and to the rooms above this one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxrl.errors import require_name
from jaxrl.registry import Registry

if TYPE_CHECKING:
    from jaxrl.pages import Episode, Section
    from jaxrl.runs.configuration import Configuration
    from jaxrl.sweeps.running import RunOptions
    from jaxrl.sweeps.sweep import Sweep
    from jaxrl.training.loop import Result
    from jaxrl.training.policy import Policy
    from jaxrl.training.program import Program

__all__ = [
    "KINDS",
    "Kind",
    "Material",
    "Outcome",
    "Policies",
    "kind_that_runs",
    "names_of",
    "own_kinds",
    "register_kind",
]


@dataclass(frozen=True)
class Outcome:
    """What a run left: its program, a `Result` or a `Sweep`, and what the kind's `finish` found besides.

    `stopped_after` says how many iterations were done of a single run that a callback ended, and `stopped` tells any
    such run: the kind has not finished it.
    """

    configuration: "Configuration"
    trainer: "Program"
    result: "Result | None" = None
    sweep: "Sweep | None" = None
    found: Any = None
    stopped_after: int | None = None

    @property
    def stopped(self) -> bool:
        """Whether a callback ended it."""
        return self.stopped_after is not None or bool(self.sweep and self.sweep.stopped)


class Policies(NamedTuple):
    """The policies that a run directory holds, numbered from 0.

    Attributes:
        count: how many.
        policy: `number -> Policy`; an IndexError for one that does not exist.
        program: `number -> ` the program whose `evaluator` rolls that policy out.
        save: `(number, directory)`: writes that policy as a run directory of its own.
        choose: `(weights, at_least) -> number`, by a user's preferences; None where there is nothing to choose by.
        alone: whether there is but one, which needs no number.
        best: `number -> Policy` at its best evaluation, where a run keeps that; None where it cannot.
    """

    count: int
    policy: Callable[[int], "Policy"]
    program: Callable[[int], "Program"]
    save: Callable[[int, Path], None]
    choose: Callable[..., int] | None = None
    alone: bool = False
    best: Callable[[int], "Policy"] | None = None


class Material(NamedTuple):
    """What a run has left so far, of which its page is made.

    Attributes:
        directory: of the run.
        configuration: of the run.
        program: built from it.
        table: its metrics.csv as far as that goes; None where there is none yet.
        episodes: `(numbers of policies) -> (episodes by number, a sentence about policies that have none)`; in the
            sentence `#` stands for a number. The first ones come first, as many as were asked for. Nothing is trained.
    """

    directory: Path
    configuration: "Configuration"
    program: "Program"
    table: Any
    episodes: "Callable[[Sequence[int]], tuple[dict[int, Episode], str]]"


class Kind(NamedTuple):
    """A kind of run: how its program is built, and what its runs show.

    Attributes:
        name: in configurations, and of the shell's command.
        description: one line.
        build: `Configuration -> Program`. It raises ValueError for what cannot be run.
        names: what can be run, by the name that `Configuration.agent` takes: a tuple, or a function without arguments
            that returns one. Empty where there is but one thing, called like the kind.
        settings: `name -> ` defaults of what `Configuration.settings` may hold: frozen dataclasses of static settings
            and NamedTuples of traced ones, whose docstrings become the shell's help.
        takes_environment: whether a run is on an environment, which the shell then asks for.
        options: what `Configuration.options` may hold, with defaults.
        drive: `(Program, Configuration, directory, RunOptions) -> Outcome`: carries out a run. Default: seeds x
            settings x weights as members of a sweep.
        finish: `(Outcome, directory) -> Any`: writes tables beside metrics.csv and returns what `describe` needs.
        draw: `(table, Program, Configuration, directory)`: draws what a run's metrics.csv holds so far, which may be a
            part. Default: curves, and figures of swept settings.
        page: `Material -> ` sections of a run's page besides those of every kind: settings, curves, members, tables,
            figures and an episode. It is called for runs in progress, too.
        describe: `Outcome -> str`: results for the terminal. Default: the program's `summary`.
        policies: `(directory, Configuration) -> Policies` of a directory. Default: those of the sweep's members.
        measures: `(Outcome, number of fresh episodes) -> DataFrame` with a row per seed, which comparisons summarise.
            Default: the program's `summary`, of fresh episodes where there are policies. 0 plays none.
        found: `(directory, Configuration, Program, number of fresh episodes or None) -> ` what `finish` found, read
            from what a finished run has written, or evaluated afresh, for `measures` and `compare`; it writes nothing.
        protocol: `(Program, Configuration) -> ` by name, under what its runs are judged: runs that differ in more than
            a number of episodes are not compared. Default: evaluation settings of the program's `config`.
        compare: `(Outcome by name, environment, folder)`: draws figures of a comparison instead of performance profiles
            and probabilities of improvement.
        command: the shell's command, `(arguments, run)`, which calls `run(kind's name, parsed, settings, **fields of
            Configuration)`; or the path `module:attribute` of a `jaxrl.cli.options.Shell`. Default: made from `names`
            and `settings`.
    """

    name: str
    description: str
    build: Callable[["Configuration"], "Program"]
    names: Iterable[str] | Callable[[], Iterable[str]] = ()
    settings: Callable[[str], Iterable[Any]] | None = None
    takes_environment: bool = True
    options: Mapping[str, Any] = MappingProxyType({})
    drive: Callable[["Program", "Configuration", Path, "RunOptions"], Outcome] | None = None
    finish: Callable[[Outcome, Path], Any] | None = None
    draw: Callable[[Any, "Program", "Configuration", Path], None] | None = None
    page: "Callable[[Material], Sequence[Section]] | None" = None
    describe: Callable[[Outcome], str] | None = None
    policies: Callable[[Path, "Configuration"], Policies] | None = None
    measures: Callable[[Outcome, int], Any] | None = None
    found: Callable[[Path, "Configuration", "Program", int | None], Any] | None = None
    protocol: Callable[["Program", "Configuration"], Mapping[str, Any]] | None = None
    compare: Callable[[Mapping[str, Outcome], str, Path], None] | None = None
    command: str | Callable[..., Any] | None = None


_JAXRL = {
    "train": "jaxrl.runs.trained:TRAIN",
    "sweep": "jaxrl.runs.trained:SWEEP",
    "pareto": "jaxrl.morl.kind:PARETO",
    "policy": "jaxrl.morl.kind:POLICY",
    "meta": "jaxrl.meta.kind:META",
    "maml": "jaxrl.multitask.maml.kind:MAML",
    "align": "jaxrl.bilevel.kind:ALIGN",
}
KINDS = Registry("kind of run", _JAXRL)


def register_kind(kind: Kind) -> Kind:
    """Makes a kind of run known: to configurations, to run directories, which remember its module, and to the shell.

    Raises:
        ValueError: if its name is no name, or is taken by a kind of another module.
    """
    KINDS.register(kind.name, kind, module=kind.build.__module__)
    return kind


def own_kinds() -> dict[str, str]:
    """Descriptions of the kinds that were registered besides jaxrl's own, by name; nothing is imported."""
    return {name: KINDS[name].description for name in KINDS if name not in _JAXRL}


def names_of(kind: Kind) -> tuple[str, ...]:
    """What a kind can run."""
    names = kind.names() if callable(kind.names) else kind.names
    return tuple(names) or (kind.name,)


def kind_that_runs(*names: str) -> Kind:
    """The kind by which all `names` are run as members of sweeps: the first that has a name for it.

    Raises:
        UnknownNameError: for a name that no kind runs.
        ValueError: for names of different kinds.
    """
    found = {name: _kind_of(name) for name in names}
    if len({kind.name for kind in found.values()}) > 1:
        text = ", ".join(f"{name} is run by {kind.name!r}" for name, kind in found.items())
        raise ValueError(f"runs of different kinds come to different things and cannot be compared: {text}")
    return next(iter(found.values()))


def _kind_of(name: str) -> Kind:
    known: dict[str, None] = {}
    for kind in map(KINDS.__getitem__, KINDS):
        if kind.drive is None:
            known |= dict.fromkeys(names_of(kind))
            if name in known:
                return kind
    return KINDS[require_name("agent or algorithm", name, known)]
