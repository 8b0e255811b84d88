"""Which tests a change picks: those that import it, name it in a string, or take all of a registry."""

import pytest

from tests.changed import picked


def names(*changed):
    return {path.removeprefix("tests/test_").removesuffix(".py") for path in picked(set(changed))}


@pytest.mark.slow  # Reads the whole repository again and again; what picks all is the quick test.
def test_a_change_picks_what_imports_it_and_not_what_does_not():
    assert {"grid", "suite"} <= names("tests/grids.py") and "returns" not in names("tests/grids.py")
    assert "returns" in names("jaxrl/numerics/returns.py")
    assert "returns" not in names("jaxrl/figures/front.py") and "plotting" in names("jaxrl/figures/front.py")
    # Through others, and within functions.
    assert {"hypervolume", "front"} <= names("jaxrl/numerics/hypervolume.py")


def test_names_in_strings_and_whole_registries_count_as_imports():
    assert "stac" in names("jaxrl/agents/stac.py") and "gymnax" not in names("jaxrl/agents/stac.py")
    assert "gymnax" in names("jaxrl/environments/gymnax.py") and "returns" not in names("jaxrl/environments/gymnax.py")
    assert "bad_physics" in names("jaxrl/agents/stac.py")


def test_a_changed_test_picks_itself_and_settings_pick_all():
    assert "returns" in names("tests/test_returns.py") and len(names("tests/test_returns.py")) <= 2
    assert names("tests/conftest.py") == names("pyproject.toml") > {"returns", "cli", "grid"}
    assert "readme" in names("README.md") and names() == set()
