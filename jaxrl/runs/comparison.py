"""Several agents, algorithms or methods on several environments under one protocol: runs, tables and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.errors import CheckpointError, require_name
from jaxrl.ranges import EPISODES, SEEDS
from jaxrl.runs import experiment
from jaxrl.runs.compared import Compared, write_comparison
from jaxrl.runs.configuration import Configuration, check_claim
from jaxrl.runs.kinds import Kind, kind_that_runs, names_of
from jaxrl.sweeps.running import RunOptions
from jaxrl.training.evaluation import evaluation_columns

if TYPE_CHECKING:
    import pandas

__all__ = ["compare"]


def compare(
    algorithms: Sequence[str],
    environments: Sequence[str],
    directory: str | Path,
    seeds: int = 4,
    settings: Mapping[str, Any] | None = None,
    num_episodes: int = 64,
    options: RunOptions | None = None,
) -> "pandas.DataFrame":
    """Runs every algorithm on every environment and compares what they come to.

    Every pair has a run directory of its own below `directory`, so that a stopped comparison goes on where it was. All
    see the same seeds and settings, and, where fronts are compared, the same protocol (`jaxrl.morl.problem.Problem`).

    Args:
        algorithms: names of agents, of algorithms, or of whatever else one kind of run has names for.
        environments: names of environments, for algorithms that find fronts of at least two objectives.
        directory: where runs, `comparison.csv` (one row per seed), `summary.csv` and figures go. Where runs are judged
            by one number, figures of performance profiles and, for every pair, of the probability that a run of one
            beats a run of the other, which is in `improvement.csv` too; fronts have their attainment instead.
        seeds: runs of each pair, seeds 0, 1, ...
        settings: for all algorithms; `c_morl.beta` for one alone.
        num_episodes: fresh episodes per policy of the final evaluation.
        options: of the host loop.

    Returns:
        One row per environment and algorithm: interquartile means over seeds of the measures, with 95 % bootstrap
        intervals, environment steps, and seconds to compile and to run all seeds together.

    Raises:
        UnknownNameError: for an unknown name.
        ValueError: for settings that do not fit, names that are not of one kind, or a name given twice; nothing has run
            by then.
    """
    SEEDS.check("seeds", seeds)
    EPISODES.check("num_episodes", num_episodes)
    for what, names in (("algorithm", algorithms), ("environment", environments)):
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"a comparison needs every {what} once, got {', '.join(names) or 'none'}")
    kind, directory = kind_that_runs(*algorithms), Path(directory)
    planned = _plan(kind, algorithms, environments, directory, seeds, settings or {}, num_episodes)
    compared = []
    for (environment, algorithm), (configuration, place) in planned.items():
        outcome = experiment.run(configuration, place, replace(options or RunOptions()))
        measures = _measures(kind, outcome, num_episodes)
        compared.append(Compared(environment, algorithm, outcome.trainer, measures, _curve(outcome), outcome))
    return write_comparison(compared, kind, directory)


def _plan(
    kind: Kind,
    algorithms: Sequence[str],
    environments: Sequence[str],
    directory: Path,
    seeds: int,
    settings: Mapping[str, Any],
    num_episodes: int,
) -> dict[tuple[str, str], tuple[Configuration, Path]]:
    """A configuration and a place for every pair, all of which can be run."""
    if (directory / "configuration.json").exists():
        raise CheckpointError(f"{directory} holds a run, whose figures would be written over; choose another --out")
    common, own = _split(settings, kind, algorithms)
    # How a run ends with policies that it evaluates itself.
    options = {"evaluation_episodes": num_episodes} if "evaluation_episodes" in kind.options else {}
    planned = {}
    for environment in environments:
        for algorithm in algorithms:
            configuration = Configuration(
                kind=kind.name,
                agent=algorithm,
                environment=environment,
                settings={**common, **own[algorithm]},
                seeds=tuple(range(seeds)),
                options=options,
            )
            place = directory / environment.replace("/", "-") / algorithm
            check_claim(place, configuration)
            experiment.plan(experiment.build(configuration), configuration)
            planned[environment, algorithm] = configuration, place
    return planned


def _split(
    settings: Mapping[str, Any], kind: Kind, algorithms: Sequence[str]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Settings of all, and those of each algorithm alone."""
    known = names_of(kind)
    common, own = {}, {algorithm: {} for algorithm in algorithms}
    for name, value in settings.items():
        first, _, rest = name.partition(".")
        if first in known and rest:
            own[require_name("compared algorithm", first, algorithms)][rest] = value
        else:
            common[name] = value
    return common, own


def _measures(kind: Kind, outcome: experiment.Outcome, num_episodes: int) -> "pandas.DataFrame":
    """What every seed came to, steps and seconds."""
    group = outcome.sweep.groups[0]
    table = (kind.measures or _final)(outcome, num_episodes)
    return table.assign(
        steps=group.evaluation_steps[np.argsort(group.seeds), -1],
        compile_seconds=group.timing.compile_seconds,
        run_seconds=group.timing.run_seconds,
    )


def _final(outcome: experiment.Outcome, num_episodes: int) -> "pandas.DataFrame":
    """The program's summary of every seed: of fresh episodes where it has policies, else of the last evaluation."""
    import pandas

    program, swept = outcome.trainer, outcome.sweep
    names, columns = dict.fromkeys((*program.summary, program.score)), {}
    if program.actor(*swept.groups[0].member(0)) is not None:
        columns = evaluation_columns(swept.evaluate(num_episodes, seed=1), program.environment.spec)
    if not set(names) <= set(columns):
        last = swept.table.groupby("member").tail(1)
        columns = {name: last[name].to_numpy() for name in names}
    found = {name: columns[name] for name in names}
    return pandas.DataFrame({"seed": swept.groups[0].seeds, **found})


def _curve(outcome: experiment.Outcome) -> "pandas.DataFrame":
    """Evaluations against steps and against the run's own seconds."""
    table, timing = outcome.sweep.table, outcome.sweep.groups[0].timing
    # Planning on tables takes no more steps: what it knows in the end is what those steps gave.
    table = table.drop_duplicates(["member", "steps"], keep="last")
    share = table["steps"] / table["steps"].max()
    return table.assign(seconds=timing.compile_seconds + share * timing.run_seconds)
