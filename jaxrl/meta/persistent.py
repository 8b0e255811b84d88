"""Persistent evolution strategies: lives in progress, a short stretch per step, and no bias from cutting them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.configs import check_config
from jaxrl.errors import require_name
from jaxrl.hyperparameters import split_settings
from jaxrl.meta.evolution import EvolutionHyperparameters, SearchState, Strategy, make_strategy, search_metrics
from jaxrl.meta.lifetimes import Life, begin, grow, restart_finished, shorten
from jaxrl.meta.study import MetaHyperparameters, MetaStudy, Subject, make_subject, meta_study
from jaxrl.meta.tasks import Tasks
from jaxrl.numerics.finite import mean_of_finite
from jaxrl.ranges import COUNT
from jaxrl.training.schedule import fit_evaluations
from jaxrl.training.trainer import Trainer
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["PersistentConfig", "PersistentState", "evolve_persistently"]


@dataclass(frozen=True, kw_only=True)
class PersistentConfig:
    """Static settings."""

    population_size: Annotated[int, COUNT] = 64
    """Agents in progress; pairs have opposite noise and share task, start and random numbers for the whole life."""
    unroll: Annotated[int, COUNT] = 5
    """Iterations of every agent between two steps of the outer loop; horizons are rounded up to multiples of it."""
    num_meta_steps: Annotated[int, COUNT] = 500
    """Steps of the outer loop."""
    shaping: str = "z_score"
    """z_score or raw; ranks would bring back the bias."""
    num_evaluations: Annotated[int, COUNT] = 10
    """Evaluations of the mean candidate on held-out tasks, at equal intervals, the last one at the end."""
    evaluation_tasks: Annotated[int, COUNT] = 64
    """Held-out tasks, the same in every evaluation and for every seed."""

    __post_init__ = check_config


class PersistentState(NamedTuple):
    """The complete state of the outer loop.

    Attributes:
        search: the search distribution.
        lives: agents in progress, leading axis `member`.
        accumulated: sum of the noise that each has learnt with in this life.
        key: base key; step i uses fold_in(key, i).
    """

    search: SearchState
    lives: Life
    accumulated: Float[Array, "member parameter"]
    key: PRNGKeyArray


class Parts(NamedTuple):
    """What the outer loop is put together of; static."""

    subject: Subject
    config: PersistentConfig
    strategy: Strategy


def evolve_persistently(
    trainer: Trainer,
    tasks: Tasks,
    leaf: str = "objective",
    initial: Callable[[PRNGKeyArray], PyTree] | None = None,
    **settings: Any,
) -> MetaStudy:
    """Evolves a leaf of an agent's hyperparameters by persistent evolution strategies (Vicol et al., 2021).

    Every agent learns K iterations with fresh noise ε, and ξ = Σ ε over its life so far takes the noise's place in the
    gradient of the mean (arXiv 2112.13835, algorithm 2):

        g = Σᵢ ξᵢ fᵢ / (n σ),

    f the mean return of those iterations. Over whole lives g is the gradient of the mean return over the life
    (`area`), smoothed by σ, though the outer loop steps after each stretch.

    Args:
        trainer: how agents learn; its environment must be the tasks'.
        tasks: what they learn.
        leaf: the field of `trainer.hyperparameters` that evolves.
        initial: `key -> value` of that leaf; default the agent's own initialisation.
        settings: of `PersistentConfig` and of `EvolutionHyperparameters`.

    Raises:
        UnknownNameError: for an unknown setting, shaping or leaf, with the nearest match.
        ValueError: for sizes that do not fit, or a trainer of another environment.
    """
    config, hp = split_settings(settings, PersistentConfig, EvolutionHyperparameters())
    config = fit_evaluations(config, settings, config.num_meta_steps)
    subject = make_subject(trainer, tasks, leaf, initial, config, config.num_meta_steps)
    require_name("shaping of persistent evolution", config.shaping, ("z_score", "raw"))
    default = getattr(trainer.hyperparameters, leaf)
    strategy = make_strategy("open_es", default, config.population_size, config.shaping)
    parts = Parts(subject, config, strategy)
    return meta_study(
        evolve_persistently,
        subject,
        config,
        hp,
        settings,
        init=partial(_init, parts),
        learn=partial(_step, parts),
        value=lambda state: strategy.mean(state.search),
        num_iterations=config.num_meta_steps,
        steps_per_iteration=config.population_size * config.unroll * trainer.steps_per_iteration,
    )


def _init(parts: Parts, key: PRNGKeyArray, hyperparameters: MetaHyperparameters) -> PersistentState:
    subject, unroll = parts.subject, parts.config.unroll
    initial_key, lives_key, ages_key, run_key = jax.random.split(key, 4)
    mean = subject.begin(initial_key)
    inner = subject.inner(hyperparameters, mean)
    keys = jax.random.split(lives_key, parts.config.population_size // 2)
    born = jax.vmap(lambda key: begin(subject.trainer, subject.tasks, key, inner, unroll))(keys)
    half = shorten(ages_key, born, unroll)
    lives = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), half)
    search = parts.strategy.init(mean, hyperparameters.outer)
    return PersistentState(search, lives, jnp.zeros((2 * keys.size, search.mean.size)), run_key)


def _step(
    parts: Parts, state: PersistentState, hyperparameters: MetaHyperparameters, index: Array
) -> tuple[PersistentState, dict[str, Array]]:
    subject, outer, unroll = parts.subject, hyperparameters.outer, parts.config.unroll
    candidates, noise = parts.strategy.ask(jax.random.fold_in(state.key, index), state.search, outer)
    accumulated = state.accumulated + noise

    def one(life: Life, candidate: PyTree) -> tuple[Life, Life, Array]:
        inner = subject.inner(hyperparameters, candidate)
        grown, metrics = grow(subject.trainer, life, inner, unroll)
        following = restart_finished(subject.trainer, subject.tasks, grown, inner, unroll)
        return grown, following, metrics["faulty_steps"].sum()

    grown, following, faulty = jax.vmap(one)(state.lives, candidates)
    fitness = (grown.total - state.lives.total) @ hyperparameters.weights / unroll
    search = parts.strategy.tell(state.search, accumulated, fitness, outer)
    over = grown.age >= grown.task.horizon
    metrics = {
        **search_metrics(fitness, search),
        "finished_lives": over.sum().astype(jnp.float32),
        "episode_return": mean_of_finite(grown.latest, axis=0),
        "faulty_steps": faulty.sum(),
    }
    return PersistentState(search, following, jnp.where(over[:, None], 0.0, accumulated), state.key), metrics
