"""Bandits and chains, ids `bandit/...`: the smallest tasks that credit assignment can be studied on."""

from collections.abc import Callable
from functools import partial
from typing import Any

from jaxrl.environments.bandit.arms import BanditParams, bandit
from jaxrl.environments.bandit.delayed_chain import DelayedChainParams, DelayedChainState, delayed_chain
from jaxrl.environments.base import Environment

__all__ = ["BanditParams", "DelayedChainParams", "DelayedChainState", "bandit", "delayed_chain", "make", "names"]

_BUILDERS: dict[str, Callable[..., Environment]] = {
    "bernoulli": partial(bandit, "bernoulli"),
    "delayed-chain": delayed_chain,
    "gaussian": partial(bandit, "gaussian"),
}


def names() -> tuple[str, ...]:
    """Every id of this suite, without its prefix."""
    return tuple(_BUILDERS)


def make(name: str, **options: Any) -> Environment:
    """Builds `bandit/{name}`; `options` are that environment's static options."""
    return _BUILDERS[name](**options)
