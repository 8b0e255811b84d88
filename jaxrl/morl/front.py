"""The Pareto front that a sweep over weights or a study found: its measures, and choosing a policy from it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import EnvironmentSpec
from jaxrl.morl.problem import Problem, make_problem, measure
from jaxrl.morl.study import Study
from jaxrl.numerics import archive
from jaxrl.numerics.preferences import check_preferences
from jaxrl.ranges import COUNT, EPISODES
from jaxrl.training.policy import Policy
from jaxrl.training.program import Program
from jaxrl.types import Bool, Float, Int

if TYPE_CHECKING:
    import pandas

    from jaxrl.sweeps.sweep import Sweep

__all__ = ["Front", "choose", "front"]


class Front(NamedTuple):
    """Returns of every policy of a study, and which of them are on the front.

    Attributes:
        points: return vectors of all policies.
        on_front: the non-dominated ones.
        members: the policies on the front, sorted by the first objective.
        measures: one row per seed and one for all seeds together (`seed` = `all`).
        labels: one row per policy: member, seed, weights.
        spec: of the environment.
        policy: `index -> Policy`.
        source: `index -> ` the trainer that made that policy; where none did, the study.
    """

    points: Float[np.ndarray, "policy objective"]
    on_front: Bool[np.ndarray, " policy"]
    members: Int[np.ndarray, " archived"]
    measures: "pandas.DataFrame"
    labels: "pandas.DataFrame"
    spec: EnvironmentSpec
    policy: Callable[[int], Policy]
    source: Callable[[int], Program]


def front(
    sweep: "Sweep", num_episodes: int | None = None, discounted: bool = False, capacity: int | None = None
) -> Front:
    """Evaluates all policies of a sweep or a study afresh and archives the non-dominated ones.

    Fresh episodes keep lucky evaluations during training from being selected.

    Args:
        sweep: over `weights`, or of a study.
        num_episodes: episodes per policy; default the protocol's.
        discounted: use returns under `spec.discount` instead of plain sums. A study always reports returns under its
            own protocol.
        capacity: archived policies at most, thinned by crowding; default all.

    Raises:
        ValueError: for an environment with one objective.
    """
    spec = sweep.trainer.environment.spec
    if num_episodes is not None:
        EPISODES.check("num_episodes", num_episodes)
    if capacity is not None:
        COUNT.check("capacity", capacity)
    if spec.num_objectives < 2:
        raise ValueError(f"a Pareto front needs at least 2 objectives, {spec.name} has 1; use a sweep")
    if isinstance(sweep.trainer, Study):
        problem = sweep.trainer.problem
        points, labels, policy, source = _archived(sweep, num_episodes or problem.num_episodes)
    else:
        problem = make_problem(sweep.trainer.environment, discount=None if discounted else 1.0, reference_needed=False)
        points, labels, policy, source = _final(sweep, num_episodes or problem.num_episodes, discounted)
    chosen = _chosen(points, capacity)
    on_front = np.zeros(len(points), bool)
    on_front[chosen] = True
    order = chosen[np.argsort(points[chosen, 0], kind="stable")]
    seeds = np.unique(np.concatenate([group.seeds for group in sweep.groups]))
    measures = _measures_by_seed(points, labels["seed"].to_numpy(), seeds, problem)
    return Front(points, on_front, order, measures, labels, spec, policy, source)


def _chosen(points: Float[np.ndarray, "policy objective"], capacity: int | None) -> Int[np.ndarray, " archived"]:
    """Which policies are archived; none of none."""
    if not len(points):
        return np.zeros(0, int)
    kept = archive.init(capacity or len(points), points.shape[1], payload=jnp.asarray(0))
    kept = archive.insert(kept, jnp.asarray(points), jnp.arange(len(points)))
    return np.asarray(kept.payload)[np.asarray(kept.mask)]


def choose(
    found: Front,
    weights: Sequence[float] | None = None,
    at_least: Mapping[str | int, float | int] | None = None,
) -> int:
    """The index of the policy on the front that a user prefers.

    max w·p over the policies on the front whose returns meet every bound.

    Args:
        found: the front.
        weights: preference weights; default equal weights of objectives scaled to the front's range.
        at_least: least returns, by objective's name or index.

    Raises:
        ValueError: for a bound that is no number, if the front is empty, if no policy meets the bounds, naming the best
            reached of each bounded objective, or for weights outside the simplex.
        UnknownNameError: for an unknown objective.
    """
    if not len(found.members):
        raise ValueError(f"the front of {found.spec.name} is empty: the study found no policy")
    points = found.points[found.members]
    names = found.spec.objective_names
    allowed = np.ones(len(points), bool)
    for index, bound in check_preferences(names, found.spec.name, weights, at_least).items():
        allowed &= points[:, index] >= bound
    if not allowed.any():
        best = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, points.max(axis=0), strict=True))
        raise ValueError(f"no policy on the front has {dict(at_least or {})}; the best of each objective: {best}")
    if weights is None:
        spread = np.ptp(points, axis=0)
        utility = (points / np.where(spread > 0.0, spread, 1.0)).sum(axis=1)
    else:
        utility = points @ np.asarray(weights, np.float32)
    # An infinite return may leave a utility that is no number, which argmax would choose.
    return int(found.members[np.argmax(np.where(allowed & ~np.isnan(utility), utility, -np.inf))])


def _final(sweep: "Sweep", num_episodes: int, discounted: bool) -> tuple:
    """Points, labels, policies and sources of the last policy of every run of a sweep."""
    import pandas

    evaluation = sweep.evaluate(num_episodes)
    points = np.asarray(evaluation.discounted_returns if discounted else evaluation.returns)
    labels = {"member": np.arange(len(points)), "seed": np.concatenate([group.seeds for group in sweep.groups])}
    if sweep.groups[0].weights is not None:
        weights = np.concatenate([group.weights for group in sweep.groups])
        labels |= _weight_columns(weights, sweep.trainer.environment.spec)
    return points, pandas.DataFrame(labels), sweep.policy, lambda index: sweep.locate(index)[0].trainer


def _archived(sweep: "Sweep", num_episodes: int) -> tuple:
    """Points, labels, policies and sources of every archive of a study's runs."""
    import pandas

    frames, places = [], []
    for group in sweep.groups:
        study, first = group.trainer, sum(len(part) for part in frames)
        evaluate = jax.vmap(
            lambda state, hyperparameters, study=study: study.evaluate(
                jax.random.key(0), state, hyperparameters, num_episodes
            ),
            in_axes=(0, group.axes),
        )
        state = jax.tree.map(jnp.asarray, jax.device_get(group.result.state))
        points, mask, weights = jax.device_get(jax.jit(evaluate)(state, group.hyperparameters))
        run, slot = np.nonzero(mask)
        places += [(group, int(row), int(column)) for row, column in zip(run, slot, strict=True)]
        labels = {"member": first + np.arange(len(run)), "seed": np.asarray(group.seeds)[run], "run": run}
        if weights is not None:
            labels |= _weight_columns(weights[run, slot], study.environment.spec)
        frames.append(
            pandas.DataFrame(labels).assign(**{str(i): points[run, slot, i] for i in range(points.shape[-1])})
        )
    table = pandas.concat(frames, ignore_index=True)
    objectives = [str(i) for i in range(sweep.trainer.problem.num_objectives)]

    def policy(index: int) -> Policy:
        group, row, column = places[index]
        state, hyperparameters = group.member(row)
        return Policy(group.trainer.agent, *group.trainer.policy(state, hyperparameters, column))

    def source(index: int) -> Program:
        return places[index][0].trainer.source

    return table[objectives].to_numpy(), table.drop(columns=objectives), policy, source


def _weight_columns(weights: np.ndarray, spec: EnvironmentSpec) -> dict[str, np.ndarray]:
    return {f"weight_{name}": weights[:, i] for i, name in enumerate(spec.objective_names)}


def _measures_by_seed(points: np.ndarray, own: np.ndarray, seeds: np.ndarray, problem: Problem) -> "pandas.DataFrame":
    """A row for each seed, also for those that found no policy, and one for all together."""
    import pandas

    def row(label: str, chosen: np.ndarray) -> dict:
        # A masked point stands for none.
        mask = jnp.arange(max(1, len(chosen))) < len(chosen)
        padded = chosen if len(chosen) else np.zeros((1, problem.num_objectives), np.float32)
        measured = measure(problem, jnp.asarray(padded), mask)
        return {"seed": label, **{name: float(value) for name, value in measured.items()}}

    rows = [row(str(seed), points[own == seed]) for seed in seeds]
    return pandas.DataFrame([*rows, row("all", points)])
