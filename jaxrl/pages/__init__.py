"""Pages: HTML documents that open from disk, with charts, tables and episodes inside them.

A page is a title, facts and sections. What a section holds is HTML from the functions below, or text, which is escaped.
Nothing on a page asks the network for anything.
"""

from jaxrl.pages.charts import chart
from jaxrl.pages.curves import MOST_COLOURS, curves, legend
from jaxrl.pages.document import Section, charts, document, facts, folded, pictures
from jaxrl.pages.episodes import Episode, episode
from jaxrl.pages.explorer import explorer
from jaxrl.pages.tables import settings, table

__all__ = [
    "MOST_COLOURS",
    "Episode",
    "Section",
    "chart",
    "charts",
    "curves",
    "document",
    "episode",
    "explorer",
    "facts",
    "folded",
    "legend",
    "pictures",
    "settings",
    "table",
]
