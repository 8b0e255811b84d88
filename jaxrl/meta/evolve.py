"""Evolution of anything that an agent learns with: whole lives inside, one program."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.errors import require_name
from jaxrl.meta.evolution import EvolutionHyperparameters, SearchState, Strategy, make_strategy
from jaxrl.meta.lifetimes import Outcome, begin, live
from jaxrl.meta.study import MetaHyperparameters, MetaStudy, default_initial, meta_study, split_settings, validate_meta
from jaxrl.meta.tasks import Tasks
from jaxrl.training import Trainer
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["FITNESS", "EvolutionConfig", "EvolveHyperparameters", "EvolveState", "evolve", "lifetime"]

FITNESS = ("final", "area", "early", "robust")


@dataclass(frozen=True, kw_only=True)
class EvolutionConfig:
    """Static settings."""

    strategy: str = "open_es"
    """open_es, snes or pgpe."""
    population_size: int = 64
    """Candidates per generation; pairs have opposite noise and see the same tasks, starts and random numbers."""
    shaping: str = "pairwise_rank"
    """pairwise_rank (the better of each pair), centred_rank, z_score or raw."""
    momentum: float = 0.9
    """β₁ of Adam on the mean, in [0, 1); SNES takes plain steps."""
    num_generations: int = 100
    """Generations."""
    tasks_per_candidate: int = 1
    """Tasks that each candidate learns in a generation, each by an agent of its own."""
    num_evaluations: int = 10
    """Evaluations of the mean candidate on held-out tasks, at equal intervals, the last one at the end."""
    evaluation_tasks: int = 64
    """Held-out tasks, the same in every evaluation and for every seed."""
    unroll: int = 1
    """Iterations between two looks at whether a life has ended; horizons are rounded up to multiples of it. Where all
    horizons are equal there is one look, at the end."""


class EvolveHyperparameters(NamedTuple):
    """What is traced of the outer loop.

    Attributes:
        evolution: of the strategy.
        fitness_weights: of the components of `FITNESS`: final return, mean return over the life, return when a tenth of
            the life was over, and the mean final return over the worse half of a candidate's tasks.
    """

    evolution: EvolutionHyperparameters
    fitness_weights: Float[Array, " component"]


class EvolveState(NamedTuple):
    """The complete state of the outer loop.

    Attributes:
        search: the strategy's.
        key: base key; generation i uses fold_in(key, i).
    """

    search: SearchState
    key: PRNGKeyArray


class Parts(NamedTuple):
    """What the outer loop is put together of; static."""

    trainer: Trainer
    tasks: Tasks
    config: EvolutionConfig
    strategy: Strategy
    leaf: str


def evolve(
    trainer: Trainer,
    tasks: Tasks,
    leaf: str = "objective",
    initial: Callable[[PRNGKeyArray], PyTree] | None = None,
    **settings: Any,
) -> MetaStudy:
    """Evolves a leaf of an agent's hyperparameters over whole lives.

    In every generation each pair of candidates μ ± σε faces the same fresh tasks with the same random numbers. All
    learn for the longest horizon; where a life ends before, another begins in its place on another task, and fitness is
    the mean over lives that ended, a weighted sum of what they came to (`FITNESS`).

    Args:
        trainer: how agents learn; its environment must be the tasks'.
        tasks: what they learn.
        leaf: the field of `trainer.hyperparameters` that evolves.
        initial: `key -> value` of that leaf; default the agent's own initialisation.
        settings: of `EvolutionConfig`, of `EvolutionHyperparameters`, and `fitness`, a name of `FITNESS` or a
            dictionary of weights by name.

    Raises:
        UnknownNameError: for an unknown setting, leaf or fitness, with the nearest match.
        ValueError: for sizes that do not fit, or a trainer of another environment.
    """
    outer = {name: value for name, value in settings.items() if name != "fitness"}
    config, traced = split_settings(outer, EvolutionConfig, EvolutionHyperparameters)
    hp = EvolveHyperparameters(traced, _fitness_weights(settings.get("fitness", "final")))
    sizes = ("num_generations", "tasks_per_candidate", "evaluation_tasks", "unroll")
    validate_meta(trainer, tasks, leaf, config, sizes, config.num_generations)
    default = getattr(trainer.hyperparameters, leaf)
    initial = initial or default_initial(trainer, leaf)
    strategy = make_strategy(config.strategy, default, config.population_size, config.shaping, config.momentum)
    parts = Parts(trainer, tasks, config, strategy, leaf)
    lives = config.population_size * config.tasks_per_candidate
    return meta_study(
        init=partial(_init, parts, initial),
        learn=partial(_generation, parts),
        value=lambda state: strategy.mean(state.search),
        trainer=trainer,
        tasks=tasks,
        leaf=leaf,
        hyperparameters=MetaHyperparameters(trainer.hyperparameters, hp),
        config=config,
        num_iterations=config.num_generations,
        steps_per_iteration=lives * _updates(parts) * trainer.steps_per_iteration,
        num_members=lives,
        settings=settings,
        rebuild=lambda **changes: evolve(trainer, tasks, leaf, initial, **{**settings, **changes}),
    )


def _fitness_weights(fitness: str | dict[str, float]) -> Float[Array, " component"]:
    named = {fitness: 1.0} if isinstance(fitness, str) else fitness
    for name in named:
        require_name("fitness", name, FITNESS)
    return jnp.asarray([named.get(name, 0.0) for name in FITNESS], jnp.float32)


def _unroll(parts: Parts) -> int:
    """Iterations between two looks; between them nothing is made ready for a restart."""
    tasks = parts.tasks
    return tasks.max_horizon if tasks.min_horizon == tasks.max_horizon else parts.config.unroll


def _updates(parts: Parts) -> int:
    """Iterations of every place per generation: the longest life."""
    unroll = _unroll(parts)
    return -(-parts.tasks.max_horizon // unroll) * unroll


def _init(
    parts: Parts, initial: Callable[[PRNGKeyArray], PyTree], key: PRNGKeyArray, hyperparameters: MetaHyperparameters
) -> EvolveState:
    initial_key, run_key = jax.random.split(key)
    mean = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), initial(initial_key))
    return EvolveState(parts.strategy.init(mean, hyperparameters.outer.evolution), run_key)


def _generation(
    parts: Parts, state: EvolveState, hyperparameters: MetaHyperparameters, index: Array
) -> tuple[EvolveState, dict[str, Array]]:
    outer, config, unroll = hyperparameters.outer, parts.config, _unroll(parts)
    noise_key, tasks_key = jax.random.split(jax.random.fold_in(state.key, index))
    candidates, noise = parts.strategy.ask(noise_key, state.search, outer.evolution)
    keys = jax.random.split(tasks_key, (config.population_size // 2, config.tasks_per_candidate))
    keys = jnp.concatenate([keys, keys])

    def one(key: PRNGKeyArray, candidate: PyTree) -> Outcome:
        inner = hyperparameters.training._replace(**{parts.leaf: candidate})
        return lifetime(parts.trainer, parts.tasks, key, inner, _updates(parts) // unroll, unroll)

    outcome = jax.vmap(jax.vmap(one, in_axes=(0, None)))(keys, candidates)
    weights = hyperparameters.training.weights
    components = fitness_components(jax.tree.map(lambda leaf: leaf @ weights, outcome[:3]))
    fitness = components @ outer.fitness_weights
    search = parts.strategy.tell(state.search, noise, fitness, outer.evolution)
    metrics = {
        "fitness": fitness.mean(),
        "best_fitness": fitness.max(),
        "fitness_deviation": fitness.std(),
        "search_deviation": jnp.exp(search.log_deviation).mean(),
        "mean_norm": jnp.linalg.norm(search.mean),
        "episode_return": outcome.final.mean(axis=(0, 1)),
        "non_finite": (~jnp.all(jnp.isfinite(search.mean))).astype(jnp.float32),
    }
    return EvolveState(search, state.key), metrics


def fitness_components(scalar: tuple[Array, Array, Array]) -> Float[Array, "member component"]:
    """`FITNESS` of every member, from weighted returns `[member, task]`: final, area and early."""
    final, area, early = scalar
    worse = jnp.sort(final, axis=1)[:, : max(1, final.shape[1] // 2)]
    return jnp.stack([final.mean(axis=1), area.mean(axis=1), early.mean(axis=1), worse.mean(axis=1)], axis=-1)


def lifetime(
    trainer: Trainer, tasks: Tasks, key: PRNGKeyArray, hyperparameters: Any, num_chunks: int, unroll: int = 1
) -> Outcome:
    """Lives one after the other in one place for `num_chunks * unroll` iterations; the mean over those that ended."""
    life = begin(trainer, tasks, key, hyperparameters, unroll)

    def body(life: Any, _: None) -> tuple[Any, Outcome]:
        life, outcome, _ = live(trainer, tasks, life, hyperparameters, unroll)
        return life, outcome

    _, outcomes = jax.lax.scan(body, life, None, num_chunks)
    ended = outcomes.finished
    count = jnp.maximum(ended.sum(), 1)
    mean = lambda leaf: jnp.sum(jnp.where(ended[:, None], leaf, 0.0), axis=0) / count  # noqa: E731
    return Outcome(mean(outcomes.final), mean(outcomes.area), mean(outcomes.early), ended.any(), outcomes.horizon.max())
