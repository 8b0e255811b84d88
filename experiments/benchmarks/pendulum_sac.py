"""SAC on Pendulum by Stable-Baselines3 at as many steps and updates as that of `experiments/learning.py continuous`.

    python experiments/benchmarks/pendulum_sac.py

Both learn with the same networks, minibatches and rates, one gradient step for each step of the environment; jaxrl in
iterations of 32 steps, Stable-Baselines3 after each. jaxrl's returns are those of the study at the same step.
"""

import json

import pandas
from contenders import machine
from peers import ROOT, interpreter, run_contender

OUT = ROOT / "results" / "benchmarks" / "pendulum_sac.json"
SETTINGS = {
    "total_steps": 8_000,
    "hidden_sizes": [64, 64],
    "batch_size": 128,
    "learning_rate": 1e-3,
    "learning_starts": 1_000,
}
SEEDS = 3


def ours() -> list[float]:
    """Returns of the study's seeds at the evaluation after as many steps."""
    table = pandas.read_csv(ROOT / "results" / "learning" / "continuous.csv")
    rows = table[(table["setting"] == "sac") & (table["steps"] == SETTINGS["total_steps"])]
    column = "return" if "return" in rows else next(name for name in rows if name.startswith("return"))
    return [round(float(value), 1) for value in rows[column]]


def main() -> None:
    """Writes after every seed."""
    report = {"machine": machine(), "settings": SETTINGS, "jaxrl": ours(), "stable_baselines3": [], "cpu_seconds": []}
    for seed in range(SEEDS):
        found = run_contender(interpreter("stable-baselines3"), "_sb3_sac.py", {**SETTINGS, "seed": seed})
        report["stable_baselines3"].append(round(found["mean_return"], 1))
        report["cpu_seconds"].append(round(found["cpu_seconds"], 1))
        report["versions"] = found["versions"]
        print(json.dumps(report), flush=True)
        OUT.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
