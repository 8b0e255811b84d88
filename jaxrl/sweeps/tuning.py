"""Hyperparameter optimisation: settings x seeds as members of one program, thinned by successive halving."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.errors import NonFiniteError, require_name
from jaxrl.ranges import COUNT, SAMPLES, SEEDS, Range
from jaxrl.sweeps import designs
from jaxrl.sweeps.devices import member_mesh
from jaxrl.sweeps.program import program
from jaxrl.sweeps.running import RunOptions
from jaxrl.sweeps.sweep import batch_hyperparameters, sweep
from jaxrl.training.program import Program, by_rows
from jaxrl.types import Float, PyTree

if TYPE_CHECKING:
    import pandas

__all__ = ["Tuned", "tune"]

_RUNGS = 3


class Tuned(NamedTuple):
    """What a search found.

    Attributes:
        best: the winning setting, by name.
        trials: one row per setting and rung: its mean score over seeds, and whether it went on.
        held_out: one row per fresh seed: scores of the winner and of the defaults, on seeds that the search never saw.
    """

    best: dict[str, float]
    trials: "pandas.DataFrame"
    held_out: "pandas.DataFrame"


def tune(
    trainer: Program,
    space: Mapping[str, Any],
    *,
    samples: int = 16,
    seeds: int = 3,
    rungs: int | None = None,
    keep: float = 0.5,
    held_out_seeds: int = 5,
    measure: str | None = None,
    design: str = "sobol",
    design_seed: int = 0,
    say: Callable[[str], None] = print,
) -> Tuned:
    """Searches traced hyperparameters by successive halving, and evaluates the winner on held-out seeds.

    All settings, the defaults among them, run with all seeds as one program. At the end of each of `rungs` equal parts
    of the run the best share `keep` of the settings goes on, from where it is, as a smaller program (Jamieson and
    Talwalkar, 2016; for multi-objective RL, scored by the mean hypervolume over seeds: Felten et al., 2023, arXiv
    2310.16487). Winner and defaults are then run afresh on seeds that the search never saw: the score that selected a
    setting flatters it.

    Args:
        trainer: a trainer, a study or another program.
        space: `Uniform`, `LogUniform` or `Integer` ranges by name.
        samples: settings besides the defaults.
        seeds: runs of each setting, seeds 0, 1, ...
        rungs: equal parts of the run, the evaluations before whose ends are scored; by default three, or fewer in a run
            that is too short for them.
        keep: share of settings that goes on after each rung, in (0, 1).
        held_out_seeds: fresh seeds of the final comparison.
        measure: what is maximised: a column of the program's `summary` or, by default, its `score`, the hypervolume of
            a study, the (first objective's) return of a trainer.
        design: sobol or random.
        design_seed: of the design.
        say: told of every rung.

    Raises:
        UnknownNameError, ValueError: for names, ranges or numbers that do not fit.
    """
    import pandas

    require_name("design", design, ("sobol", "random"))
    for name, value, within in (
        ("samples", samples, SAMPLES), ("seeds", seeds, SEEDS), ("rungs", _RUNGS if rungs is None else rungs, COUNT),
        ("held_out_seeds", held_out_seeds, SEEDS), ("keep", keep, Range(0, 1, low_open=True, high_open=True)),
    ):  # fmt: skip
        within.check(name, value)
    if not space:
        raise ValueError("tune needs a range of at least one traced hyperparameter")
    score = _score_of(trainer, measure)
    parts = _default_parts(trainer) if rungs is None else _parts(trainer, rungs)
    build = designs.sobol_design if design == "sobol" else designs.random_design
    settings = [_defaults(trainer, space), *build(space, samples, design_seed)]
    batch_hyperparameters(trainer, {name: np.asarray([row[name] for row in settings]) for name in space})
    alive, state, rows = np.arange(len(settings)), None, []
    for rung, (start, end) in enumerate(parts):
        say(f"rung {rung + 1} of {len(parts)}: {len(alive)} settings x {seeds} seeds, iterations {start} to {end}")
        state, scores = _run_rung(trainer, [settings[i] for i in alive], seeds, state, start, end, score)
        order = np.argsort(-np.where(np.isfinite(scores), scores, -np.inf), kind="stable")
        last = rung == len(parts) - 1
        kept = order[: 1 if last else max(1, int(np.ceil(keep * len(alive))))]
        for place, setting in enumerate(alive):
            row = {"rung": rung, "setting": int(setting), **settings[setting], "score": scores[place]}
            rows.append(row | {"kept": place in kept})
        alive = alive[kept]
        state = _members(state, (kept[:, None] * seeds + np.arange(seeds)).ravel())
    best = settings[alive[0]]
    fresh = range(seeds, seeds + held_out_seeds)
    held_out = {"tuned": _final(trainer, best, fresh, score), "default": _final(trainer, settings[0], fresh, score)}
    return Tuned(best, pandas.DataFrame(rows), pandas.DataFrame({"seed": list(fresh), **held_out}))


def _members(state: PyTree, chosen: np.ndarray) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[chosen], state)


def _defaults(trainer: Program, space: Mapping[str, Any]) -> dict[str, float]:
    from jaxrl import hyperparameters as named

    for name in space:
        if name in trainer.static_names:
            raise ValueError(f"tune searches traced hyperparameters; {name!r} is static: sweep it instead")
    leaves = named.leaves(trainer.hyperparameters)
    found = {name: leaves[named.resolve(trainer.hyperparameters, name, trainer.static_names)] for name in space}
    for name, leaf in found.items():
        if np.ndim(leaf):
            raise ValueError(f"tune searches numbers; {name!r} has shape {np.shape(leaf)}")
    return {name: float(leaf) for name, leaf in found.items()}


def _score_of(trainer: Program, measure: str | None) -> Callable[[PyTree], np.ndarray]:
    """`evaluation rows -> score [member]`: of the last evaluation among the rows that is no NaN."""

    def last(values: np.ndarray) -> np.ndarray:
        done = ~np.isnan(values).all(axis=0)
        if not done.any():
            raise NonFiniteError("no setting has a score that is a number")
        return values[:, np.flatnonzero(done)[-1]]

    name, allowed = measure or trainer.score, tuple(dict.fromkeys((trainer.score, *trainer.summary)))
    if name not in allowed:
        # Of several objectives, the first.
        name = next((column for column in allowed if column.startswith(f"{name}_")), None)
    if name is None:
        raise ValueError(f"{trainer.name} is scored by its {', '.join(allowed)}, got measure={measure!r}")

    def of_rows(evaluation: PyTree) -> np.ndarray:
        values = by_rows(trainer, evaluation, num_axes=2)[name]
        return last(values.reshape(np.shape(jax.tree.leaves(evaluation)[0])[:2]))

    return of_rows


def _default_parts(trainer: Program) -> list[tuple[int, int]]:
    """As many rungs as usual, or as many as a short run has room for."""
    for rungs in range(_RUNGS, 1, -1):
        with suppress(ValueError):
            return _parts(trainer, rungs)
    return _parts(trainer, 1)


def _parts(trainer: Program, rungs: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, trainer.num_iterations, rungs + 1).round().astype(int)
    if np.any(np.diff(edges) < 1):
        raise ValueError(f"rungs={rungs} is more than the run's {trainer.num_iterations} iterations")
    parts = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    evaluated = np.asarray(trainer.evaluation_iterations)
    for start, end in parts:
        if not np.any((evaluated >= start) & (evaluated < end)):
            raise ValueError(
                f"rungs={rungs}: a rung ends before its first evaluation, of which a run has {len(evaluated)}; "
                "use fewer rungs or more evaluations"
            )
    return parts


def _run_rung(
    trainer: Program,
    settings: list[dict[str, float]],
    seeds: int,
    state: PyTree,
    start: int,
    end: int,
    score: Callable[[PyTree], np.ndarray],
) -> tuple[PyTree, Float[np.ndarray, " setting"]]:
    """The states of all members after iterations `start` to `end`, and every setting's mean score."""
    swept = {name: np.repeat([row[name] for row in settings], seeds) for name in settings[0]}
    axes, batched = batch_hyperparameters(trainer, swept)
    count = len(settings) * seeds
    devices = max(n for n in range(1, len(jax.devices()) + 1) if count % n == 0)
    compiled = program(trainer, -(-trainer.num_iterations // (end - start)), axes, count, member_mesh(devices))
    keys = compiled.place(jax.vmap(jax.random.key)(jnp.tile(jnp.arange(seeds, dtype=jnp.uint32), len(settings))), 0)
    placed = compiled.place(batched, axes)
    state = compiled.init(keys, placed) if state is None else compiled.place(state, 0)
    rows = []
    while start < end:
        length = min(compiled.chunk, end - start)
        state, outputs = compiled.advance(state, placed, jnp.asarray(start), jnp.asarray(length))
        rows.append(jax.tree.map(lambda leaf, length=length: leaf[:, :length], compiled.fetch(outputs[1])))
        start += length
    evaluation = jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *rows)
    return compiled.fetch(state), score(evaluation).reshape(len(settings), seeds).mean(axis=1)


def _final(
    trainer: Program, setting: dict[str, float], seeds: range, score: Callable[[PyTree], np.ndarray]
) -> np.ndarray:
    """Scores of whole runs."""
    values = {name: [value] for name, value in setting.items()}
    options = RunOptions(progress=False)
    swept = sweep(trainer, seeds=list(seeds), hyperparameters=values, options=options, say=lambda _: None)
    return score(swept.groups[0].result.evaluation)
