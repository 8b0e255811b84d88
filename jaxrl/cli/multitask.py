"""The commands of many tasks: `jaxrl multitask train|maml|affinity|group|finetune|study`."""

import sys
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxrl.cli.options import (
    base_options,
    given,
    parse,
    parse_settings,
    static_options,
    sweep_members,
    sweep_options,
    traced_options,
)
from jaxrl.cli.values import pairs
from jaxrl.errors import require_name
from jaxrl.multitask.comparison import GROUPINGS
from jaxrl.multitask.grouping.clustering import ClusteringConfig
from jaxrl.multitask.grouping.estimation import EstimatorConfig
from jaxrl.multitask.grouping.projection import ProjectionConfig
from jaxrl.multitask.maml.settings import MamlConfig, MamlHyperparameters
from jaxrl.multitask.study import AffinityConfig
from jaxrl.runs.tables import as_text

__all__ = ["multitask"]

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
    for option in static_options(settings)
]
_CLUSTERING = static_options(ClusteringConfig())


def multitask(arguments: list[str], train: Callable[[list[str]], None], run: Callable[..., Any]) -> None:
    """Runs one stage; `train` is the command `jaxrl train`, `run` what all training commands share."""
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, STAGES))
        print("usage: jaxrl multitask STAGE ...\n")
        print("\n".join(f"  {name:<{width}}  {text}" for name, text in STAGES.items()))
        print("\njaxrl multitask STAGE --help explains every option.")
        return
    stage, rest = require_name("stage of multitask", arguments[0], STAGES), arguments[1:]
    stages = {
        "train": train,
        "maml": partial(_maml, run=run),
        "affinity": _affinity,
        "group": _group,
        "finetune": _finetune,
        "study": _study,
    }
    stages[stage](rest)


def _parse(stage: str, arguments: list[str], options: list[tuple]) -> Any:
    return parse(f"multitask {stage}", STAGES[stage], arguments, options)


def _run_option() -> tuple:
    kind = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="Run directory of `jaxrl multitask train`.")]
    return ("run", kind, MISSING)


def _seed_option() -> tuple:
    return ("seed", Annotated[int, tyro.conf.arg(help="Of all that is drawn.")], field(default=1))


def _maml(arguments: list[str], run: Callable[..., Any]) -> None:
    own = [*static_options(MamlConfig()), *traced_options(MamlHyperparameters())]
    shared = [*base_options("train"), *sweep_options("sweep", "ppo")]
    shared = [option for option in shared if option[0] not in ("agent", "set", "num_weights")]
    parsed = _parse("maml", arguments, [*shared, *own])
    parsed.agent = "maml"
    run("maml", parsed, given(parsed, own), **sweep_members(parsed))


def _show(table: Any, directory: Path, *names: str) -> None:
    print(as_text(table))
    print(f"\nWritten to {directory}: {', '.join(names)}")


def _affinity(arguments: list[str]) -> None:
    from jaxrl.multitask import directory

    parsed = _parse("affinity", arguments, [_run_option(), _seed_option(), *_ESTIMATE])
    table = directory.affinity(parsed.run, parsed.seed, **given(parsed, _ESTIMATE))
    names = ("grouping/affinity.csv", "figures/affinity.png", "figures/dendrogram.png")
    _show(table.reset_index(names="task"), parsed.run, *names)


def _group(arguments: list[str]) -> None:
    from jaxrl.multitask import directory

    parsed = _parse("group", arguments, [_run_option(), *_CLUSTERING])
    table = directory.group(parsed.run, **given(parsed, _CLUSTERING))
    _show(table.sort_values("group"), parsed.run, "grouping/groups.csv", "figures/groups.png")


@dataclass
class _FinetuneArguments:
    """Go on with one policy per group, all groups in one program, and save each as a run of its own."""

    run: tyro.conf.Positional[Path]
    """Run directory in which `jaxrl multitask group` has been."""
    total_steps: int | None = None
    """Environment steps of all groups together. Default: those of the run."""
    seed: int = 1
    """Of all that is drawn."""


def _finetune(arguments: list[str]) -> None:
    from jaxrl.multitask import directory
    from jaxrl.sweeps.devices import use_cpu_cores

    parsed = tyro.cli(_FinetuneArguments, args=arguments, prog="jaxrl multitask finetune")
    use_cpu_cores()
    table = directory.finetune(parsed.run, parsed.total_steps, parsed.seed)
    _show(table, parsed.run, "grouping/returns.csv", "figures/returns.png", "groups/")


def _study(arguments: list[str]) -> None:
    from jaxrl.environments.registry import make
    from jaxrl.multitask.comparison import compare_groupings
    from jaxrl.multitask.directory import write_comparison
    from jaxrl.sweeps.devices import use_cpu_cores
    from jaxrl.training.trainer import trainer

    seeds = Annotated[int, tyro.conf.arg(help="Seeds of whole studies (0, 1, ...).")]
    budget = Annotated[
        int | None, tyro.conf.arg(help="Environment steps after the common training, of each grouping together.")
    ]
    names = Annotated[tuple[str, ...], tyro.conf.arg(help="What is compared: estimated, cosine, random, all, each.")]
    own = [
        ("seeds", seeds, field(default=3)),
        ("fine_tune_steps", budget, field(default=None)),
        ("groupings", names, field(default=GROUPINGS)),
        *_ESTIMATE,
        *_CLUSTERING,
    ]
    parsed, settings = parse_settings("multitask study", arguments, own)
    use_cpu_cores()
    environment = make(parsed.environment, **pairs(parsed.environment_option))
    comparison = compare_groupings(
        trainer(parsed.agent, environment, **settings), tuple(range(parsed.seeds)), parsed.fine_tune_steps,
        parsed.groupings, lambda text: print(text, file=sys.stderr), **given(parsed, [*_ESTIMATE, *_CLUSTERING]),
    )  # fmt: skip
    directory = parsed.out or Path("runs") / f"groups-{parsed.environment.rsplit('/', 1)[-1]}"
    write_comparison(comparison, environment.spec.objective_names, directory)
    means = comparison.table.groupby(["grouping", "seed"], sort=False)["return"].mean().unstack()
    print(means.to_string(float_format=lambda value: f"{value:.4g}"))
    print(f"\nWritten to {directory}: {', '.join(sorted(path.name for path in directory.iterdir()))}")
