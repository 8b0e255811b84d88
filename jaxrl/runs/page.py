"""The page of a run: one HTML file with settings, curves, members, tables, figures and policies at work."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl import pages
from jaxrl.errors import CheckpointError
from jaxrl.hyperparameters import leaves
from jaxrl.pages import Section
from jaxrl.runs.configuration import check_writable, read_configuration, record_of, write_atomically
from jaxrl.runs.episodes import EpisodeLimits, make_episodes
from jaxrl.runs.experiment import build
from jaxrl.runs.finding import state_of
from jaxrl.runs.kinds import KINDS, Material
from jaxrl.runs.metrics import read_metrics
from jaxrl.runs.shown import curve_parts, last_rows

__all__ = ["report"]

# Folders of a run directory whose tables are no results; rows of a table that are shown.
_NO_TABLES, _MOST_ROWS = ("checkpoints", "csv", "jobs"), 5000
_PARTS = ("environment_options", "settings", "hyperparameters")


def report(
    directory: str | Path,
    out: str | Path | None = None,
    episodes: int = 16,
    max_steps: int = 1000,
    seed: int = 1,
    seconds: float = 60.0,
) -> Path:
    """Writes the page of a run, as far as it has come. Nothing is trained.

    Args:
        directory: of a run of any kind.
        out: `.html`; default `report.html` in the run directory.
        episodes: of policies, shown at most; 0 for none.
        max_steps: after which an episode is left.
        seed: of the episodes.
        seconds: after which no more episodes are made.

    Returns:
        The file, which needs nothing besides itself and opens without a network.

    Raises:
        CheckpointError: if there is no run, it is damaged, or the file cannot be written.
        ValueError: for a file of another kind, or a number out of range.
    """
    directory = Path(directory)
    limits = EpisodeLimits(episodes, max_steps, seed, seconds)
    configuration = read_configuration(directory)
    out = directory / "report.html" if out is None else Path(out)
    if out.suffix != ".html" or out.is_dir():
        raise ValueError(f"a page is written as a file that ends in .html, got {str(out)!r}")
    check_writable(out.parent)
    path = directory / "metrics.csv"
    table = read_metrics(path) if path.exists() else None
    make = lambda numbers: make_episodes(directory, configuration, numbers, limits)  # noqa: E731
    material = Material(directory, configuration, build(configuration), table, make)
    write_atomically(out, _document(material))
    return out


def _document(material: Material) -> str:
    """The whole page."""
    configuration, own = material.configuration, KINDS[material.configuration.kind].page
    sections = [_settings(material), *(own(material) if own else ())]
    shown = {name for section in sections for name in section.shows}
    curves, drawn = _curves(material)
    sections += [*curves, *_members(material), *_tables(material, shown), *_figures(material, shown | drawn)]
    if "episode" not in shown:
        sections.append(_episode(material))
    title = " on ".join(filter(None, (configuration.agent, configuration.environment)))
    lead = f"{configuration.kind}: {KINDS[configuration.kind].description}"
    return pages.document(f"{title} ({material.directory.resolve().name})", lead, _facts(material), sections)


def _facts(material: Material) -> dict[str, str]:
    """What is asked first."""
    program, table, state = material.program, material.table, state_of(material.directory)
    facts = {"state": state}
    if state == "stopped":
        facts["to go on"] = f"jaxrl resume {shlex.quote(str(material.directory))}"
    if table is None or not len(table):
        return {**facts, "steps": "no evaluation yet"} if state != "finished" else facts
    total = int(program.num_iterations * program.steps_per_iteration)
    done = int(table["steps"].max())
    facts["steps"] = f"{done:,}" if state == "finished" else f"{done:,} of {total:,}"
    if "member" in table:
        facts["members"] = f"{table['member'].nunique():,}"
    facts["seeds"] = str(table["seed"].nunique()) if "seed" in table else "1"
    if "finite" in table and not table["finite"].all():
        facts["lost members"] = str(table.loc[~table["finite"].astype(bool), "member"].nunique())
    return facts


def _settings(material: Material) -> Section:
    """What was said of a run, and what it left at defaults."""
    written = json.loads((material.directory / "configuration.json").read_text())
    said, kind = {}, material.configuration.kind
    for name, value in record_of(material.configuration).items():
        # An option of the kind may be called like a setting of its program.
        said |= value if name in _PARTS else {f"{name} ({kind})" if name in said else name: value}
    versions = {f"version of {name}": value for name, value in written.get("versions", {}).items()}
    devices = {f"devices: {name}": value for name, value in written.get("devices", {}).items()}
    if not material.configuration.hyperparameters:
        del said["design"]
    said = {name: value for name, value in said.items() if value not in (None, "", {}, [])}
    every = {**_all_settings(material.program), **versions, **devices}
    more = pages.folded("All settings, defaults included", pages.settings(every, "All settings"))
    return Section("Settings", (pages.facts(said), more))


def _all_settings(program: Any) -> dict[str, Any]:
    """Static settings of a program and of its agent, and traced ones."""
    configs = (getattr(program, "config", None), getattr(getattr(program, "agent", None), "config", None))
    static = {
        item.name: getattr(config, item.name) for config in configs if is_dataclass(config) for item in fields(config)
    }
    return {**static, **leaves(program.hyperparameters)}


def _curves(material: Material) -> tuple[list[Section], set[str]]:
    """Curves, and the figures that they stand for."""
    if material.table is None or not len(material.table):
        return [], set()
    parts, drawn = curve_parts(material.table, material.program, material.configuration)
    return [Section("Curves", parts)] if parts else [], {f"figures/curve_{column}.png" for column in drawn}


def _members(material: Material) -> list[Section]:
    """The last evaluation of every member."""
    if material.table is None or not len(material.table):
        return []
    last = last_rows(material.table, material.program)
    if "member" in last:
        return [Section("Members", (pages.table(last, "Last evaluation of every member"),))]
    # One row, of many columns.
    turned = last.astype(object).T.reset_index().set_axis(["column", "value"], axis=1)
    return [Section("Last evaluation", (pages.table(turned, "Last row of metrics.csv with an evaluation"),))]


def _tables(material: Material, shown: set[str]) -> list[Section]:
    """Tables that stand beside metrics.csv, whoever wrote them."""
    parts: list[Any] = []
    for path in _results(material.directory):
        name = path.relative_to(material.directory).as_posix()
        if name not in shown:
            parts += _table_of(path, name)
    return [Section("Tables", tuple(parts))] if parts else []


def _results(directory: Path) -> Iterator[Path]:
    """CSV files of a run directory, without those of runs below it."""
    for path in sorted([*directory.glob("*.csv"), *directory.glob("*/*.csv")]):
        inner = path.parent != directory
        own = inner and (path.parent.name in _NO_TABLES or (path.parent / "configuration.json").exists())
        if not own and path.name != "metrics.csv":
            yield path


def _table_of(path: Path, name: str) -> list[Any]:
    """A table, or why there is none."""
    try:
        found = read_metrics(path)
    except CheckpointError as error:
        return [str(error)]
    cut = [f"{name}: the first {_MOST_ROWS:,} of {len(found):,} rows."] if len(found) > _MOST_ROWS else []
    return [*cut, pages.table(found.iloc[:_MOST_ROWS], name)]


def _figures(material: Material, shown: set[str]) -> list[Section]:
    """Pictures that were drawn of the run."""
    found = [
        path for path in sorted((material.directory / "figures").glob("*.png")) if f"figures/{path.name}" not in shown
    ]
    if not found:
        return []
    pictures = pages.pictures({path.stem.replace("_", " "): path.read_bytes() for path in found})
    return [Section("Figures", (pictures,))]


def _episode(material: Material) -> Section:
    """The best member at work, or why there is none."""
    number = _best(material)
    made, missing = material.episodes([number])
    return Section("A policy at work", (pages.episode(made.get(number), "Episode", missing.replace("#", str(number))),))


def _best(material: Material) -> int:
    """The member whose last score is the largest."""
    table, score = material.table, material.program.score
    if table is None or "member" not in table or score not in table:
        return 0
    scores = last_rows(table, material.program).set_index("member")[score].replace([np.inf, -np.inf], np.nan).dropna()
    return int(scores.idxmax()) if len(scores) else 0
