"""Agents by name, and how each is built; open to users."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxrl.agents.base import Agent
from jaxrl.configs import NoSettings, annotated_ranges
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.plugins import module_of
from jaxrl.ranges import Range
from jaxrl.registry import Registry

__all__ = ["AGENTS", "AgentEntry", "agent_entry", "entry_of", "register_agent"]

Fit = Callable[[Any, frozenset[str], EnvironmentSpec], Any]


class NoHyperparameters(NamedTuple):
    """Of an agent that does not say what is traced; its leaves can be set by name all the same."""


class AgentEntry(NamedTuple):
    """How an agent is built.

    Attributes:
        build: `(spec, config) -> Agent`.
        config: its default config, a frozen dataclass.
        defaults: hyperparameters that differ from those of `hyperparameters`; None for one that is there under other
            settings alone.
        hyperparameters: what is traced, a NamedTuple class, all of whose fields have defaults.
        fit: `(config, names that a user set, spec) -> config`: defaults that give way to what was set, and to the
            environment; None changes none.
    """

    build: Callable[..., Agent]
    config: Any = NoSettings()
    defaults: Mapping[str, Any] = MappingProxyType({})
    hyperparameters: type = NoHyperparameters
    fit: Fit | None = None

    @property
    def ranges(self) -> dict[str, Range]:
        """Of traced settings, by name."""
        return annotated_ranges(self.hyperparameters)


# An algorithm is a file, and a line here.
AGENTS = Registry(
    "agent",
    {
        "ppo": "jaxrl.agents.ppo:PPO",
        "a2c": "jaxrl.agents.a2c:A2C",
        "reinforce": "jaxrl.agents.reinforce:REINFORCE",
        "mdpo": "jaxrl.agents.mdpo:MDPO",
        "npg": "jaxrl.agents.npg:NPG",
        "grpo": "jaxrl.agents.grpo:GRPO",
        "gdpo": "jaxrl.agents.grpo:GDPO",
        "lpg": "jaxrl.agents.lpg:LPG",
        "ta_lpg": "jaxrl.agents.lpg:TA_LPG",
        "stac": "jaxrl.agents.stac:STAC",
        "stacx": "jaxrl.agents.stac:STACX",
        "disco": "jaxrl.agents.disco:DISCO",
        "dpo": "jaxrl.agents.dpo:DPO",
        "dqn": "jaxrl.agents.off_policy.dqn:DQN",
        "discrete_sac": "jaxrl.agents.off_policy.discrete_sac:DISCRETE_SAC",
        "envelope_dqn": "jaxrl.agents.off_policy.envelope:ENVELOPE",
        "gpi_dqn": "jaxrl.agents.off_policy.gpi:GPI",
        "pqn": "jaxrl.agents.off_policy.pqn:PQN",
        "c51": "jaxrl.agents.off_policy.c51:C51",
        "qr_dqn": "jaxrl.agents.off_policy.qr_dqn:QR_DQN",
        "iqn": "jaxrl.agents.off_policy.iqn:IQN",
        "munchausen_dqn": "jaxrl.agents.off_policy.munchausen_dqn:MUNCHAUSEN_DQN",
        "r2d2": "jaxrl.agents.off_policy.r2d2:R2D2",
        "rainbow": "jaxrl.agents.off_policy.rainbow:RAINBOW",
        "ddpg": "jaxrl.agents.off_policy.ddpg:DDPG",
        "td3": "jaxrl.agents.off_policy.td3:TD3",
        "sac": "jaxrl.agents.off_policy.sac:SAC",
        "redq": "jaxrl.agents.off_policy.redq:REDQ",
        "droq": "jaxrl.agents.off_policy.droq:DROQ",
        "tqc": "jaxrl.agents.off_policy.tqc:TQC",
        "crossq": "jaxrl.agents.off_policy.crossq:CROSSQ",
        "simba": "jaxrl.agents.off_policy.simba:SIMBA",
        "off_policy_mdpo": "jaxrl.agents.off_policy.mdpo:OFF_POLICY_MDPO",
        "pmoe": "jaxrl.agents.off_policy.pmoe:PMOE",
    },
    AgentEntry,
)


def agent_entry(name: str) -> AgentEntry:
    """The agent called `name`.

    Raises:
        UnknownNameError: for an unknown name, with the nearest match.
    """
    return AGENTS[name]


def entry_of(build: Callable[..., Agent], **given: Any) -> AgentEntry:
    """The entry of a builder `spec -> Agent` or `(spec, config) -> Agent`.

    The static settings of the latter are the default of its second argument, a frozen dataclass, or an instance of the
    class that annotates it.

    Args:
        build: the builder.
        given: `config`, `hyperparameters`, `defaults` and `fit`, as in `AgentEntry`; those that are None are left out.

    Raises:
        ValueError: for a config that is no frozen dataclass.
    """
    given = {name: value for name, value in given.items() if value is not None}
    config = given.pop("config", None) or _default_config(build)
    if config is None:
        return AgentEntry(_without_config(build), **given)
    if not is_dataclass(config) or isinstance(config, type) or not config.__dataclass_params__.frozen:
        raise ValueError(f"the config of an agent is an instance of a frozen dataclass, got {config!r}")
    return AgentEntry(build, config, **given)


def _without_config(build: Callable[..., Agent]) -> Callable[..., Agent]:
    return partial(_build_without, build)


def _build_without(build: Callable[..., Any], spec: EnvironmentSpec, config: NoSettings) -> Any:
    return build(spec)


def _default_config(build: Callable[..., Agent]) -> Any:
    """The default of the builder's argument `config`, or what its annotation makes."""
    try:
        parameters = list(inspect.signature(build, eval_str=True).parameters.values())
    except (TypeError, ValueError, NameError):
        return None
    found = next((parameter for parameter in parameters if parameter.name == "config"), None)
    for parameter in [found] if found else parameters[1:]:
        if is_dataclass(parameter.default) and not isinstance(parameter.default, type):
            return parameter.default
        if isinstance(parameter.annotation, type) and is_dataclass(parameter.annotation):
            return parameter.annotation()
    return None


def register_agent(
    name: str,
    build: Callable[..., Agent] | None = None,
    *,
    config: Any = None,
    hyperparameters: type | None = None,
    defaults: Mapping[str, float] | None = None,
    fit: Fit | None = None,
) -> Any:
    """Makes an agent available by name, in Python, run directories and the shell; also a decorator.

        @jaxrl.register_agent("my_dqn", hyperparameters=DQNHyperparameters)
        def dqn(spec, config=DQNConfig()): ...

    Args:
        name: letters, digits and _ . -.
        build: `spec -> Agent` or `(spec, config) -> Agent`.
        config: default static settings; by default that of the builder's second argument.
        hyperparameters: the class of what is traced; the shell shows its fields as options.
        defaults: hyperparameters that differ from those of the class.
        fit: see `AgentEntry`.

    Returns:
        `build`, or the decorator that registers one.

    Raises:
        ValueError: if the name is taken.
    """
    if hyperparameters is not None and not hasattr(hyperparameters, "_field_defaults"):
        raise ValueError(f"the hyperparameters of an agent are a NamedTuple class, got {hyperparameters!r}")
    rest = {"config": config, "hyperparameters": hyperparameters, "defaults": defaults, "fit": fit}
    AGENTS.check_name(name)
    if build is None:
        return lambda build: register_agent(name, build, **rest)
    AGENTS.register(name, entry_of(build, **rest), module_of(build))
    return build
