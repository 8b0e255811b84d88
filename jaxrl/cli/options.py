"""Options of the command line, made from the docstrings of the settings they set."""

import ast
import inspect
import textwrap
from dataclasses import MISSING, field, fields, make_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import numpy as np
import tyro

from jaxrl.agents import AGENTS, agent_entry
from jaxrl.cli.values import pairs, swept
from jaxrl.errors import require_name
from jaxrl.meta.methods import METHODS, Method, schedule_names
from jaxrl.morl.algorithms import ALGORITHMS
from jaxrl.training.trainer import TrainerConfig

__all__ = [
    "COMMANDS",
    "base_options",
    "given",
    "option_of",
    "parse",
    "parse_settings",
    "static_options",
    "sweep_members",
    "sweep_options",
    "traced_options",
    "tune_options",
    "what_to_run",
]

COMMANDS = {
    "train": "train one agent",
    "sweep": "train seeds x settings x weights as one program",
    "pareto": "find a Pareto front: one agent under many preference weights, or an algorithm of its own",
    "compare": "several algorithms on several environments under one protocol: table and figures",
    "tune": "search hyperparameters by successive halving; held-out seeds tell what was gained",
    "meta-train": "meta-learn what an agent learns by, over whole lives",
    "examine": "draw and tabulate what was meta-learned: gradients, responses to delayed rewards",
    "meta-test": "try what was meta-learned on other environments, beside hand-written agents",
    "align": "learn a reward for what is wanted: from auxiliary rewards (barfi) or from preferences (parl)",
    "multitask": "train on many tasks, find which belong together, train the groups",
    "policy": "choose one policy of a front, roll it out, and save it alone",
    "evaluate": "evaluate a trained run on fresh episodes",
    "resume": "finish a run that was interrupted",
    "plot": "draw a run's figures again",
    "list": "list environments, agents, objectives, aggregators, algorithms, methods and the rest",
}


