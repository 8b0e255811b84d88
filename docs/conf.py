"""Sphinx: `make docs` builds build/docs/index.html."""

import inspect
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import reference_pages

import jaxrl

project = "jaxrl"
author = "the jaxrl developers"
release = version = jaxrl.__version__
copyright = author

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["**.ipynb_checkpoints", "results/*.jinja"]
templates_path: list[str] = []

html_theme = "furo"
html_title = "jaxrl"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False

# Notebooks are shown as they were committed; make test runs them.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "deflist", "smartquotes"]
myst_heading_anchors = 3
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_preprocess_types = False
add_module_names = False
toc_object_entries_show_parents = "hide"

# Names in quoted annotations are not resolved, and some are those of two classes.
suppress_warnings = ["ref.python"]
# Docstrings are written in the manner of Markdown: single backticks are code, and outside of code these marks stand for
# themselves: |x|, *args, π_, a "word_".
_MARKS = re.compile(r"(?<![\\`])([*|]|(?<=\w)_(?![\w`]))")
_undigested: dict[str, list[str]] = {}


def _as_rst(line: str) -> str:
    parts = re.split(r"(?<!`)(`[^`]+`)(?!`)", line)
    parts[::2] = [_MARKS.sub(r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"``{part[1:-1].strip()}``" for part in parts[1::2]]
    return "".join(parts)


_KEY = r"Key\[Array, ''\] \| UInt32\[Array, '2'\] \| UInt32\[Array, '4'\]"


def _legible(text: str | None) -> str | None:
    """Annotations of arrays as they are written: Float[Array, 'time env']."""
    modules = r"~?\b(?:jaxtyping|jax|jax\.jaxlib\._jax|jaxlib\._jax|typing|collections\.abc)\.(?=[A-Z])"
    return text and re.sub(_KEY, "PRNGKeyArray", re.sub(modules, "", text))


def _aligned(lines: list[str]) -> list[str]:
    """Equations that go on further in, in the middle of a paragraph, as lines of that paragraph."""
    aligned: list[str] = []
    for line in lines:
        above = aligned[-1] if aligned else ""
        inside = above and not re.match(r"\s|[-*] |\d+\. ", above) and not above.rstrip().endswith(":")
        aligned.append(line.lstrip() if inside else line)
    return aligned


def _before_napoleon(app, what, name, subject, options, lines):
    if what == "data" and lines and lines[0] == (inspect.getdoc(subject) or "").partition("\n")[0]:
        lines.clear()  # what a dictionary is
    lines[:] = [_as_rst(line) for line in _aligned(lines)]
    if what in ("attribute", "data", "property"):  # of which napoleon would read "a word: what follows" as its type
        _undigested[name] = lines[:]
        lines.clear()


def _field_type(match: re.Match) -> str:
    text = re.sub(r"jaxrl(?:\.\w+)*\.(?=[A-Z])", "", _legible(match[2]))
    return f"{match[1]} ``{text}``"


def _after_napoleon(app, what, name, subject, options, lines):
    """The types of fields, which napoleon reads from annotations, as code."""
    lines[:] = _undigested.pop(name, lines)
    lines[:] = [re.sub(r"^(:vartype [^:]+:) (.+)$", _field_type, line) for line in lines]


def _skip_member(app, what, name, subject, skip, options):
    """Fields of a NamedTuple are described by its docstring."""
    return True if type(subject).__name__ == "_tuplegetter" or name == "_replace" else None


def _process_signature(app, what, name, subject, options, signature, returns):
    return _legible(signature), _legible(returns)


def _write_sources(app):
    """Pages of the reference from the package itself, and notebooks from beside this folder."""
    reference_pages.write(Path(app.srcdir) / "reference")
    (Path(app.srcdir) / "notebooks").mkdir(exist_ok=True)
    for notebook in Path(app.srcdir).parent.glob("notebooks/*.ipynb"):
        shutil.copy2(notebook, Path(app.srcdir) / "notebooks")


def setup(app):
    """What Sphinx calls."""
    app.connect("builder-inited", _write_sources)
    app.connect("autodoc-process-docstring", _before_napoleon, priority=100)
    app.connect("autodoc-process-docstring", _after_napoleon, priority=900)
    app.connect("autodoc-skip-member", _skip_member)
    app.connect("autodoc-process-signature", _process_signature)
