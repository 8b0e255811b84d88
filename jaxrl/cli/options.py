"""Options of the command line, made from the docstrings of the settings they set."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from jaxrl.agents import AGENTS, agent_entry
from jaxrl.cli.declaration import (
    HOST,
    METHOD,
    PROTOCOL,
    SCHEDULE,
    SWEEP,
    TRACED,
    Option,
    given,
    hyperparameter_docs,
    option_of,
    positional,
    repeated,
    sentence,
    static_options,
    traced_options,
)
from jaxrl.cli.leaves import leaf_options
from jaxrl.cli.main import COMMANDS
from jaxrl.cli.parsing import first_word, lenient, parse, unknown_flags
from jaxrl.cli.values import pairs, settings_of, swept
from jaxrl.errors import require_name
from jaxrl.meta.methods import METHODS, Method, schedule_names
from jaxrl.morl.algorithms import ALGORITHMS
from jaxrl.ranges import COUNT, EPISODES, NUM_WEIGHTS, NUMBER, PROBABILITY, SAMPLES, SECONDS, SEED, SEEDS, WEIGHT
from jaxrl.training.trainer import TrainerConfig

__all__ = [
    "base_options",
    "parse_settings",
    "seed_option",
    "sweep_members",
    "sweep_options",
    "tune_options",
]


def _algorithm_options(algorithm: str) -> dict[str, Option]:
    """Options of a study: the algorithm's, the protocol's, and those of its members, if any, that it leaves open."""
    entry = ALGORITHMS[algorithm]
    config, traced = entry.config(), entry.hyperparameters()
    discount = "Discount of all reported returns. Default: the environment's."
    horizon = "Steps after which episodes are cut. Default: the environment's limit."
    reference = "Of the hypervolume, one number per objective. Default: the environment's."
    options = [
        *static_options(config, METHOD),
        *(traced_options(traced) if traced else []),
        option_of("evaluation_discount", float, discount, None, PROBABILITY, group=PROTOCOL),
        option_of("horizon", int, horizon, None, COUNT, group=PROTOCOL),
        option_of("reference_point", tuple[float, ...], reference, None, NUMBER, group=PROTOCOL),
    ]
    own = {option.name: option for option in options if option.name not in entry.chosen}
    if not hasattr(config, "member_agent"):
        return own
    text = "Evaluations of all members. Default: one every 10 updates."
    own["num_evaluations"] = option_of("num_evaluations", int, text, None, COUNT, group=SCHEDULE)
    chosen = {*own, "weights", *entry.chosen}
    members = {name: option for name, option in _setting_options(config.member_agent).items() if name not in chosen}
    for name, value in entry.training.items():
        members[name] = members[name]._replace(default=value)
    return members | own


def _setting_options(agent: str) -> dict[str, Option]:
    """Options for the schedule, the agent's static settings and its traced hyperparameters, by name."""
    if agent in ALGORITHMS:
        return _algorithm_options(agent)
    if agent in METHODS and METHODS[agent].agent != agent:
        return {**_setting_options(METHODS[agent].agent), **_preset(METHODS[agent])}
    entry = agent_entry(agent)
    options = [*static_options(TrainerConfig(), SCHEDULE), *static_options(entry.config)]
    options += traced_options(entry.hyperparameters(**entry.defaults))
    if "weights" in entry.hyperparameters._fields:
        text = sentence(hyperparameter_docs(entry.hyperparameters)["weights"]) + " Default: equal."
        options.append(option_of("weights", tuple[float, ...], text, None, WEIGHT, group=TRACED))
    return {option.name: option for option in options}


def _preset(method: Method) -> dict[str, Option]:
    """Options of a method's agent with the method's own defaults."""
    options = _setting_options(method.agent)
    return {name: options[name]._replace(default=value) for name, value in method.settings.items()}


def base_options(command: str, names: Iterable[str] = ()) -> list[Option]:
    """Options of everything that trains; `names` are what can be trained, default what the command can run."""
    what = "Any other setting by its path, such as environment.gravity=9.8 or weights=[0.3,0.7]; values are Python's."
    return [
        positional("agent", str, f"One of: {', '.join(names or _runnable(command))}."),
        positional("environment", str, "A name of `jaxrl list environments`."),
        repeated("set", "NAME=VALUE", what),
        repeated("environment_option", "NAME=VALUE", "Option of the environment's builder, such as backend=mjx."),
        option_of("out", Path, "Run directory. Default: runs/AGENT-TASK.", None, group=HOST),
        option_of("progress", bool, "Progress bar. Default: on a terminal.", None, group=HOST),
        option_of("checkpoint_seconds", float, "Least seconds between checkpoints.", 20.0, SECONDS, group=HOST),
    ]


def seed_option(text: str, default: int) -> Option:
    """One seed."""
    return option_of("seed", int, text, default, SEED)


