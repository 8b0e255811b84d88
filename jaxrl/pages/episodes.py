"""Episodes on a page."""

import base64
from typing import TYPE_CHECKING, NamedTuple

from jaxrl.pages.filling import fill

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["Episode", "episode"]


class Episode(NamedTuple):
    """A policy at work.

    Attributes:
        picture: the bytes of a GIF.
        description: what it shows, in a sentence or two.
    """

    picture: bytes
    description: str

    @property
    def source(self) -> str:
        """As an address that holds the picture itself."""
        return "data:image/gif;base64," + base64.b64encode(self.picture).decode()


def episode(found: Episode | None, name: str, missing: str = "") -> "Markup":
    """An episode that can be stopped.

    Args:
        found: what is shown; None leaves its place empty.
        name: of the figure, for those who hear it.
        missing: what is said where there is none.
    """
    description = found.description if found else missing
    return fill("episode", name=name, source=found.source if found else "", description=description)
