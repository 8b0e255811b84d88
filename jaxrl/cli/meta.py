"""The commands of meta-learning."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from jaxrl.cli.options import given, parse_settings, static_options, traced_options, what_to_run
from jaxrl.cli.values import pairs, swept
from jaxrl.errors import require_name
from jaxrl.meta.fitness import FITNESS
from jaxrl.meta.methods import METHODS, OUTER
from jaxrl.runs.tables import as_text

__all__ = ["examine", "meta_test", "meta_train"]


def meta_options(method: str, outer: str) -> list[tuple]:
    """Options of meta-training: the tasks, and the settings of an outer loop under the prefix `outer_`."""
    chosen, own = OUTER[outer], METHODS[method].outer_settings if METHODS[method].outer == outer else {}
    described = [*static_options(chosen.config())]
    for traced in chosen.hyperparameters:
        described += traced_options(traced())
    described = [option for option in described if isinstance(option[2].default, str | bool | int | float | tuple)]
    prefixed = [(f"outer_{name}", kind, field(default=own.get(name, item.default))) for name, kind, item in described]
    horizon = Annotated[
        tuple[int, ...], tyro.conf.arg(help="Iterations of a life, or two bounds to draw them between.")
    ]
    tasks = Annotated[str, tyro.conf.arg(help="Environment whose parameters are the tasks.")]
    loop = Annotated[Literal["evolution", "persistent", "gradient"], tyro.conf.arg(help="The outer loop.")]
    seeds = Annotated[int, tyro.conf.arg(help="Meta-seeds (0, 1, ...).")]
    swept = Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(
            metavar="NAME=VALUES", help="Traced setting to sweep, such as outer.evolution.deviation=0.05,0.1."
        ),
    ]
    if outer == "evolution":
        text = f"What is evolved for: one of {', '.join(FITNESS)}, or NAME=WEIGHT words."
        fitness = Annotated[tuple[str, ...], tyro.conf.arg(help=text)]
        prefixed.append(("outer_fitness", fitness, field(default=("final",))))
    return [
        ("tasks", tasks, field(default="grid/tiny")),
        ("horizon", horizon, field(default=(50,))),
        ("outer", loop, field(default=outer)),
        ("seeds", seeds, field(default=1)),
        ("sweep", swept, field(default=())),
        *prefixed,
    ]


def outer_to_run(arguments: list[str], method: str) -> str:
    """The outer loop that the command line names, or the method's."""
    for word, following in pairwise([*arguments, ""]):
        if word == "--outer" or word.startswith("--outer="):
            return require_name("outer loop", word.partition("=")[2] or following, OUTER)
    return METHODS[method].outer


def meta_train(arguments: list[str], run: Callable[..., Any]) -> None:
    """Parses `jaxrl meta-train` and hands it to `run`, which every training command shares."""
    method = what_to_run("meta-train", arguments)
    outer = outer_to_run(arguments, method)
    options = meta_options(method, outer)
    parsed, settings = parse_settings("meta-train", arguments, options)
    parsed.environment = parsed.tasks
    outer_settings = {name[6:]: value for name, value in given(parsed, options).items() if name.startswith("outer_")}
    if "fitness" in outer_settings:
        words = outer_settings["fitness"]
        outer_settings["fitness"] = words[0] if len(words) == 1 and "=" not in words[0] else pairs(words)
    run(
        "meta",
        parsed,
        settings,
        seeds=tuple(range(parsed.seeds)),
        hyperparameters=swept(parsed.sweep),
        horizon=parsed.horizon[0] if len(parsed.horizon) == 1 else parsed.horizon,
        outer=parsed.outer,
        outer_settings=outer_settings,
    )


@dataclass
class _MetaTestArguments:
    """Try what was meta-learned on other environments, beside hand-written agents of the best learning rate."""

    run: tyro.conf.Positional[Path]
    """Run directory of `jaxrl meta-train`."""
    environments: tyro.conf.Positional[tuple[str, ...]]
    """Environments to learn; each one's own distribution over parameters gives the tasks."""
    horizon: tuple[int, ...] = ()
    """Iterations of a life, or two bounds. Default: as in meta-training."""
    tasks: int = 64
    """Tasks per environment."""
    baselines: tuple[str, ...] = ("a2c", "ppo")
    """Hand-written agents."""
    learning_rates: tuple[float, ...] = (1e-3, 1e-2, 1e-1)
    """Tried for every baseline, on other tasks."""
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """NAME=VALUE: settings of all agents where they differ from meta-training's, such as network=mlp; repeatable."""


def meta_test(arguments: list[str]) -> None:
    """`jaxrl meta-test`."""
    from jaxrl.meta import transfer
    from jaxrl.runs import saved
    from jaxrl.runs.report import write_table
    from jaxrl.sweeps.devices import use_cpu_cores

    parsed = tyro.cli(_MetaTestArguments, args=arguments, prog="jaxrl meta-test")
    use_cpu_cores()
    horizon = parsed.horizon[0] if len(parsed.horizon) == 1 else parsed.horizon or None
    table = transfer.meta_test(
        saved.load_sweep(parsed.run), parsed.environments, horizon, parsed.tasks, parsed.baselines,
        parsed.learning_rates, lambda text: print(text, file=sys.stderr), **pairs(parsed.set),
    )  # fmt: skip
    write_table(table, parsed.run / "meta_test.csv")
    print(as_text(table))
    print(f"\nWritten to {parsed.run}: meta_test.csv")


@dataclass
class _ExamineArguments:
    """Draw and tabulate what was meta-learned, beside what is written by hand."""

    run: tyro.conf.Positional[Path]
    """Run directory of `jaxrl meta-train`."""
    out: Path | None = None
    """Where figures and numbers go. Default: RUN/examination."""


def examine(arguments: list[str]) -> None:
    """`jaxrl examine`."""
    from jaxrl.meta import examination

    parsed = tyro.cli(_ExamineArguments, args=arguments, prog="jaxrl examine")
    directory = parsed.out or parsed.run / "examination"
    examination.examine(parsed.run, directory)
    print(f"Written to {directory}: {', '.join(sorted(path.name for path in directory.iterdir()))}")
