"""Sweeps: seeds x settings x preference weights as one program, sharded over all devices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import hyperparameters as named
from jaxrl.errors import require_name
from jaxrl.morl.weights import equally_spaced, validate
from jaxrl.sweeps import designs
from jaxrl.sweeps.devices import member_mesh
from jaxrl.sweeps.memory import members_that_fit
from jaxrl.sweeps.program import program
from jaxrl.sweeps.result import Group, Sweep
from jaxrl.sweeps.running import RunOptions, execute
from jaxrl.trainable import Trainable
from jaxrl.types import Array, Float

__all__ = ["Group", "Sweep", "batch_hyperparameters", "sweep"]


def sweep(
    trainer: Trainable,
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
    on_rows: Callable[[Group, int, bool], None] | None = None,
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
        on_rows: given a group with the iterations of every chunk alone, the number of its first member, and whether a
            checkpoint held them already.

    Raises:
        UnknownNameError, ValueError: for names, values, weights or designs that do not fit.
        CheckpointError: if the directory cannot be written, another process writes it, or it holds another sweep.
    """
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not seeds:
        raise ValueError("a sweep needs at least one seed")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must differ: equal seeds are equal runs, got {seeds}")
    static, settings = _split(trainer, dict(hyperparameters or {}), design, samples, design_seed)
    weights = _weights(trainer, weights)
    combinations = designs.grid(static)
    if len(combinations) > 1:
        say(f"{len(combinations)} combinations of static settings ({', '.join(static)}): one compilation each")
    options = options or RunOptions(label="sweep")
    directory = directory or options.checkpoint_directory
    chosen = [trainer.rebuild(**combination) if combination else trainer for combination in combinations]
    places = [Path(directory) / f"group_{index}" if directory else None for index in range(len(chosen))]
    with _claimed(directory, chosen, places):
        groups = []
        for built, combination, place in zip(chosen, combinations, places, strict=True):
            here = replace(options, checkpoint_directory=place)
            if on_rows:
                first = sum(len(group.seeds) for group in groups)
                here = replace(here, on_rows=partial(_group_rows, on_rows, first))
            run = (built, combination, settings, weights, seeds, members_per_block, max_devices, here, say)
            groups.append(_run_group(*run))
    return Sweep(groups, [*static, *(settings[0] if settings else {})])


def _claimed(directory: str | Path | None, trainers: list[Trainable], places: list[Path | None]) -> AbstractContextManager:
    """Keeps other processes from writing; who only reads a finished sweep keeps nobody."""
    if not directory:
        return nullcontext()
    done = [Checkpoints(place).latest() == built.num_iterations for built, place in zip(trainers, places, strict=True)]
    return nullcontext() if all(done) else lock(directory)


def _split(
    trainer: Trainable, values: dict[str, Any], design: str, samples: int | None, seed: int
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
        return static, designs.grid(values)
    if samples is None or samples < 1:
        raise ValueError(f"design={design!r} needs samples=, at least 1, got {samples}")
    if not values:
        raise ValueError(f"design={design!r} needs at least one traced hyperparameter with a range")
    build = designs.random_design if design == "random" else designs.sobol_design
    return static, build(values, samples, seed)


def _weights(trainer: Trainable, weights: Any) -> np.ndarray | None:
    if weights is None:
        return None
    num_objectives = trainer.environment.spec.num_objectives
    if isinstance(weights, int):
        return np.asarray(equally_spaced(num_objectives, weights))
    return np.atleast_2d(np.asarray(validate(weights, num_objectives)))


def _run_group(
    trainer: Trainable,
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
    batch = members_per_block or members_that_fit(trainer, mesh.size)
    batch = -(-min(batch, len(rows)) // mesh.size) * mesh.size
    compiled = program(trainer, options.num_chunks, axes, batch, mesh)
    if batch < len(rows):
        say(f"{len(rows)} members in {-(-len(rows) // batch)} batches of {batch}, to fit in memory")
    stacked = np.stack([row[1] for row in rows]) if weights is not None else None
    chosen, own = [row[0] for row in rows], [row[2] for row in rows]
    group = Group(trainer, static, chosen, stacked, own, batched, axes, None, compiled.timing)
    here = replace(options, checkpoint_directory=directory)
    return replace(group, result=execute(trainer, compiled, keys, batched, axes, here))


def batch_hyperparameters(trainer: Trainable, swept: dict[str, np.ndarray]) -> tuple[Any, Any]:
    """Axes (0 where swept) and the hyperparameters with a member axis at those leaves."""
    batched = named.replace(trainer.hyperparameters, swept, batch_axes=1)
    paths = {named.resolve(trainer.hyperparameters, name) for name in swept}

    def axis(path: Any, leaf: Array) -> int | None:
        return 0 if jax.tree_util.keystr(path, simple=True, separator=".") in paths else None

    return jax.tree_util.tree_map_with_path(axis, trainer.hyperparameters), batched
