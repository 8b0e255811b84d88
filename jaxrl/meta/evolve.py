"""Evolution of anything that an agent learns with: whole lives inside, one program."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.errors import require_name
from jaxrl.hyperparameters import split_settings
from jaxrl.meta.curriculum import Curriculum, make_curriculum, score_metrics
from jaxrl.meta.curriculum_settings import CurriculumConfig, CurriculumHyperparameters
from jaxrl.meta.evolution import EvolutionHyperparameters, SearchState, Strategy, make_strategy, search_metrics
from jaxrl.meta.fitness import FITNESS, SELECTIONS, fitness_components, fitness_weights, select_by
from jaxrl.meta.lifetimes import Lived, lives, mean_outcome
from jaxrl.meta.study import MetaHyperparameters, MetaStudy, Subject, make_subject, meta_study
from jaxrl.meta.tasks import Tasks
from jaxrl.numerics.finite import mean_of_finite
from jaxrl.numerics.weights import equally_spaced
from jaxrl.ranges import COUNT, Range
from jaxrl.training.schedule import fit_evaluations
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["FITNESS", "EvolutionConfig", "EvolveHyperparameters", "EvolveState", "evolve"]


@dataclass(frozen=True, kw_only=True)
class EvolutionConfig(CurriculumConfig):
    """Static settings."""

    strategy: str | Callable[[PyTree, int], Strategy] = "open_es"
    """open_es, snes or pgpe; from Python also one of evosax (jaxrl.meta.evosax)."""
    population_size: Annotated[int, COUNT] = 64
    """Candidates per generation; pairs have opposite noise and see the same tasks, starts and random numbers."""
    selection: str = "weighted"
    """What a candidate with several fitness components is worth: weighted (their sum) or pareto (minus the number of
    candidates that dominate it in those with a weight; Fonseca and Fleming, 1993)."""
    shaping: str = "pairwise_rank"
    """pairwise_rank (the better of each pair), centred_rank, z_score or raw."""
    momentum: Annotated[float, Range(0, 1, high_open=True)] = 0.9
    """β₁ of Adam on the mean; SNES takes plain steps."""
    num_generations: Annotated[int, COUNT] = 100
    """Generations."""
    tasks_per_candidate: Annotated[int, COUNT] = 1
    """Tasks that each candidate learns in a generation, each by an agent of its own."""
    num_evaluations: Annotated[int, COUNT] = 10
    """Evaluations of the mean candidate on held-out tasks, at equal intervals, the last one at the end."""
    evaluation_tasks: Annotated[int, COUNT] = 64
    """Held-out tasks, the same in every evaluation and for every seed."""
    spread_weights: bool = False
    """Give the tasks of a candidate evenly spaced preference weights, corners among them, instead of the agent's."""
    unroll: Annotated[int, COUNT] = 1
    """Iterations between two looks at whether a life has ended; horizons are rounded up to multiples of it. Where all
    horizons are equal there is one look, at the end."""


class EvolveHyperparameters(NamedTuple):
    """What is traced of the outer loop.

    Attributes:
        evolution: of the strategy.
        fitness_weights: of the components of `FITNESS`: final return, mean return over the life, return when a tenth of
            the life was over, the mean final return over the worse half of a candidate's tasks, and the hypervolume of
            the final returns of its tasks.
        curriculum: of the curriculum.
    """

    evolution: EvolutionHyperparameters = EvolutionHyperparameters()
    fitness_weights: Float[Array, " component"] | tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 0.0)
    curriculum: CurriculumHyperparameters = CurriculumHyperparameters()


class EvolveState(NamedTuple):
    """The complete state of the outer loop.

    Attributes:
        search: the strategy's.
        levels: of the curriculum, to be learnt again.
        key: base key; generation i uses fold_in(key, i).
    """

    search: SearchState
    levels: PyTree
    key: PRNGKeyArray


class Parts(NamedTuple):
    """What the outer loop is put together of; static."""

    subject: Subject
    config: EvolutionConfig
    strategy: Strategy
    curriculum: Curriculum


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
    config, hp = split_settings(outer, EvolutionConfig, EvolveHyperparameters())
    config = fit_evaluations(config, outer, config.num_generations)
    hp = hp._replace(fitness_weights=fitness_weights(settings.get("fitness", "final"), trainer.environment.spec))
    subject = make_subject(trainer, tasks, leaf, initial, config, config.num_generations)
    require_name("selection", config.selection, SELECTIONS)
    _refuse_ignored(config, settings)
    default = getattr(trainer.hyperparameters, leaf)
    strategy = make_strategy(config.strategy, default, config.population_size, config.shaping, config.momentum)
    parts = Parts(subject, config, strategy, make_curriculum(config, trainer, tasks, has_critics=False))
    lives = config.population_size * config.tasks_per_candidate
    return meta_study(
        evolve,
        subject,
        config,
        hp,
        settings,
        init=partial(_init, parts),
        learn=partial(_generation, parts),
        value=lambda state: strategy.mean(state.search),
        num_iterations=config.num_generations,
        steps_per_iteration=lives * _updates(parts) * trainer.steps_per_iteration,
    )


