"""The command of bilevel programs: `jaxrl align barfi|parl ENVIRONMENT`."""

from collections.abc import Callable
from typing import Any

from jaxrl.bilevel import BILEVEL, BarfiConfig, BarfiHyperparameters, ParlConfig, ParlHyperparameters
from jaxrl.cli.declaration import METHOD, Option, repeated, static_options, traced_options
from jaxrl.cli.options import Shell, member_options, parse_settings, sweep_members
from jaxrl.cli.values import pairs
from jaxrl.errors import require_name

__all__ = ["ALIGN"]

_NOTHING = ()
_SETTINGS = {
    "barfi": (BarfiConfig(), BarfiHyperparameters(_NOTHING, _NOTHING, _NOTHING, _NOTHING)),
    "parl": (ParlConfig(), ParlHyperparameters(_NOTHING, _NOTHING)),
}


def _options(name: str) -> dict[str, Option]:
    config, hyperparameters = _SETTINGS[name]
    return {option.name: option for option in (*static_options(config, METHOD), *traced_options(hyperparameters))}


def _align(arguments: list[str], run: Callable[..., Any]) -> None:
    vectors = repeated("set", "NAME=VALUE", "A vector, such as weights=[0,1].")
    extra = lambda _: [*member_options(), vectors]  # noqa: E731
    parsed, settings = parse_settings("align", arguments, extra, BILEVEL, lambda _: ALIGN, "method")
    known = {*_SETTINGS[parsed.agent][1]._fields, *_options(parsed.agent)} - {"environment"}
    for setting in pairs(parsed.set):
        require_name("setting", setting, known)
    run("align", parsed, settings, **sweep_members(parsed, settings))


ALIGN = Shell(_align, _options)
