"""Exact fronts of the finite multi-objective environments, beside those that MO-Gymnasium publishes.

    python experiments/exact_fronts.py                      # all of them
    python experiments/exact_fronts.py resource-gathering   # some

Per environment and discount: the Pareto front (or how many points, where they are many; or why it cannot be
enumerated), the convex coverage set, hypervolumes, and for the published points how many are on the true front, and
which are dominated by it, or attainable by no policy. Minecart has no exact front: its returns are those of plans that
were found by search and replayed, so that its set is a lower bound. Writes results/pareto/exact_fronts.json.
"""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import mo_gymnasium
import numpy as np

import jaxrl
from jaxrl.environments.multi_objective import fronts
from jaxrl.morl.pareto import hypervolume

PATH = Path(__file__).parents[1] / "results" / "pareto" / "exact_fronts.json"
# Longer sets are counted, not listed.
MOST_LISTED = 64
ACTIONS = "MLRABN"
# What may be said of a published point, by whether our set holds it, exceeds it, or does neither.
EXACT = ("on_the_front", "dominated", "not_attainable")
LOWER_BOUND = ("found", "dominated", "not_found")
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (f"{name}-v0", {}) for name in ("deep-sea-treasure", "resource-gathering", "minecart-deterministic")},
    **{f"deep-sea-treasure-{map_}": (f"deep-sea-treasure-{map_}-v0", {}) for map_ in ("concave", "mirrored")},
    **{f"fruit-tree-{depth}": ("fruit-tree-v0", {"depth": depth}) for depth in (5, 6, 7)},
}
DISCOUNTS = {
    "deep-sea-treasure": (1.0, 0.99),
    "deep-sea-treasure-concave": (1.0, 0.99),
    "deep-sea-treasure-mirrored": (1.0, 0.99),
    "fruit-tree-5": (1.0, 0.99),
    "fruit-tree-6": (1.0, 0.99),
    "fruit-tree-7": (1.0, 0.99),
    "resource-gathering": (1.0, 0.99, 0.9),
    "fishwood": (1.0, 0.99),
    "breakable-bottles": (1.0, 0.99),
    "four-room": (1.0, 0.99),
    "minecart-deterministic": (1.0, 0.98),
}


def main(names: list[str]) -> None:
    """Computes the named fronts, or all of them, and merges them into the results."""
    PATH.parent.mkdir(parents=True, exist_ok=True)
    for name in names or DISCOUNTS:
        found = {}
        for discount in DISCOUNTS[name]:
            start = time.perf_counter()
            found[f"{discount:g}"] = attainable(discount) if "minecart" in name else exact(name, discount)
            print(f"{name} at {discount:g}: {time.perf_counter() - start:.1f} s", flush=True)
        known = json.loads(PATH.read_text()) if PATH.exists() else {}
        entry = {"reference_point": jaxrl.make(f"mo/{name}").spec.reference_point, "discounts": found}
        text = json.dumps({**known, name: entry}, indent=1)
        # One line per point instead of one per number.
        PATH.write_text(re.sub(r"\[\s+([-\d.,e\s]+?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text) + "\n")


def exact(name: str, discount: float) -> dict[str, Any]:
    """The front, or why there is none, the coverage set, and what is published."""
    coverage = fronts.coverage_set(name, discount)
    entry: dict[str, Any] = {"coverage_set": described(name, coverage)}
    try:
        front = fronts.front(name, discount)
    except fronts.FrontTooLargeError as error:
        return {"front": {"not_enumerated": str(error)}, **entry}
    return {"front": described(name, front), **entry, **published(name, discount, front, EXACT)}


def attainable(discount: float) -> dict[str, Any]:
    """Returns of the deterministic minecart that the plans beside them attain: a lower bound of the front."""
    name, found = "minecart-deterministic", fronts.minecart_plans(discount)
    plans = [
        {"return": rounded(point), "actions": "".join(ACTIONS[action] for action in actions)}
        for point, actions in zip(found.points, found.actions, strict=True)
    ]
    return {
        "lower_bound": {**described(name, found.points), "plans": plans},
        "coverage_set_of_lower_bound": described(name, fronts.convex_coverage_set(found.points)),
        **published(name, discount, found.points, LOWER_BOUND),
    }


def described(name: str, points: np.ndarray) -> dict[str, Any]:
    """Size, hypervolume and, if they are few, the points."""
    reference = jaxrl.make(f"mo/{name}").spec.reference_point
    with jax.enable_x64(True):
        volume = float(hypervolume(jnp.asarray(points), reference))
    entry = {"size": len(points), "hypervolume": float(f"{volume:.8g}")}
    return {**entry, "points": rounded(points)} if len(points) <= MOST_LISTED else entry


def published(name: str, discount: float, front: np.ndarray, verdicts: tuple[str, str, str]) -> dict[str, Any]:
    """MO-Gymnasium's front, and what is true of each of its points; nothing where it has none."""
    if name not in PEERS:
        return {}
    peer, options = PEERS[name]
    points = np.unique(mo_gymnasium.make(peer, **options).unwrapped.pareto_front(discount), axis=0)
    # Six digits are what single precision leaves of the environments' rewards.
    slack = 2e-6 * max(1.0, float(np.abs(points).max()))
    near = np.abs(front[:, None] - points[None]).max(axis=-1).min(axis=0) <= slack
    reached = np.all(front[:, None] >= points[None] - slack, axis=-1).any(axis=0)
    kinds = np.where(near, verdicts[0], np.where(reached, verdicts[1], verdicts[2]))
    entry = {"peer": f"{peer} of mo-gymnasium {mo_gymnasium.__version__}", **described(name, points)}
    entry.pop("points", None)
    for verdict in verdicts:
        chosen = points[kinds == verdict]
        entry[verdict] = rounded(chosen) if len(chosen) and verdict != verdicts[0] else len(chosen)
    return {"published": entry}


def rounded(points: np.ndarray) -> list:
    """Seven decimals as plain lists; adding zero turns -0.0 into 0.0."""
    return (np.round(points, 7) + 0.0).tolist()


if __name__ == "__main__":
    main(sys.argv[1:])
