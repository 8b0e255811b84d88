"""Fronts that a sweep of linear weights finds, beside the exact ones.

    python experiments/pareto_fronts.py            # all three studies
    python experiments/pareto_fronts.py minecart   # one

Deep sea treasure, convex: every point of the front. Concave: linear weights can only find the two extreme points
(Vamplew et al., 2008). Minecart: the demo's study. Writes results/pareto/*.csv, *.png and summary.json.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl import plotting
from jaxrl.environments.multi_objective.fronts import front as exact_front
from jaxrl.morl.kind import front_table
from jaxrl.morl.pareto import hypervolume

RESULTS = Path(__file__).parents[1] / "results" / "pareto"
TREASURE = {
    "total_steps": 200_000,
    "learning_rate": 2e-3,
    "discount": 1.0,
    "entropy_coefficient": 0.1,
    "num_evaluations": 5,
    "evaluation_episodes": 2,
}
MINECART = {
    "total_steps": 400_000,
    "num_envs": 16,
    "num_steps": 64,
    "learning_rate": 1e-3,
    "discount": 0.98,
    "evaluation_episodes": 8,
}


def study(name: str, weights: int, seeds: int, settings: dict[str, Any], known: np.ndarray | None) -> dict[str, Any]:
    """One sweep over weights, its front, figure and table; returns its summary."""
    start = time.perf_counter()
    sweep = jaxrl.sweep(jaxrl.trainer("ppo", f"mo/{name}", **settings), seeds=seeds, weights=weights)
    seconds = time.perf_counter() - start
    found = jaxrl.front(sweep)
    RESULTS.mkdir(parents=True, exist_ok=True)
    front_table(found).to_csv(RESULTS / f"{name}.csv", index=False, float_format="%.6g")
    names, reference = found.spec.objective_names, found.spec.reference_point
    figure = plotting.front(found.points, names, reference, known, title=found.spec.name)
    plotting.save(figure, RESULTS / f"{name}.png")
    summary = {
        "weights": weights,
        "seeds": seeds,
        "settings": settings,
        "seconds_compile_included": round(seconds, 1),
        "measures": json.loads(found.measures.round(4).to_json(orient="records")),
    }
    if known is not None:
        distances = np.abs(known[:, None] - found.points[None]).max(axis=-1).min(axis=1)
        summary["exact_points"] = len(known)
        summary["exact_points_found"] = int((distances < 1e-3).sum())
        summary["exact_hypervolume"] = float(hypervolume(jnp.asarray(known, jnp.float32), jnp.asarray(reference)))
        summary["distinct_points_found"] = np.unique(np.round(found.points[found.members], 4), axis=0).tolist()
    print(name, json.dumps(summary), flush=True)
    return summary


STUDIES = {
    "deep-sea-treasure": (32, 4, TREASURE),
    "deep-sea-treasure-concave": (32, 4, TREASURE),
    "minecart": (32, 2, MINECART),
}


def main(names: list[str]) -> None:
    """Runs the named studies, or all three."""
    jaxrl.use_cpu_cores()
    path = RESULTS / "summary.json"
    for name in names or STUDIES:
        exact = np.asarray(exact_front(name, 1.0)) if name.startswith("deep") else None
        found = study(name, *STUDIES[name], exact)
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**known, name: found}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
