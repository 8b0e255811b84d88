"""The command `jaxrl pareto`, and the options of algorithms that find fronts."""

from collections.abc import Callable
from functools import partial
from typing import Any

from jaxrl.agents import AGENTS
from jaxrl.cli.declaration import METHOD, PROTOCOL, SCHEDULE, Option, option_of, static_options, traced_options
from jaxrl.cli.options import Shell, member_options, parse_settings, sweep_members, weights_option
from jaxrl.cli.parsing import lenient
from jaxrl.cli.training import agent_options
from jaxrl.morl.algorithms import ALGORITHMS
from jaxrl.ranges import COUNT, EPISODES, NUMBER, PROBABILITY

__all__ = ["PARETO"]


def _settings(name: str, member: str | None = None) -> dict[str, Option]:
    """Options of a study: the algorithm's, the protocol's, and those of its members, if any, that it leaves open.

    Args:
        name: of the algorithm, or of an agent.
        member: agent of its members; default the algorithm's own.
    """
    if name not in ALGORITHMS:
        return agent_options(name)
    entry = ALGORITHMS[name]
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
    options_of_member = agent_options(member or config.member_agent)
    members = {name: option for name, option in options_of_member.items() if name not in chosen}
    for name, value in entry.training.items():
        members[name] = members[name]._replace(default=value)
    return members | own


def _agent(name: str, chosen: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """That of a study's members, if it has any."""
    if name not in ALGORITHMS:
        return name, chosen
    entry = ALGORITHMS[name]
    config = entry.config()
    if not hasattr(config, "member_agent"):
        return None
    known = {setting: value for setting, value in entry.chosen.items() if value is not None}
    return chosen.get("member_agent", config.member_agent), chosen | known


def _member(arguments: list[str]) -> str | None:
    """The agent that `--member-agent` names, whose settings are options then."""
    _, values = lenient(arguments, [option_of("member_agent", str, "", None)])
    return named if (named := values.get("member_agent")) in AGENTS else None


def _extra(name: str) -> list[Option]:
    text = "Episodes per policy of the final evaluation."
    episodes = option_of("front_episodes", int, text, 64, EPISODES, group=PROTOCOL)
    if name in ALGORITHMS:
        # A study's own protocol says how its returns are discounted.
        return [*member_options(seeds=2), episodes]
    discounted = option_of("discounted", bool, "Show discounted returns.", False, group=PROTOCOL)
    return [*member_options(seeds=2), weights_option(32), episodes, discounted]


def _pareto(arguments: list[str], run: Callable[..., Any]) -> None:
    names = [*AGENTS, *ALGORITHMS]
    shell = PARETO._replace(settings=partial(_settings, member=_member(arguments)))
    parsed, settings = parse_settings("pareto", arguments, _extra, names, lambda _: shell, "agent or algorithm")
    options = {"evaluation_episodes": parsed.front_episodes, "discounted": getattr(parsed, "discounted", False)}
    run("pareto", parsed, settings, **sweep_members(parsed, settings), **options)


PARETO = Shell(_pareto, _settings, _agent)