def _refuse_ignored(config: EvolutionConfig, settings: dict[str, Any]) -> None:
    ignored = sorted({"momentum", "shaping", *EvolutionHyperparameters._fields} & set(settings))
    if ignored and not isinstance(config.strategy, str):
        raise ValueError(f"{', '.join(ignored)} would be ignored: this strategy has its own; give them to its builder")


def _unroll(parts: Parts) -> int:
    """Iterations between two looks; between them nothing is made ready for a restart."""
    tasks = parts.subject.tasks
    return tasks.max_horizon if tasks.min_horizon == tasks.max_horizon else parts.config.unroll


def _updates(parts: Parts) -> int:
    """Iterations of every place per generation: the longest life."""
    unroll = _unroll(parts)
    return -(-parts.subject.tasks.max_horizon // unroll) * unroll


def _init(parts: Parts, key: PRNGKeyArray, hyperparameters: MetaHyperparameters) -> EvolveState:
    initial_key, run_key, levels_key = jax.random.split(key, 3)
    search = parts.strategy.init(parts.subject.begin(initial_key), hyperparameters.outer.evolution)
    return EvolveState(search, parts.curriculum.init(levels_key), run_key)


def _generation(
    parts: Parts, state: EvolveState, hyperparameters: MetaHyperparameters, index: Array
) -> tuple[EvolveState, dict[str, Array]]:
    outer, config, unroll = hyperparameters.outer, parts.config, _unroll(parts)
    noise_key, tasks_key = jax.random.split(jax.random.fold_in(state.key, index))
    candidates, noise = parts.strategy.ask(noise_key, state.search, outer.evolution)
    keys = jax.random.split(tasks_key, (config.population_size // 2, config.tasks_per_candidate))
    tasks = parts.curriculum.tasks(state.levels, outer.curriculum)
    places = partial(lives, tasks=tasks, num_chunks=_updates(parts) // unroll, unroll=unroll)
    weights = task_weights(parts, hyperparameters)

    def one(key: PRNGKeyArray, weights: Array, candidate: PyTree) -> Lived:
        inner = parts.subject.inner(hyperparameters, candidate, weights=weights)
        return places(parts.subject.trainer, key=key, hyperparameters=inner)

    one_candidate = jax.vmap(one, in_axes=(0, 0, None))
    lived = jax.vmap(one_candidate, in_axes=(0, None, 0))(jnp.concatenate([keys, keys]), weights, candidates)
    outcome = mean_outcome(lived.outcome)
    reference = parts.subject.trainer.environment.spec.reference_point
    components = fitness_components(outcome, weights, reference)
    fitness = select_by(config.selection, components, outer.fitness_weights)
    search = parts.strategy.tell(state.search, noise, fitness, outer.evolution)
    levels, curriculum_metrics = _record(parts, state.levels, keys, lived, places, hyperparameters)
    metrics = {
        **search_metrics(fitness, search),
        "episode_return": mean_of_finite(outcome.final, axis=(0, 1)),
        **curriculum_metrics,
    }
    return EvolveState(search, levels, state.key), metrics


def _record(
    parts: Parts, levels: PyTree, keys: Array, lived: Lived, places: Callable[..., Lived], hp: MetaHyperparameters
) -> tuple[PyTree, dict[str, Array]]:
    """Levels with the regret of every life: of the pair's mean against an antagonist with the same keys and tasks."""
    antagonist, weights = parts.curriculum.antagonist, task_weights(parts, hp)
    if antagonist is None:
        return levels, {}

    def one(key: PRNGKeyArray, weights: Array) -> Lived:
        inner = parts.curriculum.antagonist_hyperparameters(weights, hp.outer.curriculum)
        return places(antagonist, key=key, hyperparameters=inner)

    rivals = jax.vmap(jax.vmap(one), in_axes=(0, None))(keys, weights)
    # Axes of final returns: [member, task, look, objective].
    returns, rival_returns = (jnp.einsum("mtlo,to->mtl", leaf.outcome.final, weights) for leaf in (lived, rivals))
    regret = jnp.ravel(rival_returns - jnp.reshape(returns, (2, *rival_returns.shape)).mean(axis=0))
    ended = jnp.ravel(rivals.outcome.finished)
    tasks = jax.tree.map(lambda leaf: jnp.reshape(leaf, (ended.size, *leaf.shape[3:])), rivals.task)
    metrics = score_metrics(regret, ended, tasks)
    return parts.curriculum.record(levels, tasks, regret, ended), metrics


def task_weights(parts: Parts, hyperparameters: MetaHyperparameters) -> Float[Array, "task objective"]:
    """Preference weights of a candidate's tasks."""
    count, given = parts.config.tasks_per_candidate, hyperparameters.training.weights
    return equally_spaced(given.size, count) if parts.config.spread_weights else jnp.tile(given, (count, 1))
