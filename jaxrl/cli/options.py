"""Options that commands share, and the settings of what is run among them."""

import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxrl.cli.declaration import HOST, SWEEP, Option, given, option_of, positional, repeated
from jaxrl.cli.leaves import leaf_options, require_leaves
from jaxrl.cli.names import COMMANDS
from jaxrl.cli.parsing import first_word, lenient, parse, unknown_flags
from jaxrl.cli.values import pairs, settings_of, swept
from jaxrl.errors import require_name
from jaxrl.ranges import COUNT, NOT_NEGATIVE, NUM_WEIGHTS, SAMPLES, SEED, SEEDS, SOME

__all__ = [
    "OF_RUNS",
    "Shell",
    "base_options",
    "log_option",
    "member_options",
    "no_agent",
    "parse_settings",
    "resumable",
    "seed_option",
    "start_cores",
    "sweep_members",
    "tune_options",
    "weights_option",
]


OF_RUNS = ("keep", "log", "checkpoint_seconds", "checkpoint_buffers", "progress")
"""Options that are about one run, of which commands that make many without keeping any have no use."""


def no_agent(name: str, chosen: dict[str, Any]) -> None:
    """Of what is no agent: no leaves depend on what is chosen."""


class Shell(NamedTuple):
    """How the shell runs a kind of run.

    Attributes:
        command: `(arguments, run)`: reads arguments and calls `run(kind, parsed, settings, **fields of Configuration)`.
        settings: `name -> Option by setting` of what can be run.
        agent: `(name, settings given) -> (agent, its settings)` whose leaves are options too, or None.
    """

    command: Callable[[list[str], Callable[..., Any]], None]
    settings: Callable[[str], dict[str, Option]]
    agent: Callable[[str, dict[str, Any]], tuple[str, dict[str, Any]] | None] = no_agent


def base_options(names: Collection[str]) -> list[Option]:
    """Options of everything that trains; `names` are what can be."""
    what = "Any other setting by its path, such as environment.gravity=9.8 or weights=[0.3,0.7]; values are Python's."
    buffers = "Keep replay buffers in checkpoints; a run that is resumed without fills them anew."
    return [
        positional("agent", str, f"One of: {', '.join(names)}."),
        positional("environment", str, "A name of `jaxrl list environments`."),
        repeated("set", "NAME=VALUE", what),
        repeated("environment_option", "NAME=VALUE", "Option of the environment's builder, such as backend=mjx."),
        option_of("out", Path, "Run directory. Default: runs/AGENT-TASK.", None, group=HOST),
        option_of("progress", bool, "Progress bar. Default: on a terminal.", None, group=HOST),
        log_option(),
        option_of("keep", Literal["last", "best"], "Keep the best evaluation's state, too.", "last", group=HOST),
        option_of("checkpoint_seconds", float, "Least seconds between checkpoints.", 20.0, NOT_NEGATIVE, group=HOST),
        option_of("checkpoint_buffers", bool, buffers, True, group=HOST),
    ]


def log_option() -> Option:
    """Loggers."""
    text = "Loggers that get the rows after every chunk, separated by commas: csv, mlflow, tensorboard, wandb or yours."
    return option_of("log", str, text, "", group=HOST)


def seed_option(text: str, default: int) -> Option:
    """One seed."""
    return option_of("seed", int, text, default, SEED)


def member_options(seeds: int = 1) -> list[Option]:
    """Options of a sweep: seeds and settings."""
    values = (
        "Setting to sweep: learning_rate=1e-4,3e-4 (grid) or learning_rate=log:1e-5:1e-2, uniform:low:high, "
        "int:low:high (random, sobol). Static settings too, one compilation each."
    )
    return [
        option_of("seeds", int, "Number of seeds (0, 1, ...).", seeds, SEEDS, group=SWEEP),
        repeated("sweep", "NAME=VALUES", values, group=SWEEP),
        option_of("design", Literal["grid", "random", "sobol"], "How settings are chosen.", "grid", group=SWEEP),
        option_of("samples", int, "Settings of a random or Sobol design.", None, SAMPLES, group=SWEEP),
        *cluster_options(),
    ]


def cluster_options() -> list[Option]:
    """Where members are trained."""
    where = "Train the members as jobs: local (processes of this machine), slurm, ray, or a cluster of your own."
    own = "Option of the cluster, such as timeout_min=60, slurm_partition=gpu (slurm) or num_gpus=1 (ray)."
    return [
        option_of("on", str, where, None, group=HOST),
        option_of("jobs", int, "Jobs that the members are cut into.", 2, COUNT, group=HOST),
        repeated("cluster_option", "NAME=VALUE", own, group=HOST),
        option_of("retries", int, "How often a job that dies goes on from its checkpoint.", 2, SOME, group=HOST),
    ]


def elsewhere_of(parsed: Any) -> Any:
    """Where members are trained; None for this process."""
    from jaxrl.runs.parts import Elsewhere

    if getattr(parsed, "on", None) is None:
        return None
    return Elsewhere(parsed.on, parsed.jobs, pairs(parsed.cluster_option), parsed.retries)


def weights_option(default: int | None) -> Option:
    """Preference weights as members."""
    text = "Number of evenly spaced preference weights."
    return option_of("num_weights", int, text, default, NUM_WEIGHTS, group=SWEEP)


