"""Sweeps: seeds x settings x preference weights as one program, sharded over all devices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import hyperparameters as named
from jaxrl.errors import require_name
from jaxrl.numerics.weights import equally_spaced, validate
from jaxrl.sweeps import designs
from jaxrl.sweeps.devices import member_mesh
from jaxrl.sweeps.memory import members_that_fit
from jaxrl.sweeps.program import CompiledProgram, program
from jaxrl.sweeps.result import Group, Sweep
from jaxrl.sweeps.running import RunOptions, execute
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

    Raises:
        UnknownNameError, ValueError: for names, values, weights or designs that do not fit.
    """
    planned = plan_sweep(trainer, seeds, hyperparameters, weights, design, samples, design_seed)
    return run_plan(planned, members_per_block, max_devices, options, directory, say)


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
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not seeds:
        raise ValueError("a sweep needs at least one seed")
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
) -> Sweep:
    """Runs what `plan_sweep` has built; arguments as `sweep`."""
    if len(plan.groups) > 1:
        say(f"{len(plan.groups)} combinations of static settings ({', '.join(plan.static)}): one compilation each")
    options = options or RunOptions(label="sweep")
    directory = directory or options.checkpoint_directory
    groups = []
    for index, (chosen, combination) in enumerate(plan.groups):
        place = Path(directory) / f"group_{index}" if directory else None
        groups.append(
            _run_group(
                chosen, combination, plan.settings, plan.weights, plan.seeds, members_per_block, max_devices, options,
                place, say,
            )
        )  # fmt: skip
    return Sweep(groups, [*plan.static, *plan.settings[0]])


def _split(
    trainer: Program, values: dict[str, Any], design: str, samples: int | None, seed: int
) -> tuple[dict[str, list], list[dict[str, Any]]]:
    """Static lists, and the traced settings of the design."""
    require_name("design", design, ("grid", "random", "sobol"))
    static = {name: values.pop(name) for name in list(values) if name in trainer.static_names}
    for name in values:
        named.resolve(trainer.hyperparameters, name, trainer.static_names)
    designs.grid(static)
    if design == "grid":
        if samples is not None:
            raise ValueError("samples= belongs to design='random' or 'sobol'; a grid runs every combination")
        settings = designs.grid(values)
        for name, choices in {**static, **values}.items():
            _require_different(name, choices)
        return static, settings
    if samples is None or samples < 1:
        raise ValueError(f"design={design!r} needs samples=, at least 1, got {samples}")
    if not values:
        raise ValueError(f"design={design!r} needs at least one traced hyperparameter with a range")
    build = designs.random_design if design == "random" else designs.sobol_design
    for name, choices in static.items():
        _require_different(name, choices)
    settings = build(values, samples, seed)
    _require_different(", ".join(values), [tuple(row.values()) for row in settings])
    return static, settings


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
        return np.asarray(equally_spaced(num_objectives, weights))
    return np.atleast_2d(np.asarray(validate(weights, num_objectives)))


def _run_group(
    trainer: Program,
    static: dict[str, Any],
    settings: list[dict[str, Any]],
    weights: np.ndarray | None,
    seeds: list[int],
    members_per_block: int | None,
    max_devices: int | None,
    options: RunOptions,
    directory: Path | None,
    say: Callable[[str], None],
) -> Group:
    rows = list(product(settings, [None] if weights is None else weights, seeds))
    swept = {name: np.stack([np.asarray(row[0][name]) for row in rows]) for name in settings[0]}
    if weights is not None:
        swept["weights"] = np.stack([row[1] for row in rows])
    axes, batched = batch_hyperparameters(trainer, swept)
    keys = jax.vmap(jax.random.key)(jnp.asarray([row[2] for row in rows], jnp.uint32))
    mesh = member_mesh(min(len(rows), max_devices or len(jax.devices())))
    block = members_per_block or members_that_fit(trainer, mesh.size)
    block = -(-min(block, len(rows)) // mesh.size) * mesh.size
    compiled = program(trainer, options.num_chunks, axes, block, mesh)
    count = -(-len(rows) // block)
    if count > 1:
        say(f"{len(rows)} members in {count} blocks of {block}, to fit in memory")
    results = []
    for index in range(count):
        chosen = np.arange(index * block, (index + 1) * block) % len(rows)
        label = options.label if count == 1 else f"{options.label} {index + 1}/{count}"
        place = directory / f"block_{index}" if directory else None
        here = replace(options, label=label, checkpoint_directory=place)
        results.append(_run_block(trainer, compiled, keys, batched, axes, chosen, here))
    result = jax.tree.map(lambda *leaves: _join(leaves, len(rows)), *results)
    stacked = np.stack([row[1] for row in rows]) if weights is not None else None
    chosen, own = [row[0] for row in rows], [row[2] for row in rows]
    return Group(trainer, static, chosen, stacked, own, batched, axes, result, compiled.timing)


def _run_block(
    trainer: Program,
    compiled: CompiledProgram,
    keys: Array,
    batched: Any,
    axes: Any,
    chosen: np.ndarray,
    options: RunOptions,
) -> Result:
    pick = lambda axis, leaf: leaf if axis is None else leaf[chosen]  # noqa: E731
    hyperparameters = jax.tree.map(pick, axes, batched, is_leaf=lambda axis: axis is None)
    result = execute(trainer, compiled, keys[chosen], hyperparameters, axes, options)
    return result._replace(state=compiled.fetch(result.state))


def _join(leaves: Sequence[Any], count: int) -> Any:
    if isinstance(leaves[0], jax.Array) and jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.concatenate(leaves)[:count]
    return np.concatenate([np.asarray(leaf) for leaf in leaves])[:count]


def batch_hyperparameters(trainer: Program, swept: dict[str, np.ndarray]) -> tuple[Any, Any]:
    """Axes (0 where swept) and the hyperparameters with a member axis at those leaves."""
    batched = named.replace(trainer.hyperparameters, swept, batch_axes=1)
    paths = {named.resolve(trainer.hyperparameters, name) for name in swept}

    def axis(path: Any, leaf: Array) -> int | None:
        return 0 if jax.tree_util.keystr(path, simple=True, separator=".") in paths else None

    return jax.tree_util.tree_map_with_path(axis, trainer.hyperparameters), batched
