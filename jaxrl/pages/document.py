"""A page: title, facts and sections as one HTML document that needs nothing besides itself."""

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxrl.pages.filling import fill, static

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["Section", "charts", "document", "facts", "folded", "pictures"]

_SCRIPTS = ("choosing", "filtering", "tables", "episodes", "charts", "views", "explorer", "start")


class Section(NamedTuple):
    """A part of a page with a heading.

    Attributes:
        title: its heading.
        parts: HTML from the functions of this package, or sentences.
        shows: what a page would show by itself otherwise: names of tables of the run directory such as `front.csv`, or
            `episode`.
    """

    title: str
    parts: "tuple[Markup | str, ...]"
    shows: tuple[str, ...] = ()


def document(title: str, lead: str, glance: Mapping[str, str], sections: Sequence[Section]) -> str:
    """A whole page.

    Args:
        title: of the page.
        lead: a sentence below it.
        glance: facts, by name.
        sections: in their order.
    """
    parted = [section._replace(parts=tuple(map(_part, section.parts))) for section in sections]
    drawn = any('class="plot"' in part for section in parted for part in section.parts)
    scripts = [*([_plotly()] if drawn else []), *(static(f"{name}.js") for name in _SCRIPTS)]
    return fill(
        "document", title=title, lead=lead, facts=facts(glance), sections=parted, scripts=scripts,
        style=static("page.css"),
    )  # fmt: skip


def _part(part: "Markup | str") -> "Markup":
    """A sentence becomes a paragraph."""
    from markupsafe import Markup

    return part if isinstance(part, Markup) else Markup("<p>{}</p>").format(part)


def _plotly() -> "Markup":
    """The library that draws, in itself."""
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    return Markup(get_plotlyjs())


def facts(values: Mapping[str, Any]) -> "Markup":
    """Short names and values, side by side."""
    return fill("facts", values=[*values.items()])


def folded(title: str, part: "Markup") -> "Markup":
    """What opens by its title."""
    from markupsafe import Markup

    return Markup("<details><summary>{}</summary>{}</details>").format(title, part)


def charts(parts: "Sequence[Markup]") -> "Markup":
    """Charts side by side, as many as there is room for."""
    from markupsafe import Markup

    return Markup('<div class="charts">{}</div>').format(Markup("\n").join(parts))


def pictures(images: Mapping[str, bytes]) -> "Markup":
    """PNG files by what they show."""
    sources = {name: "data:image/png;base64," + base64.b64encode(image).decode() for name, image in images.items()}
    return fill("pictures", images=[*sources.items()])