def _attribute_docs(cls: type) -> dict[str, str]:
    """The docstring under each attribute of a dataclass and of those it extends, on one line."""
    docs = _attribute_docs(cls.__base__) if cls.__base__ is not object else {}
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body
    except (OSError, TypeError):
        return docs  # A class without a file, such as a notebook's.
    for statement, following in pairwise(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
            docs[statement.target.id] = " ".join(following.value.value.split())
    return docs


def _hyperparameter_docs(cls: type) -> dict[str, str]:
    """The `Attributes:` section of the docstring of a class of hyperparameters."""
    lines = (inspect.getdoc(cls) or "").partition("Attributes:")[2].splitlines()
    return dict(line.strip().split(": ", 1) for line in lines if ": " in line)


def _plain_type(annotation: Any) -> Any:
    """What the shell can give: the first simple type of a union."""
    if annotation in (int, float, str, bool) or get_origin(annotation) in (tuple, Literal):
        return annotation
    for option in map(_plain_type, get_args(annotation)):
        if option in (int, float, bool) or get_origin(option) in (tuple, Literal):
            return option
    return str


def option_of(name: str, kind: Any, help_text: str, default: Any) -> tuple:
    """An option with its help; one without a default may be None."""
    kind = kind if default is not None else kind | None
    return (name, Annotated[kind, tyro.conf.arg(help=help_text)], field(default=default))


def _sentence(text: str) -> str:
    """With a capital first letter, unless that is a symbol."""
    return text[0].upper() + text[1:] if text and text[0].isascii() else text


def static_options(config: Any) -> list[tuple]:
    """The fields of a config, described by the docstrings under them."""
    docs = _attribute_docs(type(config))
    return [
        option_of(item.name, _plain_type(item.type), docs.get(item.name, ""), getattr(config, item.name))
        for item in fields(config)
        if item.init
    ]


def traced_options(values: tuple) -> list[tuple]:
    """The numbers among hyperparameters, described by their docstring; leaves of parts chosen by name go by --set."""
    docs = _hyperparameter_docs(type(values))
    numbers = {name: float(value) for name, value in values._asdict().items() if np.isscalar(value)}
    return [option_of(name, float, _sentence(docs.get(name, "")), value) for name, value in numbers.items()]


def given(parsed: Any, options: list[tuple]) -> dict[str, Any]:
    """The parsed values of options, where they differ from the defaults."""
    values = {name: getattr(parsed, name) for name, _, _ in options}
    return {name: values[name] for name, _, item in options if values[name] != item.default}


def _algorithm_options(algorithm: str) -> dict[str, tuple]:
    """Options of a study: the algorithm's, the protocol's, and those of its members, if any, that it leaves open."""
    entry = ALGORITHMS[algorithm]
    config, traced = entry.config(), entry.hyperparameters()
    options = [
        *static_options(config),
        *(traced_options(traced) if traced else []),
        option_of("evaluation_discount", float, "Discount of all reported returns. Default: the environment's.", None),
        option_of("horizon", int, "Steps after which episodes are cut. Default: the environment's limit.", None),
        option_of("reference_point", tuple[float, ...], "Of the hypervolume. Default: the environment's.", None),
    ]
    own = {option[0]: option for option in options if option[0] not in entry.chosen}
    if not hasattr(config, "member_agent"):
        return own
    text = "Evaluations of all members. Default: one every 10 updates."
    own["num_evaluations"] = option_of("num_evaluations", int, text, None)
    chosen = {*own, "weights", *entry.chosen}
    members = {name: option for name, option in _setting_options(config.member_agent).items() if name not in chosen}
    for name, value in entry.training.items():
        kind, _ = members[name][1:]
        members[name] = (name, kind, field(default=value))
    return members | own


def _setting_options(agent: str) -> dict[str, tuple]:
    """Options for the schedule, the agent's static settings and its traced hyperparameters, by name."""
    if agent in ALGORITHMS:
        return _algorithm_options(agent)
    if agent in METHODS and METHODS[agent].agent != agent:
        return {**_setting_options(METHODS[agent].agent), **_preset(METHODS[agent])}
    entry = agent_entry(agent)
    options = [*static_options(TrainerConfig()), *static_options(entry.config)]
    options += traced_options(entry.hyperparameters(**entry.defaults))
    if "weights" in entry.hyperparameters._fields:
        text = _sentence(_hyperparameter_docs(entry.hyperparameters).get("weights", "")) + " Default: equal."
        options.append(option_of("weights", tuple[float, ...], text, None))
    return {option[0]: option for option in options}


def _preset(method: Method) -> dict[str, tuple]:
    """Options of a method's agent with the method's own defaults."""
    options = _setting_options(method.agent)
    return {name: (*options[name][:2], field(default=value)) for name, value in method.settings.items()}


def base_options(command: str) -> list[tuple]:
    """Options of everything that trains."""
    agent = Annotated[tyro.conf.Positional[str], tyro.conf.arg(help=f"One of: {', '.join(_runnable(command))}.")]
    environment = Annotated[tyro.conf.Positional[str], tyro.conf.arg(help="A name of `jaxrl list environments`.")]
    out = Annotated[Path | None, tyro.conf.arg(help="Run directory. Default: runs/AGENT-TASK.")]
    pairs = tyro.conf.UseAppendAction[tuple[str, ...]]
    more = Annotated[
        pairs,
        tyro.conf.arg(
            metavar="NAME=VALUE",
            help="Any other traced leaf, such as environment.gravity=9.8 or objective.clip_epsilon=0.1; repeatable.",
        ),
    ]
    options = Annotated[
        pairs, tyro.conf.arg(metavar="NAME=VALUE", help="Option of the environment, such as backend=mjx; repeatable.")
    ]
    progress = Annotated[bool | None, tyro.conf.arg(help="Progress bar. Default: on a terminal.")]
    seconds = Annotated[float, tyro.conf.arg(help="Least seconds between checkpoints.")]
    return [
        ("agent", agent, MISSING),
        ("environment", environment, MISSING),
        ("out", out, field(default=None)),
        ("set", more, field(default=())),
        ("environment_option", options, field(default=())),
        ("progress", progress, field(default=None)),
        ("checkpoint_seconds", seconds, field(default=20.0)),
    ]


def sweep_options(command: str, name: str) -> list[tuple]:
    """Options of a sweep, or of a Pareto study by the agent or algorithm `name`."""
    pareto = command == "pareto"
    many = Annotated[int, tyro.conf.arg(help="Number of seeds (0, 1, ...).")]
    values = Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(
            metavar="NAME=VALUES",
            help="Setting to sweep: learning_rate=1e-4,3e-4 (grid) or learning_rate=log:1e-5:1e-2, "
            "uniform:low:high, int:low:high (random, sobol). Static settings too, one compilation each. Repeatable.",
        ),
    ]
    weights = Annotated[int | None, tyro.conf.arg(help="Number of evenly spaced preference weights.")]
    design = Annotated[Literal["grid", "random", "sobol"], tyro.conf.arg(help="How settings are chosen.")]
    samples = Annotated[int | None, tyro.conf.arg(help="Settings of a random or Sobol design.")]
    options = [
        ("seeds", many, field(default=2 if pareto else 1)),
        ("sweep", values, field(default=())),
        ("design", design, field(default="grid")),
        ("samples", samples, field(default=None)),
    ]
    if name not in ALGORITHMS:
        options.append(("num_weights", weights, field(default=32 if pareto else None)))
    if not pareto:
        return options
    episodes = Annotated[int, tyro.conf.arg(help="Episodes per policy of the final evaluation.")]
    discounted = Annotated[bool, tyro.conf.arg(help="Show discounted returns.")]
    options.append(("front_episodes", episodes, field(default=64)))
    # A study's own protocol says how its returns are discounted.
    return options if name in ALGORITHMS else [*options, ("discounted", discounted, field(default=False))]


