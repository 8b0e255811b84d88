"""The commands of many tasks: `jaxrl multitask train|maml|affinity|group|finetune|study`."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from jaxrl.cli.declaration import METHOD, Option, given, option_of, positional, static_options, traced_options
from jaxrl.cli.options import OF_RUNS, Shell, member_options, parse_settings, seed_option, sweep_members
from jaxrl.cli.parsing import parse
from jaxrl.cli.training import TRAIN, parse_agent
from jaxrl.cli.values import pairs
from jaxrl.errors import require_name
from jaxrl.multitask.comparison import GROUPINGS
from jaxrl.multitask.grouping.clustering import ClusteringConfig
from jaxrl.multitask.grouping.estimation import EstimatorConfig
from jaxrl.multitask.grouping.projection import ProjectionConfig
from jaxrl.multitask.maml.settings import MamlConfig, MamlHyperparameters
from jaxrl.multitask.study import AffinityConfig
from jaxrl.ranges import COUNT, SEEDS
from jaxrl.runs.configuration import check_unused
from jaxrl.runs.tables import as_text

__all__ = ["MAML", "multitask"]

STAGES = {
    "train": "train one agent on all tasks of a family",
    "maml": "meta-learn a policy from which a few gradient steps on any task of a family lead far",
    "affinity": "estimate which tasks go together, without training subsets",
    "group": "group the tasks by their affinities",
    "finetune": "go on with one policy per group",
    "study": "all of it over seeds, beside one policy for all, one per task, random and gradient-similarity groups",
}

_ESTIMATE = [
    option
    for settings in (AffinityConfig(), ProjectionConfig(), EstimatorConfig())
    for option in static_options(settings, METHOD)
]
_CLUSTERING = static_options(ClusteringConfig(), METHOD)


def multitask(arguments: list[str], run: Callable[..., Any]) -> None:
    """Runs one stage; `run` is what all training commands share."""
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, STAGES))
        print("usage: jaxrl multitask STAGE ...\n")
        print("\n".join(f"  {name:<{width}}  {text}" for name, text in STAGES.items()))
        print("\njaxrl multitask STAGE --help explains every option.")
        return
    stage, rest = require_name("stage of multitask", arguments[0], STAGES), arguments[1:]
    stages = {
        "train": partial(TRAIN.command, run=run),
        "maml": partial(MAML.command, run=run),
        "affinity": _affinity,
        "group": _group,
        "finetune": _finetune,
        "study": _study,
    }
    stages[stage](rest)


def _parse(stage: str, arguments: list[str], options: list[Option]) -> Any:
    return parse(f"multitask {stage}", STAGES[stage], arguments, options)


def _run_option() -> Option:
    return positional("run", Path, "Run directory of `jaxrl multitask train`.")


def _maml(arguments: list[str], run: Callable[..., Any]) -> None:
    parsed, settings = parse_settings(
        "multitask maml", arguments, lambda _: member_options(), ["maml"], lambda _: MAML, absent=("agent", "set"),
        description=STAGES["maml"],
    )  # fmt: skip
    run("maml", parsed, settings, **sweep_members(parsed, settings))


def _maml_options(_: str) -> dict[str, Option]:
    options = [*static_options(MamlConfig(), METHOD), *traced_options(MamlHyperparameters())]
    return {option.name: option for option in options}


MAML = Shell(_maml, _maml_options)


def _show(table: Any, directory: Path, *names: str) -> None:
    print(as_text(table))
    print(f"\nWritten to {directory}: {', '.join(names)}")


def _affinity(arguments: list[str]) -> None:
    from jaxrl.multitask import directory

    parsed = _parse("affinity", arguments, [_run_option(), seed_option("Of all that is drawn.", 1), *_ESTIMATE])
    table = directory.affinity(parsed.run, parsed.seed, **given(parsed, _ESTIMATE))
    names = ("grouping/affinity.csv", "figures/affinity.png", "figures/dendrogram.png")
    _show(table.reset_index(names="task"), parsed.run, *names)


def _group(arguments: list[str]) -> None:
    from jaxrl.multitask import directory

    parsed = _parse("group", arguments, [_run_option(), *_CLUSTERING])
    table = directory.group(parsed.run, **given(parsed, _CLUSTERING))
    _show(table.sort_values("group"), parsed.run, "grouping/groups.csv", "figures/groups.png")


def _finetune(arguments: list[str]) -> None:
    from jaxrl.multitask import directory
    from jaxrl.sweeps.devices import use_cpu_cores

    steps = "Environment steps of all groups together. Default: those of the run."
    options = [
        positional("run", Path, "Run directory in which `jaxrl multitask group` has been."),
        option_of("total_steps", int, steps, None, COUNT),
        seed_option("Of all that is drawn.", 1),
    ]
    parsed = _parse("finetune", arguments, options)
    use_cpu_cores()
    table = directory.finetune(parsed.run, parsed.total_steps, parsed.seed)
    _show(table, parsed.run, "grouping/returns.csv", "figures/returns.png", "groups/")


def _study(arguments: list[str]) -> None:
    from jaxrl.environments.registry import make
    from jaxrl.multitask.comparison import compare_groupings
    from jaxrl.multitask.directory import write_comparison
    from jaxrl.sweeps.devices import use_cpu_cores
    from jaxrl.training.trainer import trainer

    budget = "Environment steps after the common training, of each grouping together. Default: as many."
    own = [
        option_of("seeds", int, "Seeds of whole studies (0, 1, ...).", 3, SEEDS),
        option_of("fine_tune_steps", int, budget, None, COUNT),
        option_of("groupings", tuple[str, ...], f"What is compared: {', '.join(GROUPINGS)}.", GROUPINGS),
        *_ESTIMATE,
        *_CLUSTERING,
    ]
    parsed, settings = parse_agent("multitask study", arguments, own, OF_RUNS)
    use_cpu_cores()
    environment = make(parsed.environment, **pairs(parsed.environment_option))
    directory = parsed.out or Path("runs") / f"groups-{parsed.environment.rsplit('/', 1)[-1]}"
    check_unused(directory)
    comparison = compare_groupings(
        trainer(parsed.agent, environment, **settings), tuple(range(parsed.seeds)), parsed.fine_tune_steps,
        parsed.groupings, lambda text: print(text, file=sys.stderr), **given(parsed, [*_ESTIMATE, *_CLUSTERING]),
    )  # fmt: skip
    write_comparison(comparison, environment.spec.objective_names, directory)
    means = comparison.table.groupby(["grouping", "seed"], sort=False)["return"].mean().unstack()
    print(means.to_string(float_format=lambda value: f"{value:.4g}"))
    print(f"\nWritten to {directory}: {', '.join(sorted(path.name for path in directory.iterdir()))}")