def sweep_members(parsed: Any, settings: Collection[str]) -> dict[str, Any]:
    """What the options of a sweep ask for: seeds, settings and weights.

    Raises:
        ValueError: for a setting that is swept and has one value in `settings`, too, which no member would have.
    """
    varied = swept(parsed.sweep)
    for name in (*varied, *(["weights"] if getattr(parsed, "num_weights", None) else [])):
        if any(_is_named(name, one) for one in settings):
            raise ValueError(f"{name} has one value by an option of its own and is swept, too: leave one of them out")
    return {
        "seeds": tuple(range(parsed.seeds)),
        "hyperparameters": varied,
        "design": parsed.design,
        "samples": parsed.samples,
        "weights": getattr(parsed, "num_weights", None),
    }


def start_cores(values: Mapping[str, Any]) -> None:
    """Makes every core a device, each with one thread if `values` of a command's options ask for members for all."""
    from jaxrl.sweeps.devices import use_cpu_cores

    use_cpu_cores(threads=1 if _num_members(values) >= (os.cpu_count() or 1) else None)


def _num_members(values: Mapping[str, Any]) -> int:
    """Members that options of a sweep ask for, as far as they can be read."""
    try:
        varied = swept(values.get("sweep") or ())
    except ValueError:
        return 1
    grid = math.prod(len(each) for each in varied.values() if isinstance(each, list))
    return (values.get("seeds") or 1) * (values.get("num_weights") or 1) * (values.get("samples") or grid)


def tune_options() -> list[Option]:
    """Options of a search."""
    ranges = "Range of a traced setting: log:low:high, uniform:low:high or int:low:high."
    rungs = "Parts of the run; after each the better half goes on. Default: 3, or fewer in a short run."
    held_out = "Fresh seeds on which winner and defaults are compared."
    return [
        repeated("sweep", "NAME=RANGE", ranges, group=SWEEP),
        option_of("samples", int, "Settings besides the defaults.", 16, SAMPLES, group=SWEEP),
        option_of("seeds", int, "Seeds of each setting (0, 1, ...).", 3, SEEDS, group=SWEEP),
        option_of("rungs", int, rungs, None, COUNT, group=SWEEP),
        option_of("held_out_seeds", int, held_out, 5, SEEDS, group=SWEEP),
        option_of("design", Literal["sobol", "random"], "How settings are chosen.", "sobol", group=SWEEP),
    ]


def parse_settings(
    command: str,
    arguments: list[str],
    extra: Callable[[str], list[Option]],
    names: Collection[str],
    shell: Callable[[str], Shell],
    what: str = "agent",
    absent: Collection[str] = (),
    description: str | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Parsed options, and the settings among them that were given.

    Args:
        command: what is run.
        arguments: its words.
        extra: `name -> options` of the command for what is named first, besides or instead of those of all that trains.
        names: what can be named first.
        shell: `name -> Shell`, which says its settings.
        what: what an unknown name is called.
        absent: options of all that trains which this command does not have; without `agent` it is the first name.
        description: of the command; default that of `jaxrl --help`.
    """
    names, own_options = list(names), lambda name: [*shell(name).settings(name).values()]

    def shared_options(name: str) -> list[Option]:
        shared = {option.name: option for option in (*base_options(names), *extra(name)) if option.name not in absent}
        return [*shared.values()]

    def options_of(name: str) -> list[Option]:
        return [*shared_options(name), *own_options(name)]

    found = None if "agent" in absent else first_word(arguments, names, options_of)
    if found is not None and "," in found:
        raise ValueError(f"jaxrl {command} runs one {what}, got {found}; several are compared by jaxrl compare {found}")
    name = names[0] if found is None else require_name(what, found, names)
    leaves = _leaves_of(shell(name), name, arguments, options_of(name))
    description = description or COMMANDS[command.split()[0]]
    parsed = parse(command, description, arguments, [*options_of(name), *leaves])
    for option, value in (("agent", name), ("environment", ""), ("environment_option", ()), ("set", ())):
        if option in absent:
            setattr(parsed, option, value)
    return parsed, _settings(parsed, [*own_options(name), *leaves], shared_options(name))


def _leaves_of(shell: Shell, name: str, arguments: list[str], options: list[Option]) -> list[Option]:
    """Options of the leaves of what is chosen, where the command line asks for more than `options`, or for help."""
    unknown = unknown_flags(arguments, options)
    if not unknown:
        return []
    words, values = lenient(arguments, options)
    # Leaves are arrays: JAX starts here.
    start_cores({option.name: option.default for option in options} | values)
    environment = values.get("tasks", words[1] if len(words) > 1 else None)
    try:
        found = shell.agent(name, {**values, **pairs(values.get("set", ()))})
        if found is None:
            return []
        taken = {option.name for option in options}
        leaves = leaf_options(*found, environment, pairs(values.get("environment_option", ())), taken)
        require_leaves(found[0], unknown, [*options, *leaves])
        return leaves
    except (ValueError, ImportError):
        # Help is of use all the same.
        if set(unknown) & {"-h", "--help"}:
            return []
        raise


def _settings(parsed: Any, options: list[Option], no_settings: list[Option]) -> dict[str, Any]:
    """Settings that were given, by options of their own or by `--set`."""
    own, others = given(parsed, options), settings_of(parsed.set, [option.name for option in no_settings])
    for name in others:
        if any(_is_named(name, written) for written in own):
            raise ValueError(f"{name} is given twice: by an option of its own and by --set")
    return {**own, **others}


def _is_named(name: str, path: str) -> bool:
    """Whether both are one setting, `clip_epsilon` and `objective.clip_epsilon`."""
    return f".{path}".endswith(f".{name}") or f".{name}".endswith(f".{path}")


@contextmanager
def resumable(directory: Path) -> Iterator[None]:
    """Who stops a run is told how it goes on."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        if (directory / "configuration.json").exists():
            raise KeyboardInterrupt(f"; jaxrl resume {directory} goes on from the last checkpoint") from stopped
        raise
