"""The command of bilevel programs: `jaxrl align barfi|parl ENVIRONMENT`."""

from collections.abc import Callable
from typing import Any

from jaxrl.bilevel import BILEVEL, BarfiConfig, BarfiHyperparameters, ParlConfig, ParlHyperparameters
from jaxrl.cli.declaration import METHOD, Option, given, repeated, static_options, traced_options
from jaxrl.cli.main import COMMANDS
from jaxrl.cli.options import base_options, sweep_members, sweep_options
from jaxrl.cli.parsing import first_word, parse
from jaxrl.cli.values import pairs
from jaxrl.errors import require_name

__all__ = ["align"]

_NOTHING = ()
_SETTINGS = {
    "barfi": (BarfiConfig(), BarfiHyperparameters(_NOTHING, _NOTHING, _NOTHING, _NOTHING)),
    "parl": (ParlConfig(), ParlHyperparameters(_NOTHING, _NOTHING)),
}


def align(arguments: list[str], run: Callable[..., Any]) -> None:
    """Parses `jaxrl align` and hands it to `run`, which every training command shares."""
    options_of = lambda name: [*_shared_options(), *_own_options(name)]  # noqa: E731
    name = first_word(arguments, BILEVEL, options_of) or next(iter(BILEVEL))
    hyperparameters, own = _SETTINGS[require_name("method", name, BILEVEL)][1], _own_options(name)
    parsed = parse("align", COMMANDS["align"], arguments, options_of(name))
    vectors = pairs(parsed.set)
    for setting in vectors:
        require_name("setting", setting, {*hyperparameters._fields, *(option.name for option in own)} - {"environment"})
    run("align", parsed, {**given(parsed, own), **vectors}, **sweep_members(parsed))


def _own_options(name: str) -> list[Option]:
    config, hyperparameters = _SETTINGS[name]
    return [*static_options(config, METHOD), *traced_options(hyperparameters)]


def _shared_options() -> list[Option]:
    own = {"set": repeated("set", "NAME=VALUE", "A vector, such as weights=[0,1].")}
    shared = [*base_options("align", BILEVEL), *sweep_options("sweep", "ppo")]
    return [own.get(option.name, option) for option in shared if option.name != "num_weights"]
