"""Fronts on the page of a run: the explorer of a study, and of a sweep over preference weights."""

import shlex
from typing import TYPE_CHECKING

import numpy as np

from jaxrl import pages
from jaxrl.pages import Section
from jaxrl.runs.configuration import Configuration
from jaxrl.runs.kinds import Material
from jaxrl.runs.planning import plan
from jaxrl.runs.shown import last_rows
from jaxrl.training.program import Program
from jaxrl.types import Float, Int

if TYPE_CHECKING:
    import pandas
    from markupsafe import Markup

__all__ = ["known_front", "study_sections", "sweep_sections"]

_TITLE = "Pareto front"
_KNOWN = ("mo/deep-sea-treasure", "mo/deep-sea-treasure-concave", "mo/deep-sea-treasure-mirrored")
_CHOSEN = (
    "Chosen is the policy on the front with the largest w·G, w being the preference weights and G its returns, among "
    "those whose returns reach the thresholds. A point, or a row of the table, chooses by hand."
)


def known_front(
    program: Program, configuration: Configuration, discounted: bool
) -> Float[np.ndarray, "point objective"] | None:
    """The exact front of an environment as it comes, where it takes a moment to compute.

    Args:
        program: whose returns stand beside it.
        configuration: of its run.
        discounted: whether those are discounted by the environment's discount; a study has a discount of its own.
    """
    from jaxrl.environments.multi_objective.fronts import front

    environment = program.environment
    if configuration.environment not in _KNOWN or configuration.environment_options:
        return None
    changed = {name.rpartition(".")[2] for name in (*configuration.settings, *configuration.hyperparameters)}
    if changed & {*environment.params._fields, "horizon"}:
        return None
    problem = getattr(program, "problem", None)
    discount = environment.spec.discount if discounted else 1.0
    return front(configuration.environment.removeprefix("mo/"), problem.discount if problem else discount)


def study_sections(material: Material, exact: Float[np.ndarray, "point objective"] | None = None) -> list[Section]:
    """The explorer of a study's front.csv, and measures of the front.

    Args:
        material: of a study.
        exact: the front that is to be found, where it is known.
    """
    import pandas

    path = material.directory / "front.csv"
    if not path.exists():
        return [Section(_TITLE, ("The front comes when the run has ended.",))]
    table = pandas.read_csv(path)
    if not table["on_front"].any():
        return [Section(_TITLE, ("The front is empty: the study found no policy.",), ("front.csv",))]
    parts = [_CHOSEN, _explored(material, table, exact)]
    if (material.directory / "measures.csv").exists():
        measures = pandas.read_csv(material.directory / "measures.csv")
        parts.append(pages.table(measures, "Measures of the front, by seed"))
    return [Section(_TITLE, tuple(parts), ("front.csv", "measures.csv", "figures/front.png", "episode"))]


def sweep_sections(material: Material) -> list[Section]:
    """The explorer of the last evaluations of a sweep over preference weights; nothing of any other sweep."""
    from jaxrl.numerics.dominance import non_dominated

    configuration, program = material.configuration, material.program
    names = program.environment.spec.objective_names
    if configuration.weights is None or len(names) < 2:
        return []
    returns = [f"return_{name}" for name in names]
    table = _evaluated(material, returns)
    if table is None:
        return [Section(_TITLE, ("The front comes when every member has been evaluated.",))]
    points = table[returns].to_numpy(float)
    # A member that was lost may have no returns.
    on_front = np.asarray(non_dominated(points, np.isfinite(points).all(axis=1)))
    table.insert(len(table.columns) - len(returns), "on_front", on_front)
    if not on_front.any():
        return [Section(_TITLE, ("The front is empty: no member has finite returns.",))]
    about = (
        "The policies are the members, by the returns of their last evaluation. Of many noisy returns the luckiest "
        "look best: jaxrl pareto evaluates all policies afresh, and measures the front."
    )
    exact = known_front(program, configuration, discounted=False)
    return [Section(_TITLE, (about, _CHOSEN, _explored(material, table, exact)), ("figures/front.png", "episode"))]


def _evaluated(material: Material, returns: list[str]) -> "pandas.DataFrame | None":
    """Who every member is and its last returns, in their order; None while some are missing."""
    if material.table is None or not len(material.table):
        return None
    configuration, last = material.configuration, last_rows(material.table, material.program)
    planned = plan(material.program, configuration)
    # A policy's number is its row.
    if last["member"].tolist() != list(range(len(planned.groups) * len(planned.members))):
        return None
    settings = [name for name in configuration.hyperparameters if name in last]
    weights = [name for name in last if name.startswith("weight_")]
    return last[["member", "seed", *settings, *weights, *returns]].reset_index(drop=True)


def _explored(
    material: Material, table: "pandas.DataFrame", exact: Float[np.ndarray, "point objective"] | None
) -> "Markup":
    """The explorer of a table with a row for each policy: its returns, and whether it is on the front."""
    names = material.program.environment.spec.objective_names
    points = table[[f"return_{name}" for name in names]].to_numpy(float)
    on_front = table["on_front"].to_numpy(bool)
    episodes, missing = material.episodes(_by_preference(points, np.flatnonzero(on_front)))
    place = shlex.quote(str(material.directory))
    commands = (
        f"jaxrl policy {place} --point # --save DIRECTORY",
        f"jaxrl watch {place} --member #",
        f"policy = jaxrl.load({str(material.directory)!r}, member=#)",
    )
    return pages.explorer(points, on_front, names, table, episodes, missing, commands, exact)


def _by_preference(points: Float[np.ndarray, "policy objective"], members: Int[np.ndarray, " archived"]) -> list[int]:
    """The policies on a front: first that for equal weights, then those that most preferences choose, then the rest."""
    num_objectives = points.shape[1]
    drawn = np.random.default_rng(0).dirichlet(np.ones(num_objectives), 2000)
    utilities = points[members] @ np.concatenate([np.full((1, num_objectives), 1 / num_objectives), drawn]).T
    choices = np.where(np.isnan(utilities), -np.inf, utilities).argmax(axis=0)
    votes = np.bincount(choices, minlength=len(members))
    votes[choices[0]] = len(drawn) + 1
    return members[np.argsort(-votes, kind="stable")].tolist()
