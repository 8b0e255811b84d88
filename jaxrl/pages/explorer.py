"""The explorer of a front: views of it, and sliders by which a policy is chosen."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxrl.figures.figure import GREY, PALETTE
from jaxrl.pages.episodes import Episode, episode
from jaxrl.pages.filling import fill, plain
from jaxrl.pages.tables import table
from jaxrl.types import Bool, Float

if TYPE_CHECKING:
    import pandas
    from markupsafe import Markup

__all__ = ["explorer"]

_VIEWS = {"plane": (2, "2-D"), "space": (3, "3-D"), "parallel": (2, "parallel coordinates")}
_COLOURS = {"grey": GREY, "blue": PALETTE[0], "orange": PALETTE[1], "green": PALETTE[2]}


def explorer(
    points: Float[np.ndarray, "policy objective"],
    on_front: Bool[np.ndarray, " policy"],
    objectives: Sequence[str],
    policies: "pandas.DataFrame",
    episodes: Mapping[int, Episode],
    missing: str,
    commands: Sequence[str] = (),
    exact: Float[np.ndarray, "point objective"] | None = None,
) -> "Markup":
    """Chart, sliders, the chosen policy and a table of all.

    The policy is the first, by the first objective, of the largest `w·G` among those on the front whose returns G reach
    every threshold, as `jaxrl.choose` has it; w are the sliders' weights, scaled to sum to 1.

    Args:
        points: returns of every policy.
        on_front: the non-dominated ones, at least one.
        objectives: their names, at least two.
        policies: a table with a row for each, in that order.
        episodes: of some policies, by number.
        missing: what is said of a policy without an episode; `#` stands for its number.
        commands: that use the chosen policy; `#` stands for its number.
        exact: the front that is to be found, where it is known.
    """
    (members,) = np.nonzero(on_front)
    order = members[np.argsort(points[members, 0], kind="stable")]
    titles = [name.replace("_", " ") for name in objectives]
    count = f"Pareto front of {len(order)} policies in {len(objectives)} objectives: {', '.join(titles)}."
    first = {2: "plane", 3: "space"}.get(len(objectives), "parallel")
    shown = {number: {"source": one.source, "description": one.description} for number, one in episodes.items()}
    data = plain({
        "names": list(objectives), "titles": titles, "points": points, "order": order, "exact": exact,
        "colours": _COLOURS, "view": first, "episodes": shown,
        "description": f"{count} The table below has its numbers.", "commands": list(commands), "missing": missing,
    })  # fmt: skip
    views = [(name, text) for name, (least, text) in _VIEWS.items() if len(objectives) >= least]
    return fill(
        "explorer", data=data, views=views, episode=episode(None, "Episode of the chosen policy"),
        table=table(policies, "All policies", choose="Choose policy"),
    )  # fmt: skip
