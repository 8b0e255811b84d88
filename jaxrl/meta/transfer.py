"""What was meta-learned, on tasks and environments of the user's choice, beside hand-written agents."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents import AGENTS
from jaxrl.environments.registry import make
from jaxrl.errors import require_name
from jaxrl.meta.baselines import baseline
from jaxrl.meta.held_out import held_out_key, learn_tasks
from jaxrl.meta.study import MetaStudy
from jaxrl.meta.tasks import Tasks, make_tasks
from jaxrl.numerics import statistics
from jaxrl.ranges import POSITIVE, TASKS
from jaxrl.training.trainer import Trainer, trainer
from jaxrl.types import Float

if TYPE_CHECKING:
    import pandas

    from jaxrl.sweeps.result import Sweep

__all__ = ["check_learning_rates", "meta_test"]


def meta_test(
    swept: "Sweep",
    environments: Sequence[str],
    horizon: int | tuple[int, int] | None = None,
    num_tasks: int = 64,
    baselines: Sequence[str] = ("a2c", "ppo"),
    learning_rates: Sequence[float] = (1e-3, 1e-2, 1e-1),
    say: Callable[[str], None] = print,
    **settings: Any,
) -> "pandas.DataFrame":
    """Interquartile means of final returns, with 95 % intervals over tasks, of learned values and of baselines.

    Every contender learns the same held-out tasks for the same environment steps, with the same network. A baseline has
    the best of the given learning rates on each environment, chosen on other tasks.

    Args:
        swept: a sweep of a meta-study, one learned value per meta-seed.
        environments: names; each one's own distribution over parameters gives the tasks.
        horizon: iterations per life; default as in meta-training.
        num_tasks: tasks per environment.
        baselines: names of hand-written agents.
        learning_rates: tried for every baseline.
        say: told of every environment.
        settings: of all agents, where they differ from meta-training's, such as network="mlp".

    Returns:
        Columns environment, contender, iqm, low, high.

    Raises:
        UnknownNameError: for an unknown environment, agent or setting, with the nearest match.
        ValueError: for a sweep of another kind, or for what does not fit. Nothing has learned anything by then.
    """
    import pandas

    if not isinstance(swept.trainer, MetaStudy):
        raise ValueError("only a meta-study has learned what can be tried elsewhere; this is a sweep of another kind")
    TASKS.check("num_tasks", num_tasks)
    check_learning_rates(learning_rates, baselines)
    if not environments:
        raise ValueError("meta_test needs at least one environment to learn")
    for agent in baselines:
        require_name("agent", agent, AGENTS)
    fields = {name: _field(swept.trainer, name, horizon, baselines, settings) for name in environments}
    rows = []
    for name, field in fields.items():
        say(f"{name}: {num_tasks} tasks")
        for contender, scores in _scores(swept, field, num_tasks, learning_rates):
            low, high = statistics.interval(scores, statistics.interquartile_mean)
            value = float(statistics.interquartile_mean(scores))
            rows.append({"environment": name, "contender": contender, "iqm": value, "low": low, "high": high})
    return pandas.DataFrame(rows)


def check_learning_rates(learning_rates: Sequence[float], baselines: Sequence[str]) -> None:
    """Raises ValueError for learning rates that no baseline can have, or none where there are baselines."""
    POSITIVE.check_each("learning_rates", learning_rates)
    if baselines and not len(learning_rates):
        raise ValueError("baselines need at least one learning rate to be tried with")


class _Field(NamedTuple):
    """Who competes on an environment."""

    tasks: Tasks
    learner: Trainer
    baselines: dict[str, Trainer]


def _field(
    study: MetaStudy,
    name: str,
    horizon: int | tuple[int, int] | None,
    baselines: Sequence[str],
    settings: dict[str, Any],
) -> _Field:
    """Everybody who competes on an environment, built but not yet trained."""
    environment = make(name)
    tasks = make_tasks(environment, study.tasks.max_horizon if horizon is None else horizon)
    shared = {**study.trainer.settings, **settings}
    shared["total_steps"] = tasks.max_horizon * study.trainer.steps_per_iteration
    learner = trainer(study.trainer.agent_name, environment, **shared)
    return _Field(tasks, learner, {agent: baseline(learner, agent, tasks.max_horizon) for agent in baselines})


def _scores(
    swept: "Sweep", field: _Field, num_tasks: int, learning_rates: Sequence[float]
) -> list[tuple[str, np.ndarray]]:
    study, (tasks, learner, baselines) = swept.trainer, field
    values = [swept.learned(member) for member in range(swept.num_members)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *values)
    initial = jax.vmap(lambda seed: study.value(study.init(jax.random.key(seed), study.hyperparameters)))
    untrained = initial(jnp.arange(swept.num_members))
    final = jax.jit(jax.vmap(lambda value: _final(learner, tasks, held_out_key(), num_tasks, **{study.leaf: value})))
    # Averaged over meta-seeds: tasks are what the interval is about.
    found = [("learned", np.asarray(final(stacked)).mean(axis=0))]
    found.append(("untrained", np.asarray(final(untrained)).mean(axis=0)))
    for agent, ordinary in baselines.items():
        run = jax.jit(lambda rate, key: _final(ordinary, tasks, key, num_tasks, learning_rate=rate))  # noqa: B023
        tuning_key = jax.random.fold_in(held_out_key(), 1)
        best = max(learning_rates, key=lambda rate: float(run(rate, tuning_key).mean()))
        found.append((f"{agent}, learning rate {best:g}", np.asarray(run(best, held_out_key()))))
    return found


def _final(learner: Trainer, tasks: Any, key: Any, num_tasks: int, **changed: Any) -> Float[Any, " task"]:
    hyperparameters = learner.hyperparameters._replace(**changed)
    return learn_tasks(learner, tasks, key, hyperparameters, num_tasks).final @ hyperparameters.weights
