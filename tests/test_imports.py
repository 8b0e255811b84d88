"""What is imported, and when: help and listings come at once, and nothing heavy is loaded before it is used."""

import subprocess
import sys

import pytest

from jaxrl.cli import catalogue

HEAVY = ("scipy", "pandas", "matplotlib", "plotly", "jinja2", "seaborn", "orbax", "tqdm", "flax", "optax", "jax")


def imported(code, *names):
    """Which of the modules a fresh interpreter has imported after `code`."""
    code = f"{code}\nimport sys\nprint(*sorted({{*{names!r}}} & {{*sys.modules}}), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr.split()


def test_importing_jaxrl_imports_nothing_heavy():
    assert imported("import jaxrl", *HEAVY) == []


def test_what_training_needs_is_imported_without_what_only_tables_figures_and_designs_do():
    code = "import jaxrl\njaxrl.make('gymnax/CartPole-v1')\njaxrl.trainer, jaxrl.sweep, jaxrl.Uniform"
    assert imported(code, *HEAVY, "jaxrl.environments.brax") == ["flax", "jax", "optax"]


def test_help_and_list_import_no_jax():
    assert imported("from jaxrl.cli import main\nmain(['--help'])", *HEAVY) == []
    assert imported("from jaxrl.cli import main\nmain(['list'])", *HEAVY) == []


def test_names_and_descriptions_read_from_source_are_those_of_the_registries():
    # In a process of its own: here other tests may have registered names of theirs.
    code = """
from jaxrl.cli import catalogue
for kind, path in catalogue._KINDS.items():
    read = catalogue._read(kind, *path.split(":"))
    described = kind in (*catalogue._NAMES_ONLY, "environments") or all(read.values())
    print(kind, read == catalogue._imported(kind, *path.split(":")) and described)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [word for kind in catalogue._KINDS for word in (kind, "True")]


@pytest.mark.slow  # A process of its own; what is imported when is tested by the others.
def test_gymnax_draws_with_the_libraries_that_were_put_off():
    import matplotlib.pyplot
    from gymnax.environments.misc import pong

    assert pong.plt.figure is matplotlib.pyplot.figure
    assert sys.modules["matplotlib.pyplot"] is matplotlib.pyplot
