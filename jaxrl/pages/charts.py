"""Charts: plotly's figures with a description and their numbers as a table."""

import json
from typing import TYPE_CHECKING

from jaxrl.pages.filling import fill
from jaxrl.pages.tables import table

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects
    from markupsafe import Markup

__all__ = ["chart"]


def chart(
    figure: "plotly.graph_objects.Figure",
    title: str,
    description: str,
    note: str = "",
    numbers: "pandas.DataFrame | None" = None,
) -> "Markup":
    """A figure on a page, light or dark as the reader's system is.

    Args:
        figure: of plotly; it is drawn in the browser, without a background of its own.
        title: above it.
        description: for those who do not see it.
        note: below it, such as which statistic it shows.
        numbers: a table that says the same.
    """
    shown = None if numbers is None else table(numbers, f"Numbers of {title}")
    # Plotly's own encoder: numbers that are none become null, which leave gaps.
    written = json.loads(figure.to_json())
    return fill("chart", figure=written, title=title, description=description, note=note, numbers=shown)
