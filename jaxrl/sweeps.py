"""Sweeps: seeds x settings x preference weights as one program, sharded over all devices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import designs
from jaxrl import hyperparameters as named
from jaxrl.devices import member_mesh
from jaxrl.errors import require_name
from jaxrl.evaluation import Evaluation, evaluator
from jaxrl.memory import members_that_fit
from jaxrl.morl.weights import equally_spaced, validate
from jaxrl.policy import Policy
from jaxrl.running import Program, RunOptions, execute, program
from jaxrl.training import Result, Trainer, TrainerConfig
from jaxrl.types import Array, Float, PyTree

if TYPE_CHECKING:
    import pandas

__all__ = ["Group", "Sweep", "sweep"]


@dataclass(frozen=True)
class Group:
    """Members that share one compiled program.

    Attributes:
        trainer: their trainer.
        static: static settings that differ from the sweep's trainer.
        settings: per member, its traced settings by name (weights left out).
        weights: per member, `[member, objective]`, or None if weights are not swept.
        seeds: per member.
        hyperparameters: with a member axis where `axes` is 0.
        axes: 0 or None per leaf of `hyperparameters`.
        result: `Result` with a leading member axis.
    """

    trainer: Trainer
    static: dict[str, Any]
    settings: list[dict[str, Any]]
    weights: Float[np.ndarray, "member objective"] | None
    seeds: list[int]
    hyperparameters: Any
    axes: Any
    result: Result

    def member(self, index: int) -> tuple[PyTree, Any]:
        """The final run state and the hyperparameters of one member."""
        state = jax.tree.map(lambda leaf: leaf[index], self.result.state)
        pick = lambda axis, leaf: leaf if axis is None else leaf[index]  # noqa: E731
        return state, jax.tree.map(pick, self.axes, self.hyperparameters, is_leaf=lambda axis: axis is None)


@dataclass(frozen=True)
class Sweep:
    """A finished sweep.

    Attributes:
        groups: one per combination of static settings.
        names: the swept settings' names, static ones first.
    """

    groups: list[Group]
    names: list[str]

    @property
    def trainer(self) -> Trainer:
        """The first group's trainer."""
        return self.groups[0].trainer

    @property
    def num_members(self) -> int:
        """Number of runs."""
        return sum(len(group.seeds) for group in self.groups)

    def locate(self, member: int) -> tuple[Group, int]:
        """The group of a member and its index there.

        Raises:
            IndexError: if there is no such member.
        """
        if not 0 <= member < self.num_members:
            raise IndexError(f"member {member} does not exist: this sweep has members 0 to {self.num_members - 1}")
        for group in self.groups:
            if member < len(group.seeds):
                break
            member -= len(group.seeds)
        return group, member

    @property
    def table(self) -> "pandas.DataFrame":
        """One row per member and evaluation, tidy: settings, seed, weights, steps, returns, length."""
        import pandas

        from jaxrl.tables import evaluation_table

        frames, first = [], 0
        for group in self.groups:
            frames.append(evaluation_table(group, self.names, first))
            first += len(group.seeds)
        return pandas.concat(frames, ignore_index=True)

    def arrays(self) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        """Results as dense arrays and the names of their axes.

        Returns:
            Arrays `returns`, `discounted_returns` `[setting, weight, seed, evaluation, objective]`
            and `length`, `steps` without the last axis, and those names.
        """
        first = self.groups[0]
        num_seeds = len(dict.fromkeys(first.seeds))
        num_weights = 1 if first.weights is None else len(np.unique(first.weights, axis=0))
        axes = ("setting", "weight", "seed", "evaluation", "objective")

        def shaped(name: str) -> np.ndarray:
            stacked = np.concatenate([np.asarray(getattr(group.result.evaluation, name)) for group in self.groups])
            return stacked.reshape(-1, num_weights, num_seeds, *stacked.shape[1:])

        return {name: shaped(name) for name in ("returns", "discounted_returns", "length", "steps")}, axes

    def final_returns(self, discounted: bool = False) -> Float[np.ndarray, "member objective"]:
        """Returns of every member's last evaluation."""
        name = "discounted_returns" if discounted else "returns"
        return np.concatenate([np.asarray(getattr(g.result.evaluation, name))[:, -1] for g in self.groups])

    def policy(self, member: int, explore: bool = False) -> Policy:
        """One member as a policy."""
        group, index = self.locate(member)
        state, hyperparameters = group.member(index)
        return Policy(group.trainer.agent, state.agent, hyperparameters, explore)

    def train_on(self, member: int, **settings: Any) -> Result:
        """Continues one member for another run, with settings such as `total_steps` changed."""
        group, index = self.locate(member)
        state, hyperparameters = group.member(index)
        continued = group.trainer.rebuild(**{**group.static, **settings})
        return jax.jit(continued.train_on)(state, hyperparameters)

    def evaluate(self, num_episodes: int, seed: int = 0, explore: bool | None = None) -> Evaluation:
        """Evaluates every final policy afresh; all members face the same episodes."""
        parts = []
        for group in self.groups:
            config = group.trainer.config
            evaluate = evaluator(
                group.trainer.environment,
                group.trainer.agent,
                num_episodes,
                config.evaluation_steps,
                config.evaluation_explores if explore is None else explore,
            )
            mapped = jax.jit(jax.vmap(evaluate, in_axes=(None, 0, group.axes)))
            state = jax.tree.map(jnp.asarray, jax.device_get(group.result.state.agent))
            parts.append(jax.device_get(mapped(jax.random.key(seed), state, group.hyperparameters)))
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def sweep(
    trainer: Trainer,
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
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not seeds:
        raise ValueError("a sweep needs at least one seed")
    static, settings = _split(trainer, dict(hyperparameters or {}), design, samples, design_seed)
    weights = _weights(trainer, weights)
    combinations = designs.grid(static)
    if len(combinations) > 1:
        say(f"{len(combinations)} combinations of static settings ({', '.join(static)}): one compilation each")
    options = options or RunOptions(label="sweep")
    groups = []
    for index, combination in enumerate(combinations):
        chosen = trainer.rebuild(**combination) if combination else trainer
        place = Path(directory) / f"group_{index}" if directory else None
        groups.append(
            _run_group(
                chosen, combination, settings, weights, seeds, members_per_block, max_devices, options, place, say
            )
        )
    return Sweep(groups, [*static, *(settings[0] if settings else {})])


def _split(
    trainer: Trainer, values: dict[str, Any], design: str, samples: int | None, seed: int
) -> tuple[dict[str, list], list[dict[str, Any]]]:
    """Static lists, and the traced settings of the design."""
    require_name("design", design, ("grid", "random", "sobol"))
    static_names = {field.name for config in (TrainerConfig, type(trainer.agent.config)) for field in fields(config)}
    static = {name: values.pop(name) for name in list(values) if name in static_names}
    for name in values:
        named.resolve(trainer.hyperparameters, name, static_names)
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


def _weights(trainer: Trainer, weights: Any) -> np.ndarray | None:
    if weights is None:
        return None
    num_objectives = trainer.environment.spec.num_objectives
    if isinstance(weights, int):
        return np.asarray(equally_spaced(num_objectives, weights))
    return np.atleast_2d(np.asarray(validate(weights, num_objectives)))


def _run_group(
    trainer: Trainer,
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
    axes, batched = _batch(trainer, swept)
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
        place = directory / f"block_{index}" if directory else options.checkpoint_directory
        here = replace(options, label=label, checkpoint_directory=place)
        results.append(_run_block(trainer, compiled, keys, batched, axes, chosen, here))
    result = jax.tree.map(lambda *leaves: _join(leaves, len(rows)), *results)
    stacked = np.stack([row[1] for row in rows]) if weights is not None else None
    return Group(trainer, static, [row[0] for row in rows], stacked, [row[2] for row in rows], batched, axes, result)


def _run_block(
    trainer: Trainer, compiled: Program, keys: Array, batched: Any, axes: Any, chosen: np.ndarray, options: RunOptions
) -> Result:
    pick = lambda axis, leaf: leaf if axis is None else leaf[chosen]  # noqa: E731
    hyperparameters = jax.tree.map(pick, axes, batched, is_leaf=lambda axis: axis is None)
    result = execute(trainer, compiled, keys[chosen], hyperparameters, axes, options)
    return result._replace(state=compiled.fetch(result.state))


def _join(leaves: Sequence[Any], count: int) -> Any:
    if isinstance(leaves[0], jax.Array) and jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.concatenate(leaves)[:count]
    return np.concatenate([np.asarray(leaf) for leaf in leaves])[:count]


def _batch(trainer: Trainer, swept: dict[str, np.ndarray]) -> tuple[Any, Any]:
    """Axes (0 where swept) and the hyperparameters with a member axis at those leaves."""
    batched = named.replace(trainer.hyperparameters, swept, batch_axes=1)
    paths = {named.resolve(trainer.hyperparameters, name) for name in swept}

    def axis(path: Any, leaf: Array) -> int | None:
        return 0 if jax.tree_util.keystr(path, simple=True, separator=".") in paths else None

    return jax.tree_util.tree_map_with_path(axis, trainer.hyperparameters), batched
