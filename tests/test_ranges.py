"""Ranges of numbers: what they hold, and the one sentence about what they do not."""

import math

import numpy as np
import pytest

from jaxrl.ranges import COUNT, NUMBER, POSITIVE, PROBABILITY, SEED, Range


@pytest.mark.parametrize(
    ("within", "text"),
    [
        (NUMBER, "any number"),
        (Range(integer=True), "any integer"),
        (POSITIVE, "above 0"),
        (COUNT, "at least 1"),
        (Range(high=2, high_open=True), "below 2"),
        (PROBABILITY, "in [0, 1]"),
        (Range(0, 0.5, low_open=True, high_open=True), "in (0, 0.5)"),
    ],
)
def test_help_says_what_is_allowed(within, text):
    assert str(within) == text


@pytest.mark.parametrize(
    ("within", "value"),
    [
        (PROBABILITY, 0),
        (PROBABILITY, np.asarray(0.5)),
        (PROBABILITY, np.float32(0.5)),
        (COUNT, 3),
        (COUNT, np.int64(3)),
        (COUNT, 3.0),
        (Range(0, finite=False), math.inf),
        (SEED, 2**32 - 1),
    ],
)
def test_what_is_within_passes(within, value):
    within.check("it", value)


def test_arrays_are_checked_entry_by_entry_where_they_are_meant():
    PROBABILITY.check_each("it", [0.0, 1.0])
    SEED.check_each("it", [])
    with pytest.raises(ValueError, match=r"it must lie in \[0, 1\], got 1.5"):
        PROBABILITY.check_each("it", np.asarray([0.5, 1.5]))


@pytest.mark.parametrize(
    ("within", "value", "sentence"),
    [
        (COUNT, 0, "it must be at least 1, got 0"),
        (COUNT, 2.5, "it takes an integer, got 2.5"),
        (COUNT, True, "it takes an integer, got True of type bool"),
        (COUNT, "4", "it takes an integer, got '4' of type str"),
        (COUNT, None, "it takes an integer, got None of type NoneType"),
        (COUNT, 10**20, "it must be at most 2147483647, got 100000000000000000000"),
        (COUNT, 10**400, "it takes an integer, got inf"),
        (SEED, -1, "it must be at least 0, got -1"),
        (SEED, 2**32, "it must be at most 4294967295, got 4294967296"),
        (PROBABILITY, [0.5], "it takes a number, got [0.5] of type list"),
        (COUNT, (), "it takes an integer, got () of type tuple"),
        (COUNT, np.asarray([3]), "it takes an integer, got array([3]) of type ndarray"),
        (PROBABILITY, math.nan, "it takes a number, got nan"),
        (POSITIVE, 0.0, "it must be above 0, got 0"),
        (POSITIVE, math.inf, "it must be finite, got inf"),
        (POSITIVE, 1e300, "it must be finite, got 1e+300"),
        (POSITIVE, {}, "it takes a number, got {} of type dict"),
        (NUMBER, [[1], [1, 2]], "it takes a number, got [[1], [1, 2]] of type list"),
        (Range(0, finite=False), math.nan, "it takes a number, got nan"),
    ],
)
def test_what_is_not_is_one_sentence(within, value, sentence):
    with pytest.raises(ValueError) as error:
        within.check("it", value)
    assert str(error.value) == sentence
