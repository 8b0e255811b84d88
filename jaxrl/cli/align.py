"""The command of bilevel programs: `jaxrl align barfi|parl ENVIRONMENT`."""

from collections.abc import Callable
from typing import Annotated, Any

import tyro

from jaxrl.bilevel import BILEVEL, BarfiConfig, BarfiHyperparameters, ParlConfig, ParlHyperparameters
from jaxrl.cli.options import (
    COMMANDS,
    base_options,
    given,
    parse,
    static_options,
    sweep_members,
    sweep_options,
    traced_options,
)
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
    name = next((word for word in arguments if not word.startswith("-")), "barfi")
    config, hyperparameters = _SETTINGS[require_name("method", name, BILEVEL)]
    own = [*static_options(config), *traced_options(hyperparameters)]
    method = Annotated[tyro.conf.Positional[str], tyro.conf.arg(help=f"One of: {', '.join(BILEVEL)}.")]
    shared = [*base_options("train"), *sweep_options("sweep", "ppo")]
    shared = [option for option in shared if option[0] != "num_weights"]
    shared[0] = ("agent", method, shared[0][2])
    leaves = Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="NAME=VALUE", help="A vector, such as weights=[0,1]; repeatable."),
    ]
    shared = [("set", leaves, item) if option == "set" else (option, kind, item) for option, kind, item in shared]
    parsed = parse("align", COMMANDS["align"], arguments, [*shared, *own])
    vectors = pairs(parsed.set)
    for setting in vectors:
        require_name("setting", setting, {*hyperparameters._fields, *(option[0] for option in own)} - {"environment"})
    run("align", parsed, {**given(parsed, own), **vectors}, **sweep_members(parsed))
