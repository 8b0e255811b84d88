"""The commands `jaxrl train` and `jaxrl sweep`, and the options of agents."""

from collections.abc import Callable, Collection
from typing import Any

from jaxrl.agents import AGENTS, agent_entry
from jaxrl.cli.declaration import (
    HOST,
    SCHEDULE,
    TRACED,
    Option,
    hyperparameter_docs,
    option_of,
    sentence,
    static_options,
    traced_options,
)
from jaxrl.cli.options import Shell, member_options, parse_settings, seed_option, sweep_members, weights_option
from jaxrl.ranges import COUNT, NOT_NEGATIVE
from jaxrl.training.trainer import TrainerConfig

__all__ = ["SWEEP", "TRAIN", "agent_options", "parse_agent"]


def agent_options(agent: str) -> dict[str, Option]:
    """Options for the schedule, the agent's static settings and its traced hyperparameters, by name."""
    entry = agent_entry(agent)
    options = [*static_options(TrainerConfig(), SCHEDULE), *static_options(entry.config)]
    # Others are defaults of leaves within a field.
    direct = {name: value for name, value in entry.defaults.items() if name in entry.hyperparameters._fields}
    options += traced_options(entry.hyperparameters(**direct))
    if "weights" in entry.hyperparameters._fields:
        text = sentence(hyperparameter_docs(entry.hyperparameters).get("weights", "")) + " Default: equal."
        options.append(option_of("weights", tuple[float, ...], text, None, NOT_NEGATIVE, group=TRACED))
    return {option.name: option for option in options}


def parse_agent(
    command: str, arguments: list[str], extra: list[Option], absent: Collection[str] = ()
) -> tuple[Any, dict[str, Any]]:
    """Parsed options of a command that trains one agent, and the trainer's settings that were given."""
    return parse_settings(command, arguments, lambda _: extra, AGENTS, lambda _: TRAIN, absent=absent)


def _train(arguments: list[str], run: Callable[..., Any]) -> None:
    text = "Devices that divide the copies of the environment. Default: GPUs that have 256 each, or one CPU."
    devices = option_of("devices", int, text, None, COUNT, group=HOST)
    parsed, settings = parse_agent("train", arguments, [seed_option("Seed of the run.", 0), devices])
    run("train", parsed, settings, seeds=(parsed.seed,))


def _sweep(arguments: list[str], run: Callable[..., Any]) -> None:
    parsed, settings = parse_agent("sweep", arguments, [*member_options(), weights_option(None)])
    run("sweep", parsed, settings, **sweep_members(parsed, settings))


TRAIN = Shell(_train, agent_options, lambda name, chosen: (name, chosen))
SWEEP = TRAIN._replace(command=_sweep)
