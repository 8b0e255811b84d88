"""The Pareto front that a sweep over weights found, and its measures."""

from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import EnvironmentSpec
from jaxrl.morl import archive, pareto
from jaxrl.morl.weights import equally_spaced
from jaxrl.types import Bool, Float, Int

if TYPE_CHECKING:
    import pandas

    from jaxrl.sweeps import Sweep

__all__ = ["Front", "front", "measures"]

# Preference weights over which expected utility is averaged, as in morl-baselines.
_UTILITY_WEIGHTS = 50


class Front(NamedTuple):
    """Returns of every policy of a study, and which of them are on the front.

    Attributes:
        points: return vectors of all members.
        on_front: the non-dominated ones.
        members: the member of each archived policy, sorted by the first objective.
        measures: one row per seed and one for all seeds together (`seed` = `all`).
        spec: of the environment.
    """

    points: Float[np.ndarray, "member objective"]
    on_front: Bool[np.ndarray, " member"]
    members: Int[np.ndarray, " archived"]
    measures: "pandas.DataFrame"
    spec: EnvironmentSpec


def front(sweep: "Sweep", num_episodes: int = 64, discounted: bool = False, capacity: int | None = None) -> Front:
    """Evaluates all policies of a sweep afresh and archives the non-dominated ones.

    Fresh episodes keep lucky evaluations during training from being selected.

    Args:
        sweep: usually over `weights`.
        num_episodes: episodes per policy.
        discounted: use returns under `spec.discount` instead of plain sums.
        capacity: archived policies at most, thinned by crowding; default all.

    Raises:
        ValueError: for an environment with one objective.
    """
    spec = sweep.trainer.environment.spec
    if spec.num_objectives < 2:
        raise ValueError(f"a Pareto front needs at least 2 objectives, {spec.name} has 1; use a sweep")
    evaluation = sweep.evaluate(num_episodes)
    points = np.asarray(evaluation.discounted_returns if discounted else evaluation.returns)
    members = jnp.arange(len(points))
    kept = archive.init(capacity or len(points), spec.num_objectives, payload=members[0])
    kept = archive.insert(kept, jnp.asarray(points), members)
    chosen = np.asarray(kept.payload)[np.asarray(kept.mask)]
    on_front = np.zeros(len(points), bool)
    on_front[chosen] = True
    seeds = np.concatenate([group.seeds for group in sweep.groups])
    order = chosen[np.argsort(points[chosen, 0], kind="stable")]
    return Front(points, on_front, order, _measures_by_seed(points, seeds, spec), spec)


def measures(points: Float[np.ndarray, "member objective"], spec: EnvironmentSpec) -> dict[str, float]:
    """Hypervolume over `spec.reference_point`, expected utility, and sparsity and cardinality of the front."""
    values = jnp.asarray(points, jnp.float32)
    weights = equally_spaced(spec.num_objectives, max(_UTILITY_WEIGHTS, spec.num_objectives))
    reference = None if spec.reference_point is None else jnp.asarray(spec.reference_point)
    return {
        "hypervolume": float("nan") if reference is None else float(pareto.hypervolume(values, reference)),
        "expected_utility": float(pareto.expected_utility(values, weights)),
        "sparsity": float(pareto.sparsity(values, pareto.non_dominated(values))),
        "cardinality": int(pareto.cardinality(values)),
    }


def _measures_by_seed(points: np.ndarray, seeds: np.ndarray, spec: EnvironmentSpec) -> "pandas.DataFrame":
    import pandas

    rows = [{"seed": str(seed), **measures(points[seeds == seed], spec)} for seed in np.unique(seeds)]
    return pandas.DataFrame([*rows, {"seed": "all", **measures(points, spec)}])
