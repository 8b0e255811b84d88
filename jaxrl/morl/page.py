"""The explorer of a study's front on the page of its run."""

import shlex

import numpy as np

from jaxrl import pages
from jaxrl.pages import Section
from jaxrl.runs.kinds import Material
from jaxrl.types import Float, Int

__all__ = ["front_sections"]


def front_sections(material: Material, exact: Float[np.ndarray, "point objective"] | None = None) -> list[Section]:
    """The explorer, and measures of the front.

    Args:
        material: of a study.
        exact: the front that is to be found, where it is known.
    """
    import pandas

    path, title = material.directory / "front.csv", "Pareto front"
    if not path.exists():
        return [Section(title, ("The front comes when the run has ended.",))]
    table, names = pandas.read_csv(path), material.program.environment.spec.objective_names
    points = table[[f"return_{name}" for name in names]].to_numpy(float)
    on_front = table["on_front"].to_numpy(bool)
    if not on_front.any():
        return [Section(title, ("The front is empty: the study found no policy.",), ("front.csv",))]
    episodes, missing = material.episodes(_by_preference(points, np.flatnonzero(on_front)))
    place = shlex.quote(str(material.directory))
    commands = (
        f"jaxrl policy {place} --point # --save DIRECTORY",
        f"jaxrl watch {place} --member #",
        f"policy = jaxrl.load({str(material.directory)!r}, member=#)",
    )
    explored = pages.explorer(points, on_front, names, table, episodes, missing, commands, exact)
    about = (
        "Chosen is the policy on the front with the largest w·G, w being the preference weights and G its returns, "
        "among those whose returns reach the thresholds. A point, or a row of the table, chooses by hand."
    )
    parts = [about, explored]
    if (material.directory / "measures.csv").exists():
        parts.append(
            pages.table(pandas.read_csv(material.directory / "measures.csv"), "Measures of the front, by seed")
        )
    return [Section(title, tuple(parts), ("front.csv", "measures.csv", "figures/front.png", "episode"))]


def _by_preference(points: Float[np.ndarray, "policy objective"], members: Int[np.ndarray, " archived"]) -> list[int]:
    """The policies on a front: first that for equal weights, then those that most preferences choose, then the rest."""
    num_objectives = points.shape[1]
    drawn = np.random.default_rng(0).dirichlet(np.ones(num_objectives), 2000)
    utilities = points[members] @ np.concatenate([np.full((1, num_objectives), 1 / num_objectives), drawn]).T
    choices = np.where(np.isnan(utilities), -np.inf, utilities).argmax(axis=0)
    votes = np.bincount(choices, minlength=len(members))
    votes[choices[0]] = len(drawn) + 1
    return members[np.argsort(-votes, kind="stable")].tolist()
