"""Sweeps: seeds x settings x preference weights as one program, sharded over all devices."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import hyperparameters as named
from jaxrl.errors import require_name
from jaxrl.numerics.weights import equally_spaced, validate
from jaxrl.ranges import NUM_WEIGHTS, SEED, SEEDS
from jaxrl.sweeps import designs
from jaxrl.sweeps.checkpoint import Checkpoints
from jaxrl.sweeps.devices import member_mesh
from jaxrl.sweeps.listeners import tell, tracked_sweep
from jaxrl.sweeps.lock import lock
from jaxrl.sweeps.memory import members_that_fit
from jaxrl.sweeps.program import program
from jaxrl.sweeps.result import Group, Sweep
from jaxrl.sweeps.running import RunOptions, execute_until
from jaxrl.tracking import Callback, Logger, Tracking
from jaxrl.training.loop import Result
from jaxrl.training.program import Program
from jaxrl.types import Array, Float

__all__ = ["Group", "Plan", "Sweep", "batch_hyperparameters", "plan_sweep", "run_plan", "sweep"]


def sweep(
    trainer: Program,
    seeds: int | Sequence[int] = 1,
    hyperparameters: Mapping[str, Any] | None = None,
    weights: int | Float[Array, "weight objective"] | Sequence | None = None,
    *,
    design: str = "grid",
    samples: int | None = None,
    design_seed: int = 0,
    members_per_block: int | None = None,
    max_devices: int | None = None,
    options: RunOptions | None = None,
    directory: str | Path | None = None,
    say: Callable[[str], None] = print,
    on_rows: Callable[[Any, bool], Any] | None = None,
    loggers: str | Callback | Sequence[str | Logger | Callback] | None = None,
) -> Sweep:
    """Runs every combination of settings, weights and seeds.

    Member (setting, weight, seed) equals `trainer.run(jax.random.key(seed), ...)` up to the
    rounding of batched arithmetic.

    Args:
        trainer: what is run.
        seeds: how many (0, 1, ...), or which.
        hyperparameters: values by name. Traced leaves are swept inside one program; static
            settings at one compilation each. For a `grid` every name has a list; for `random` and
            `sobol` traced names have `Uniform`, `LogUniform` or `Integer` ranges.
        weights: a number of evenly spaced preference weights, or the weights themselves.
        design: grid, random or sobol.
        samples: number of settings of a random or Sobol design.
        design_seed: of a random or Sobol design.
        members_per_block: runs held in memory at once; default what fits.
        max_devices: devices to use; default all, of all hosts.
        options: host loop settings; never change the numbers.
        directory: where to save, and from where to resume.
        say: told of what will be compiled.
        on_rows: given what every chunk adds to the table, and whether a checkpoint held it already.
        loggers: where these rows go, too: names such as `tensorboard,csv`, loggers, or functions `(name, step, rows)`;
            default those of `options`. A function that returns True ends the sweep after the chunk: it has what was
            done by then, `stopped` is true, and from its directory the same call goes on.

    Raises:
        UnknownNameError, ValueError: for names, values, weights or designs that do not fit.
        CheckpointError: if the directory cannot be written, another process writes it, or it holds another sweep.
    """
    planned = plan_sweep(trainer, seeds, hyperparameters, weights, design, samples, design_seed)
    if loggers is not None:
        options = replace(options or RunOptions(label="sweep"), loggers=loggers)
    return run_plan(planned, members_per_block, max_devices, options, directory, say, on_rows)


class Plan(NamedTuple):
    """A sweep that can be run: every program is built, and every value is one that it takes.

    Attributes:
        groups: a program for each combination of static settings, and that combination.
        static: names of the static settings.
        settings: the traced settings of the design.
        weights: preference weights, or None.
        seeds: of each setting.
    """

    groups: list[tuple[Program, dict[str, Any]]]
    static: list[str]
    settings: list[dict[str, Any]]
    weights: np.ndarray | None
    seeds: list[int]

    @property
    def members(self) -> list[tuple[dict[str, Any], Float[np.ndarray, " objective"] | None, int]]:
        """Settings, weights and seed of every member of a group; those of all groups are the same."""
        return list(product(self.settings, [None] if self.weights is None else self.weights, self.seeds))


def plan_sweep(
    trainer: Program,
    seeds: int | Sequence[int] = 1,
    hyperparameters: Mapping[str, Any] | None = None,
    weights: int | Float[Array, "weight objective"] | Sequence | None = None,
    design: str = "grid",
    samples: int | None = None,
    design_seed: int = 0,
) -> Plan:
    """Builds and checks all that a sweep would run, before any of it is trained; arguments and errors as `sweep`."""
    if isinstance(seeds, int) and seeds:
        SEEDS.check("seeds", seeds)
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not seeds:
        raise ValueError("a sweep needs at least one seed")
    SEED.check_each("a seed", seeds)
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must differ: equal seeds are equal runs, got {seeds}")
    static, settings = _split(trainer, dict(hyperparameters or {}), design, samples, design_seed)
    weights = _weights(trainer, weights)
    groups = []
    for combination in designs.grid(static):
        chosen = trainer.rebuild(**combination) if combination else trainer
        batch_hyperparameters(chosen, _stacked(settings, weights))
        groups.append((chosen, combination))
    return Plan(groups, list(static), settings, weights, seeds)


def run_plan(
    plan: Plan,
    members_per_block: int | None = None,
    max_devices: int | None = None,
    options: RunOptions | None = None,
    directory: str | Path | None = None,
    say: Callable[[str], None] = print,
    on_rows: Callable[[Any, bool], Any] | None = None,
    configuration: Mapping[str, Any] | None = None,
    part: tuple[int, int] | None = None,
) -> Sweep:
    """Runs what `plan_sweep` has built; arguments as `sweep`.

    `configuration` is what loggers are told of the run; default the settings of its program. Of a `part`, the first
    member and the one after the last, numbered over all groups, no others are run.
    """
    if len(plan.groups) > 1:
        say(f"{len(plan.groups)} combinations of static settings ({', '.join(plan.static)}): one compilation each")
    options = options or RunOptions(label="sweep")
    directory = directory or options.checkpoint_directory
    places = [Path(directory) / f"group_{index}" if directory else None for index in range(len(plan.groups))]
    names, groups = [*plan.static, *plan.settings[0]], []
    tracked = tracked_sweep(plan.groups[0][0], options.label, directory, names, configuration, part)
    with _written(directory, plan, places), Tracking(options.loggers, tracked, options.say) as told:
        members = plan.members
        for index, ((chosen, combination), place) in enumerate(zip(plan.groups, places, strict=True)):
            first, end = index * len(members), (index + 1) * len(members)
            first, end = (first, end) if part is None else (max(first, part[0]), min(end, part[1]))
            if first >= end:
                continue
            listeners = [*filter(None, (on_rows, told.add if options.loggers else None))]
            rows = partial(tell, listeners, names, first) if listeners else None
            own = members[first - index * len(members) : end - index * len(members)]
            groups.append(
                _run_group(chosen, combination, own, members_per_block, max_devices, options, place, say, rows)
            )
            if groups[-1].span:
                break
    return Sweep(groups, names, stopped=groups[-1].span is not None)


def _written(directory: str | Path | None, plan: Plan, places: list[Path | None]) -> AbstractContextManager:
    """Keeps other processes from writing there, unless all is there and will only be read."""
    finished = [
        place and Checkpoints(place).latest() == chosen.num_iterations
        for (chosen, _), place in zip(plan.groups, places, strict=True)
    ]
    return lock(directory) if directory and not all(finished) else nullcontext()


def _split(
    trainer: Program, values: dict[str, Any], design: str, samples: int | None, seed: int
) -> tuple[dict[str, list], list[dict[str, Any]]]:
    """Static lists, and the traced settings of the design."""
    require_name("design", design, ("grid", "random", "sobol"))
    static = {name: values.pop(name) for name in list(values) if name in trainer.static_names}
    paths: dict[str, str] = {}
    for name in values:
        path = named.resolve(trainer.hyperparameters, name, trainer.static_names)
        if path in paths:
            raise ValueError(f"{paths[path]!r} and {name!r} are the same hyperparameter: sweep one of them")
        paths[path] = name
    _require_effect(trainer, paths)
    designs.grid(static)
    if design == "grid":
        if samples is not None:
            raise ValueError("samples= belongs to design='random' or 'sobol'; a grid runs every combination")
        settings = designs.grid(values)
        for name, choices in {**static, **values}.items():
            _require_different(name, choices)
        return static, settings
    if samples is None:
        raise ValueError(f"design={design!r} needs samples=, at least 1, got None")
    if not values:
        raise ValueError(f"design={design!r} needs at least one traced hyperparameter with a range")
    build = designs.random_design if design == "random" else designs.sobol_design
    for name, choices in static.items():
        _require_different(name, choices)
    settings = build(values, samples, seed)
    _require_different(", ".join(values), [tuple(row.values()) for row in settings])
    return static, settings


def _require_effect(trainer: Program, paths: Mapping[str, str]) -> None:
    """Refuses parameters of the environment that do not do what they are called."""
    spec = getattr(getattr(trainer, "environment", None), "spec", None)
    for parameter, why in getattr(spec, "unswept", ()):
        for path, name in paths.items():
            if path.endswith(f"environment.{parameter}"):
                raise ValueError(f"{name!r} of {spec.name} cannot be swept: {why}")


def _require_different(name: str, choices: Sequence[Any]) -> None:
    """Refuses equal values: they are equal runs."""
    seen = []
    for choice in choices:
        if any(np.array_equal(choice, other) for other in seen):
            raise ValueError(f"the values of {name!r} must differ: equal values are equal runs, got {choice!r} twice")
        seen.append(choice)


def _stacked(settings: list[dict[str, Any]], weights: np.ndarray | None) -> dict[str, np.ndarray]:
    """Values of the swept leaves by name, one leading axis."""
    found = {name: np.stack([np.asarray(row[name]) for row in settings]) for name in settings[0]}
    return found if weights is None else {**found, "weights": weights}


def _weights(trainer: Program, weights: Any) -> np.ndarray | None:
    if weights is None:
        return None
    num_objectives = len(trainer.objective_names)
    if not num_objectives:
        raise ValueError(f"{trainer.name} has no objectives that weights could weigh")
    if isinstance(weights, int):
        NUM_WEIGHTS.check("the number of weights", weights)
        return np.asarray(equally_spaced(num_objectives, weights))
    return np.atleast_2d(np.asarray(validate(weights, num_objectives)))


def _run_group(
    trainer: Program,
    static: dict[str, Any],
    rows: list[tuple[dict[str, Any], np.ndarray | None, int]],
    members_per_block: int | None,
    max_devices: int | None,
    options: RunOptions,
    directory: Path | None,
    say: Callable[[str], None],
    on_rows: Callable[[Group, bool], bool] | None,
) -> Group:
    swept = {name: np.stack([np.asarray(row[0][name]) for row in rows]) for name in rows[0][0]}
    stacked = None if rows[0][1] is None else np.stack([row[1] for row in rows])
    if stacked is not None:
        swept["weights"] = stacked
    axes, batched = batch_hyperparameters(trainer, swept)
    keys = jax.vmap(jax.random.key)(jnp.asarray([row[2] for row in rows], jnp.uint32))
    mesh = member_mesh(min(len(rows), max_devices or len(jax.devices())))
    # One member a device is the least there is: whether it fits is not asked, since that traces the program.
    alone = len(rows) <= mesh.size
    batch = members_per_block or (len(rows) if alone else members_that_fit(trainer, mesh.size))
    batch = -(-min(batch, len(rows)) // mesh.size) * mesh.size
    compiled = program(trainer, options.num_chunks, axes, batch, mesh)
    if batch < len(rows):
        say(f"{len(rows)} members in {-(-len(rows) // batch)} batches of {batch}, to fit in memory")
    chosen, own = [row[0] for row in rows], [row[2] for row in rows]
    group = partial(Group, trainer, static, chosen, stacked, own, batched, axes, timing=compiled.timing)

    def rows_of(result: Result, span: tuple[int, int], restored: bool) -> bool:
        return on_rows(group(result, span=span), restored)

    here = replace(options, checkpoint_directory=directory, on_rows=rows_of if on_rows else None)
    result, done = execute_until(trainer, compiled, keys, batched, axes, here)
    return group(result, span=(0, done) if done < trainer.num_iterations else None)


def batch_hyperparameters(trainer: Program, swept: dict[str, np.ndarray]) -> tuple[Any, Any]:
    """Axes (0 where swept) and the hyperparameters with a member axis at those leaves."""
    batched = named.replace(trainer.hyperparameters, swept, batch_axes=1, ranges=trainer.ranges)
    paths = {named.resolve(trainer.hyperparameters, name) for name in swept}

    def axis(path: Any, leaf: Array) -> int | None:
        return 0 if jax.tree_util.keystr(path, simple=True, separator=".") in paths else None

    return jax.tree_util.tree_map_with_path(axis, trainer.hyperparameters), batched
