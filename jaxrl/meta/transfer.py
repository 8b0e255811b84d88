"""What was meta-learned, on tasks and environments of the user's choice, beside hand-written agents."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.registry import make
from jaxrl.meta.baselines import baseline
from jaxrl.meta.held_out import held_out_key, learn_tasks
from jaxrl.meta.study import MetaStudy
from jaxrl.meta.tasks import make_tasks
from jaxrl.numerics import statistics
from jaxrl.training.trainer import Trainer, trainer
from jaxrl.types import Float

if TYPE_CHECKING:
    import pandas

    from jaxrl.sweeps.result import Sweep

__all__ = ["meta_test"]


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
    """
    import pandas

    study = swept.trainer
    rows = []
    for name in environments:
        say(f"{name}: {num_tasks} tasks")
        for contender, scores in _scores(swept, study, name, horizon, num_tasks, baselines, learning_rates, settings):
            low, high = statistics.interval(scores, statistics.interquartile_mean)
            value = float(statistics.interquartile_mean(scores))
            rows.append({"environment": name, "contender": contender, "iqm": value, "low": low, "high": high})
    return pandas.DataFrame(rows)


def _scores(
    swept: "Sweep",
    study: MetaStudy,
    name: str,
    horizon: int | tuple[int, int] | None,
    num_tasks: int,
    baselines: Sequence[str],
    learning_rates: Sequence[float],
    settings: dict[str, Any],
) -> list[tuple[str, np.ndarray]]:
    environment = make(name)
    tasks = make_tasks(environment, horizon or study.tasks.max_horizon)
    inner = study.trainer.agent_name
    shared = {**study.trainer.settings, **settings}
    shared["total_steps"] = tasks.max_horizon * study.trainer.steps_per_iteration
    learner = trainer(inner, environment, **shared)
    values = [swept.learned(member) for member in range(swept.num_members)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *values)
    initial = jax.vmap(lambda seed: study.value(study.init(jax.random.key(seed), study.hyperparameters)))
    untrained = initial(jnp.arange(swept.num_members))
    final = jax.jit(jax.vmap(lambda value: _final(learner, tasks, held_out_key(), num_tasks, **{study.leaf: value})))
    # Averaged over meta-seeds: tasks are what the interval is about.
    found = [("learned", np.asarray(final(stacked)).mean(axis=0))]
    found.append(("untrained", np.asarray(final(untrained)).mean(axis=0)))
    for agent in baselines:
        ordinary = baseline(learner, agent, tasks.max_horizon)
        run = jax.jit(lambda rate, key: _final(ordinary, tasks, key, num_tasks, learning_rate=rate))  # noqa: B023
        tuning_key = jax.random.fold_in(held_out_key(), 1)
        best = max(learning_rates, key=lambda rate: float(run(rate, tuning_key).mean()))
        found.append((f"{agent}, learning rate {best:g}", np.asarray(run(best, held_out_key()))))
    return found


def _final(learner: Trainer, tasks: Any, key: Any, num_tasks: int, **changed: Any) -> Float[Any, " task"]:
    hyperparameters = learner.hyperparameters._replace(**changed)
    return learn_tasks(learner, tasks, key, hyperparameters, num_tasks).final @ hyperparameters.weights
