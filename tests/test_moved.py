"""Former module paths go on working, and hold the very same objects."""

import importlib
import sys

import pytest

import jaxrl
from jaxrl import moved


@pytest.mark.parametrize("former", sorted(moved.MODULES))
def test_a_former_path_is_the_module_that_stands_elsewhere_now(former, monkeypatch):
    # Another test may have imported it already.
    monkeypatch.delitem(sys.modules, former, raising=False)
    now = importlib.import_module(moved.MODULES[former])
    with pytest.warns(DeprecationWarning, match=moved.MODULES[former]):
        importlib.import_module(former)
    assert importlib.import_module(former) is now
    assert now.__spec__.name == now.__name__ == moved.MODULES[former]


def test_public_names_are_found_where_they_live_and_an_unknown_one_is_not():
    for name in jaxrl.__all__:
        assert getattr(jaxrl, name) is not None
    assert set(jaxrl.__all__) <= set(dir(jaxrl))
    with pytest.raises(AttributeError, match="no attribute 'traner'"):
        jaxrl.traner  # noqa: B018
