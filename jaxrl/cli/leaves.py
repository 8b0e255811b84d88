"""Options for the traced leaves that depend on what is run: of its loss, aggregator, optimiser and environment."""

from dataclasses import fields, replace
from typing import Any

import jax
import numpy as np

from jaxrl import hyperparameters as named
from jaxrl.agents import Agent, AgentEntry, agent_entry
from jaxrl.cli.declaration import LEAVES, Option, option_of, traced_options
from jaxrl.environments.base import Environment, EnvironmentSpec
from jaxrl.environments.registry import make
from jaxrl.environments.spaces import Box, Discrete
from jaxrl.ranges import Range

__all__ = ["leaf_options", "require_leaves"]

# Larger leaves are learned, or tables; no word of a command line sets them.
_LARGEST = 16
# Which setting names what the leaves of a field belong to.
_OWNERS = {"objective": "surrogate"}


def leaf_options(
    agent: str, settings: dict[str, Any], environment: str | None, environment_options: dict[str, Any], taken: set[str]
) -> list[Option]:
    """Options of an agent's leaves under chosen static settings, and of the environment's parameters.

    Args:
        agent: its name.
        settings: those that were chosen; only static ones matter.
        environment: its name; None for the leaves that agents have in any.
        environment_options: of its builder.
        taken: names of other options, which a leaf does not take.

    Raises:
        ValueError: for settings that do not fit.
    """
    built = make(environment, **environment_options) if environment else None
    entry = agent_entry(agent)
    names = {field.name for field in fields(entry.config) if field.init}
    config = replace(entry.config, **{name: value for name, value in settings.items() if name in names})
    learner = entry.build(built.spec, config) if built else _built_for_any(entry, config)
    hyperparameters = learner.hyperparameters
    within = named.ranges_of(hyperparameters._replace(environment=built.params if built else ()), learner.ranges)
    found = {name: named.leaves(getattr(hyperparameters, name, ())) for name in LEAVES}
    found["environment"] = named.leaves(built.params) if built else {}
    paths = {
        f"{field}.{leaf}": value for field, leaves in found.items() if _small(leaves) for leaf, value in leaves.items()
    }
    shorts = [path.rsplit(".", 1)[-1] for path in paths]
    return _fields(hyperparameters, taken) + [
        _option(
            path, value, short if shorts.count(short) == 1 and short not in taken else path, config, built, within[path]
        )
        for (path, value), short in zip(paths.items(), shorts, strict=True)
    ]


def require_leaves(agent: str, flags: list[str], options: list[Option]) -> None:
    """Refuses flags of leaves that exist under other settings of an agent alone.

    Args:
        agent: its name.
        flags: as they were written.
        options: all that there are.

    Raises:
        ValueError: with what the leaf needs.
    """
    paths = [option.path or option.name for option in options]
    for flag in flags:
        name = flag.lstrip("-").partition("=")[0].replace("-", "_")
        named.require_present(agent_entry(agent).hyperparameters, paths, name)


def _built_for_any(entry: AgentEntry, config: Any) -> Agent:
    """The agent for an environment that it can act in: most take discrete actions, the others continuous ones."""
    spec = EnvironmentSpec("any", Box(-1.0, 1.0, (2,)), Discrete(3), num_objectives=2, time_limit=1)
    try:
        return entry.build(spec, config)
    except ValueError:
        return entry.build(replace(spec, action=Box(-1.0, 1.0, (2,))), config)


def _fields(hyperparameters: Any, taken: set[str]) -> list[Option]:
    """Options of single numbers that the chosen settings bring, such as a rate of target networks."""
    numbers = {
        name: float(f"{float(value):.6g}")
        for name, value in hyperparameters._asdict().items()
        if name not in taken and isinstance(value, float | jax.Array) and np.ndim(value) == 0
    }
    found = traced_options(hyperparameters._replace(**numbers))
    return [option for option in found if option.name in numbers]


def _small(leaves: dict[str, Any]) -> bool:
    return all(np.ndim(value) < 2 and np.size(value) <= _LARGEST for value in leaves.values())


def _option(path: str, value: Any, name: str, config: Any, environment: Environment | None, within: Range) -> Option:
    field = path.partition(".")[0]
    array = np.asarray(value)
    element = {"f": float, "i": int, "u": int, "b": bool}[array.dtype.kind]
    owner = environment.spec.name if field == "environment" else getattr(config, _OWNERS.get(field, field), None)
    text = f"{path}, of {owner}." if isinstance(owner, str) else f"{path}."
    shown = [float(f"{entry:.6g}") if element is float else entry for entry in array.ravel().tolist()]
    default, kind = (shown[0], element) if array.ndim == 0 else (tuple(shown), tuple[element, ...])
    within = replace(within, integer=True) if element is int else within
    return option_of(name, kind, text, default, within, group=LEAVES[field], path=path)