def sweep_members(parsed: Any) -> dict[str, Any]:
    """What the options of a sweep ask for: seeds and settings."""
    return {
        "seeds": tuple(range(parsed.seeds)),
        "hyperparameters": swept(parsed.sweep),
        "design": parsed.design,
        "samples": parsed.samples,
    }


def tune_options() -> list[tuple]:
    """Options of a search."""
    ranges = Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="NAME=RANGE", help="log:low:high, uniform:low:high or int:low:high; repeatable."),
    ]
    described = {
        "samples": (16, "Settings besides the defaults."),
        "seeds": (3, "Seeds of each setting (0, 1, ...)."),
        "rungs": (3, "Parts of the run; after each the better half goes on."),
        "held_out_seeds": (5, "Fresh seeds on which winner and defaults are compared."),
    }
    numbers = [
        (name, Annotated[int, tyro.conf.arg(help=text)], field(default=value))
        for name, (value, text) in described.items()
    ]
    design = Annotated[Literal["sobol", "random"], tyro.conf.arg(help="How settings are chosen.")]
    return [("sweep", ranges, field(default=())), *numbers, ("design", design, field(default="sobol"))]


def what_to_run(command: str, arguments: list[str]) -> str:
    """The agent or algorithm that the command line names first."""
    name = next((word for word in arguments if not word.startswith("-")), "ppo")
    kind = "agent or algorithm" if command in ("pareto", "tune") else "agent"
    return require_name("method" if command == "meta-train" else kind, name, _runnable(command))


def _runnable(command: str) -> list[str]:
    """What a command can run."""
    if command == "meta-train":
        return [*METHODS]
    return [*AGENTS, *ALGORITHMS] if command in ("pareto", "tune") else [*AGENTS]


def parse(command: str, description: str, arguments: list[str], options: list[tuple]) -> Any:
    """The options of a command, each `(name, type, field)`, read from its arguments."""
    described = make_dataclass(command, [option if option[2] is not MISSING else option[:2] for option in options])
    described.__doc__ = _sentence(description) + "."
    return tyro.cli(described, args=arguments, prog=f"jaxrl {command}", config=(tyro.conf.AvoidSubcommands,))


def parse_settings(command: str, arguments: list[str], extra: list[tuple]) -> tuple[Any, dict[str, Any]]:
    """Parsed options, and the trainer's settings among them that were given."""
    settings, base = _setting_options(what_to_run(command, arguments)), base_options(command)
    if command == "meta-train":
        base = [option for option in base if option[0] != "environment"]
        settings = {name: option for name, option in settings.items() if name not in schedule_names()}
    described = COMMANDS[command.split()[0]]
    parsed = parse(command, described, arguments, [*base, *extra, *settings.values()])
    return parsed, {**given(parsed, [*settings.values()]), **pairs(parsed.set)}
