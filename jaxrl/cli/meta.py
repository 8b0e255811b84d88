"""The commands of meta-learning."""

import inspect
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from jaxrl.cli.declaration import (
    HOST,
    OUTER_LOOP,
    SWEEP,
    Option,
    given,
    option_of,
    positional,
    repeated,
    static_options,
    traced_options,
)
from jaxrl.cli.names import COMMANDS
from jaxrl.cli.options import Shell, parse_settings
from jaxrl.cli.parsing import parse
from jaxrl.cli.training import agent_options
from jaxrl.cli.values import pairs, settings_of, swept
from jaxrl.errors import require_name
from jaxrl.meta.fitness import FITNESS
from jaxrl.meta.methods import METHODS, OUTER, schedule_names
from jaxrl.ranges import COUNT, POSITIVE, SEEDS, TASKS
from jaxrl.runs.configuration import check_writable
from jaxrl.runs.tables import as_text

__all__ = ["META", "examine", "meta_test"]


def meta_options(method: str, outer: str) -> list[Option]:
    """Options of meta-training: the tasks, and the settings of an outer loop under the prefix `outer_`."""
    chosen, own = OUTER[outer], METHODS[method].outer_settings if METHODS[method].outer == outer else {}
    described = static_options(chosen.config(), OUTER_LOOP)
    for traced in chosen.hyperparameters:
        described += traced_options(traced(), OUTER_LOOP)
    prefixed = [
        option._replace(name=f"outer_{option.name}", default=own.get(option.name, option.default))
        for option in described
        if isinstance(option.default, str | bool | int | float | tuple)
    ]
    if outer == "evolution":
        text = f"What is evolved for: one of {', '.join(FITNESS)}, or NAME=WEIGHT words."
        prefixed.append(option_of("outer_fitness", tuple[str, ...], text, ("final",), group=OUTER_LOOP))
    horizon = "Iterations of a life, or two bounds to draw them between."
    swept = "Traced setting to sweep, such as outer.evolution.deviation=0.05,0.1."
    return [
        option_of("tasks", str, "Environment whose parameters are the tasks.", "grid/tiny"),
        option_of("horizon", tuple[int, ...], horizon, (50,), COUNT),
        option_of("outer", str, f"The outer loop: one of {', '.join(OUTER)}.", outer),
        option_of("seeds", int, "Meta-seeds (0, 1, ...).", 1, SEEDS, group=SWEEP),
        repeated("sweep", "NAME=VALUES", swept, group=SWEEP),
        *prefixed,
    ]


def outer_to_run(arguments: list[str], method: str) -> str:
    """The outer loop that the command line names, or the method's."""
    for word, following in pairwise([*arguments, ""]):
        if word == "--outer" or word.startswith("--outer="):
            return require_name("outer loop", word.partition("=")[2] or following, OUTER)
    return METHODS[method].outer


def _meta_train(arguments: list[str], run: Callable[..., Any]) -> None:
    options_of = lambda method: meta_options(method, outer_to_run(arguments, method))  # noqa: E731
    parsed, settings = parse_settings(
        "meta-train", arguments, options_of, METHODS, lambda _: META, "method", absent=("environment",)
    )
    parsed.environment, options = parsed.tasks, options_of(parsed.agent)
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
        horizon=_horizon(parsed),
        outer=parsed.outer,
        outer_settings=outer_settings,
    )


def _settings(method: str) -> dict[str, Option]:
    """Options of a method's agent, with the method's own defaults; lives have no use for a schedule."""
    options, preset = agent_options(METHODS[method].agent), METHODS[method].settings
    own = {name: option for name, option in options.items() if name not in schedule_names()}
    return {name: option._replace(default=preset.get(name, option.default)) for name, option in own.items()}


def _agent(method: str, chosen: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return METHODS[method].agent, {**METHODS[method].settings, **chosen}


META = Shell(_meta_train, _settings, _agent)


def _horizon(parsed: Any) -> int | tuple[int, ...] | None:
    if len(parsed.horizon) > 2:
        raise ValueError(f"--horizon takes one number or two bounds, got {' '.join(map(str, parsed.horizon))}")
    return parsed.horizon[0] if len(parsed.horizon) == 1 else parsed.horizon or None


def _meta_test_options() -> list[Option]:
    environments = "Environments to learn; each one's own distribution over parameters gives the tasks."
    horizon = "Iterations of a life, or two bounds. Default: as in meta-training."
    what = "Setting of all agents where it differs from meta-training's, such as network=mlp."
    rates = "Tried for every baseline, on other tasks."
    return [
        positional("run", Path, "Run directory of `jaxrl meta-train`."),
        positional("environments", tuple[str, ...], environments),
        option_of("horizon", tuple[int, ...], horizon, (), COUNT),
        option_of("tasks", int, "Tasks per environment.", 64, TASKS),
        option_of("baselines", tuple[str, ...], "Hand-written agents.", ("a2c", "ppo")),
        option_of("learning_rates", tuple[float, ...], rates, (1e-3, 1e-2, 1e-1), POSITIVE),
        repeated("set", "NAME=VALUE", what),
    ]


def meta_test(arguments: list[str]) -> None:
    """`jaxrl meta-test`."""
    from jaxrl.meta import transfer
    from jaxrl.meta.kind import load_meta_training
    from jaxrl.runs.report import write_table
    from jaxrl.sweeps.devices import use_cpu_cores

    parsed = parse("meta-test", COMMANDS["meta-test"], arguments, _meta_test_options())
    use_cpu_cores()
    horizon, settings = _horizon(parsed), settings_of(parsed.set, inspect.signature(transfer.meta_test).parameters)
    transfer.check_learning_rates(parsed.learning_rates, parsed.baselines)
    table = transfer.meta_test(
        load_meta_training(parsed.run), parsed.environments, horizon, parsed.tasks, parsed.baselines,
        parsed.learning_rates, lambda text: print(text, file=sys.stderr), **settings,
    )  # fmt: skip
    write_table(table, parsed.run / "meta_test.csv")
    print(as_text(table))
    print(f"\nWritten to {parsed.run}: meta_test.csv")


def examine(arguments: list[str]) -> None:
    """`jaxrl examine`."""
    from jaxrl.meta import examination

    options = [
        positional("run", Path, "Run directory of `jaxrl meta-train`."),
        option_of("out", Path, "Where figures and numbers go. Default: RUN/examination.", None, group=HOST),
    ]
    parsed = parse("examine", COMMANDS["examine"], arguments, options)
    directory = parsed.out or parsed.run / "examination"
    check_writable(directory)
    examination.examine(parsed.run, directory)
    print(f"Written to {directory}: {', '.join(sorted(path.name for path in directory.iterdir()))}")
