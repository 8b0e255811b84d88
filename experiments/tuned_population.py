"""Whether a tuned population beats the default one, on seeds that the search never saw.

    python experiments/tuned_population.py

Learning rate, entropy coefficient, GAE's lambda and clipping range of a population of weights on resource gathering,
by successive halving on mean hypervolume (Felten et al., 2023); winner and defaults are then run afresh on held-out
seeds. Writes results/pareto/tuned_population.{csv,json}.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import jaxrl
from jaxrl import statistics

RESULTS = Path(__file__).parents[1] / "results" / "pareto"
ENVIRONMENT = "mo/resource-gathering"
STUDY: dict[str, Any] = {
    "total_steps": 400_000,
    "num_members": 10,
    "num_envs": 8,
    "num_steps": 64,
    "num_minibatches": 4,
    "num_evaluations": 9,
    "evaluation_episodes": 16,
    "discount": 0.99,
}
SPACE = {
    "learning_rate": jaxrl.LogUniform(2e-4, 1e-2),
    "entropy_coefficient": jaxrl.LogUniform(1e-3, 0.3),
    "gae_lambda": jaxrl.Uniform(0.8, 1.0),
    "clip_epsilon": jaxrl.Uniform(0.1, 0.4),
}
SEARCH = {"samples": 15, "seeds": 3, "rungs": 3, "keep": 0.5, "held_out_seeds": 8}


def main() -> None:
    """Searches, compares and writes."""
    jaxrl.use_cpu_cores()
    start = time.perf_counter()
    tuned = jaxrl.tune(jaxrl.study("population", ENVIRONMENT, **STUDY), SPACE, **SEARCH)
    seconds = time.perf_counter() - start
    held_out = tuned.held_out
    held_out.to_csv(RESULTS / "tuned_population.csv", index=False, float_format="%.6g")
    summary: dict[str, Any] = {}
    for name in ("tuned", "default"):
        scores = held_out[name].to_numpy()
        summary[name] = {"mean": float(np.mean(scores)), "interval": statistics.interval(scores, statistics.mean)}
    better = statistics.probability_of_improvement(held_out["tuned"].to_numpy(), held_out["default"].to_numpy())
    summary["probability_of_improvement"] = better._asdict()
    record = {"environment": ENVIRONMENT, "study": STUDY, "search": SEARCH, "best": tuned.best, "seconds": seconds}
    (RESULTS / "tuned_population.json").write_text(json.dumps({**record, "held_out": summary}, indent=1) + "\n")
    print(summary, tuned.best, round(seconds), flush=True)


if __name__ == "__main__":
    main()