def sweep_options(command: str, name: str) -> list[Option]:
    """Options of a sweep, or of a Pareto study by the agent or algorithm `name`."""
    pareto = command == "pareto"
    many = "Number of seeds (0, 1, ...)."
    values = (
        "Setting to sweep: learning_rate=1e-4,3e-4 (grid) or learning_rate=log:1e-5:1e-2, uniform:low:high, "
        "int:low:high (random, sobol). Static settings too, one compilation each."
    )
    design = "How settings are chosen."
    options = [
        option_of("seeds", int, many, 2 if pareto else 1, SEEDS, group=SWEEP),
        repeated("sweep", "NAME=VALUES", values, group=SWEEP),
        option_of("design", Literal["grid", "random", "sobol"], design, "grid", group=SWEEP),
        option_of("samples", int, "Settings of a random or Sobol design.", None, SAMPLES, group=SWEEP),
    ]
    if name not in ALGORITHMS:
        text = "Number of evenly spaced preference weights."
        options.append(option_of("num_weights", int, text, 32 if pareto else None, NUM_WEIGHTS, group=SWEEP))
    if not pareto:
        return options
    text = "Episodes per policy of the final evaluation."
    options.append(option_of("front_episodes", int, text, 64, EPISODES, group=PROTOCOL))
    if name in ALGORITHMS:
        # A study's own protocol says how its returns are discounted.
        return options
    return [*options, option_of("discounted", bool, "Show discounted returns.", False, group=PROTOCOL)]


def sweep_members(parsed: Any) -> dict[str, Any]:
    """What the options of a sweep ask for: seeds and settings."""
    return {
        "seeds": tuple(range(parsed.seeds)),
        "hyperparameters": swept(parsed.sweep),
        "design": parsed.design,
        "samples": parsed.samples,
    }


def tune_options() -> list[Option]:
    """Options of a search."""
    ranges = "Range of a traced setting: log:low:high, uniform:low:high or int:low:high."
    held_out = "Fresh seeds on which winner and defaults are compared."
    return [
        repeated("sweep", "NAME=RANGE", ranges, group=SWEEP),
        option_of("samples", int, "Settings besides the defaults.", 16, SAMPLES, group=SWEEP),
        option_of("seeds", int, "Seeds of each setting (0, 1, ...).", 3, SEEDS, group=SWEEP),
        option_of("rungs", int, "Parts of the run; after each the better half goes on.", 3, COUNT, group=SWEEP),
        option_of("held_out_seeds", int, held_out, 5, SEEDS, group=SWEEP),
        option_of("design", Literal["sobol", "random"], "How settings are chosen.", "sobol", group=SWEEP),
    ]


def _runnable(command: str) -> list[str]:
    """What a command can run."""
    if command == "meta-train":
        return [*METHODS]
    return [*AGENTS, *ALGORITHMS] if command in ("pareto", "tune") else [*AGENTS]


def parse_settings(
    command: str, arguments: list[str], extra: Callable[[str], list[Option]]
) -> tuple[Any, dict[str, Any]]:
    """Parsed options, and the trainer's settings among them that were given.

    Args:
        command: what is run.
        arguments: its words.
        extra: `name of the agent, algorithm or method -> options` of the command, besides those of all that trains.
    """
    base, names = base_options(command), _runnable(command)
    unused = schedule_names() if command == "meta-train" else ()
    if command == "meta-train":
        base = [option for option in base if option.name != "environment"]

    def own_options(name: str) -> list[Option]:
        return [option for option in _setting_options(name).values() if option.name not in unused]

    options_of = lambda name: [*base, *extra(name), *own_options(name)]  # noqa: E731
    found = first_word(arguments, names, options_of)
    kind = "agent or algorithm" if command in ("pareto", "tune") else "agent"
    name = names[0] if found is None else require_name("method" if command == "meta-train" else kind, found, names)
    leaves = _leaves_of(name, arguments, options_of(name))
    parsed = parse(command, COMMANDS[command.split()[0]], arguments, [*options_of(name), *leaves])
    return parsed, _settings(parsed, [*own_options(name), *leaves], [*base, *extra(name)])


def _leaves_of(name: str, arguments: list[str], options: list[Option]) -> list[Option]:
    """Options of the leaves of what is chosen, where the command line asks for more than `options`, or for help."""
    unknown = unknown_flags(arguments, options)
    if not unknown:
        return []
    from jaxrl.sweeps.devices import use_cpu_cores

    # Leaves are arrays: JAX starts here.
    use_cpu_cores()
    words, values = lenient(arguments, options)
    environment = values.get("tasks", words[1] if len(words) > 1 else None)
    try:
        chosen = {**values, **pairs(values.get("set", ()))}
        entry = ALGORITHMS.get(name)
        if entry and not hasattr(entry.config(), "member_agent"):
            return []
        agent = chosen.get("member_agent", entry.config().member_agent) if entry else name
        if name in METHODS and not entry:
            agent, chosen = METHODS[name].agent, {**METHODS[name].settings, **chosen}
        taken = {option.name for option in options}
        return leaf_options(agent, chosen, environment, pairs(values.get("environment_option", ())), taken)
    except (ValueError, ImportError):
        # Help is of use all the same.
        if set(unknown) & {"-h", "--help"}:
            return []
        raise


def _settings(parsed: Any, options: list[Option], no_settings: list[Option]) -> dict[str, Any]:
    """Settings that were given, by options of their own or by `--set`."""
    own, others = given(parsed, options), settings_of(parsed.set, [option.name for option in no_settings])
    for name in others:
        if any(f".{written}".endswith(f".{name}") for written in own):
            raise ValueError(f"{name} is given twice: by an option of its own and by --set")
    return {**own, **others}
