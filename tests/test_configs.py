"""Static settings are checked when a config is built: name, value and type in one sentence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from jaxrl.configs import annotated_ranges, check_config
from jaxrl.ranges import COUNT, PROBABILITY


@dataclass(frozen=True, kw_only=True)
class Config:
    count: Annotated[int, COUNT] = 3
    share: Annotated[float, PROBABILITY] = 0.5
    wide: Annotated[tuple[int, ...], COUNT] = (4, 4)
    pair: int | tuple[int, int] = 1
    limit: Annotated[int, COUNT] | None = None
    name: str | Callable[..., Any] = "auto"
    mode: Literal["fresh", "pool"] = "fresh"
    on: bool = False
    anything: Any = None

    __post_init__ = check_config


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"count": "x"}, "count takes an integer, got 'x' of type str"),
        ({"count": 2.5}, "count takes an integer, got 2.5 of type float"),
        ({"count": True}, "count takes an integer, got True of type bool"),
        ({"count": None}, "count takes an integer, got None of type NoneType"),
        ({"count": [1]}, "count takes an integer, got [1] of type list"),
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"count": 10**20}, "count must be at most 2147483647, got 100000000000000000000"),
        ({"share": "0.5"}, "share takes a number, got '0.5' of type str"),
        ({"share": float("nan")}, "share takes a number, got nan"),
        ({"share": 2}, "share must lie in [0, 1], got 2"),
        ({"wide": 3}, "wide takes a tuple of integers, got 3 of type int"),
        ({"wide": (4, "4")}, "wide takes a tuple of integers, got (4, '4') of type tuple"),
        ({"wide": (4, 0)}, "wide must be at least 1, got 0"),
        ({"pair": (1, 2, 3)}, "pair takes an integer or a tuple of 2 entries, got (1, 2, 3) of type tuple"),
        ({"limit": 0}, "limit must be at least 1, got 0"),
        ({"limit": "none"}, "limit takes an integer or None, got 'none' of type str"),
        ({"name": 3}, "name takes a name or a function, got 3 of type int"),
        ({"mode": "never"}, "mode takes 'fresh' or 'pool', got 'never' of type str"),
        ({"on": 1}, "on takes True or False, got 1 of type int"),
    ],
)
def test_a_wrong_setting_is_one_sentence(settings, sentence):
    with pytest.raises(ValueError) as error:
        Config(**settings)
    assert str(error.value) == sentence


def test_what_json_and_numpy_make_of_settings_is_taken():
    config = Config(count=np.int64(7), wide=[8, 8], pair=[1, 2], limit=np.int32(2), name=len, anything={"a": 1})
    assert config == Config(count=7, wide=(8, 8), pair=(1, 2), limit=2, name=len, anything={"a": 1})
    assert type(config.count) is int and type(config.wide) is tuple


def test_ranges_are_read_from_annotations():
    assert annotated_ranges(Config) == {"count": COUNT, "share": PROBABILITY, "wide": COUNT, "limit": COUNT}


def test_names_that_exist_for_type_checkers_alone_are_let_through():
    @dataclass(frozen=True)
    class Odd:
        size: "Nowhere" = 3  # noqa: F821
        __post_init__ = check_config

    assert Odd("x").size == "x"
