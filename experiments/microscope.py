"""What meta-training does to an objective: a drift before and after, and LPG's targets before and after.

    python experiments/microscope.py          # both
    python experiments/microscope.py lpo

Short meta-training by evolution on tiny grid-worlds (longer: lpo.py, lpg.py), two meta-seeds each, with held-out
returns beside untrained objectives; then heat maps of the drift beside PPO's and DPO's, DPO's α and β fitted to it, and
what LPG's targets make of a reward that arrives later. Writes results/meta/microscope*.{json,png}.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxrl
from jaxrl.figures.plotting import save
from jaxrl.meta import MetaStudy, evolve, make_tasks, pictures
from jaxrl.meta.distillation import distil
from jaxrl.meta.held_out import held_out_key
from jaxrl.meta.microscope import mirror_conditions, surrogate_slopes, target_response
from jaxrl.objectives.lpg import learned_policy_gradient
from jaxrl.objectives.surrogate import make_surrogate
from jaxrl.objectives.trajectory import advantage_actor_critic

RESULTS = Path(__file__).parents[1] / "results" / "meta"
ENVIRONMENT, HORIZON, META_SEEDS, HELD_OUT = "grid/tiny", 50, 2, 128
AGENT: dict[str, Any] = {"num_envs": 16, "num_steps": 20, "network": "table", "num_evaluations": 1}
PPO: dict[str, Any] = {"num_epochs": 8, "num_minibatches": 1, "learning_rate": 0.3, "anneal_learning_rate": False}
LPG: dict[str, Any] = {"optimiser": "sgd", "learning_rate": 40.0, "num_outputs": 8, "objective_size": 16}
OUTER = {
    "lpo": {"population_size": 16, "num_generations": 40, "learning_rate": 0.03, "deviation": 0.05},
    "lpg": {"population_size": 16, "num_generations": 60, "learning_rate": 1e-2, "deviation": 0.1},
}
RATIOS, ADVANTAGES = np.geomspace(1 / 3, 3.0, 81), np.linspace(-3.0, 3.0, 81)
DELAYS, DISCOUNTS = range(20), (0.9, 0.99)


def study(name: str, agent: str, **settings: Any) -> MetaStudy:
    """A short meta-training around one kind of agent."""
    steps = HORIZON * AGENT["num_envs"] * AGENT["num_steps"]
    inner = jaxrl.trainer(agent, ENVIRONMENT, total_steps=steps, **AGENT, **settings)
    tasks = make_tasks(ENVIRONMENT, HORIZON)
    return evolve(inner, tasks, **OUTER[name], num_evaluations=1, evaluation_tasks=HELD_OUT)


def initial(meta: MetaStudy, seed: int) -> Any:
    """What a meta-seed begins with."""
    return meta.value(meta.init(jax.random.key(seed), meta.hyperparameters))


def train(name: str, meta: MetaStudy) -> tuple[jaxrl.Sweep, dict[str, Any]]:
    """All meta-seeds, with held-out returns before and after."""
    began = time.perf_counter()
    swept = jaxrl.sweep(meta, seeds=META_SEEDS, say=lambda _: None)
    final = swept.table["final_return"].tolist()
    test = jax.jit(lambda value: meta.test(held_out_key(), value, meta.hyperparameters, HELD_OUT).final.mean())
    before = [float(test(initial(meta, seed))) for seed in range(META_SEEDS)]
    record = {"untrained": before, "trained": final, "seconds": time.perf_counter() - began}
    print(name, record, flush=True)
    return swept, record


def drifts(meta: MetaStudy, swept: jaxrl.Sweep) -> dict[str, Any]:
    """Heat maps of the first meta-seed's drift, and the closed form of every one's."""
    surrogate = make_surrogate("learned_drift")
    shown = {"untrained": initial(meta, 0), "learned": swept.learned(0)}
    views = {name: surrogate_slopes(surrogate, value, RATIOS, ADVANTAGES) for name, value in shown.items()}
    record = {}
    for member in range(META_SEEDS):
        value = swept.learned(member)
        found = distil(surrogate, value)
        numbers = {name: float(leaf) for name, leaf in found.parameters.items()}
        record[f"seed {member}"] = {**numbers, **found.report, "conditions": mirror_conditions(surrogate, value)}
    dpo, clip = make_surrogate("drift"), make_surrogate("clip")
    fitted = {name: record["seed 0"][name] for name in ("alpha", "beta")}
    label = f"DPO fitted\nα = {fitted['alpha']:.2g}, β = {fitted['beta']:.2g}"
    views[label] = surrogate_slopes(dpo, fitted, RATIOS, ADVANTAGES)
    views["DPO\nα = 2, β = 0.6"] = surrogate_slopes(dpo, dpo.init(None), RATIOS, ADVANTAGES)
    views["PPO's clip\nε = 0.2"] = surrogate_slopes(clip, clip.init(None), RATIOS, ADVANTAGES)
    save(pictures.slopes(views), RESULTS / "microscope_drift.png")
    return record


def rules(meta: MetaStudy, swept: jaxrl.Sweep) -> dict[str, Any]:
    """Responses of the first meta-seed's rule before and after, beside A2C's."""
    rule, a2c = learned_policy_gradient(LPG["num_outputs"], LPG["objective_size"]), advantage_actor_critic()
    values = {"untrained": initial(meta, 0), "trained": swept.learned(0), "trained, other seed": swept.learned(1)}
    found = {
        name: target_response(rule, value, DELAYS, discounts=DISCOUNTS, ends=True) for name, value in values.items()
    }
    known = target_response(a2c, a2c.init(None), DELAYS, discounts=DISCOUNTS, ends=True)
    save(pictures.responses({**found, "A2C": known}), RESULTS / "microscope_response.png")
    save(pictures.predictions(found, probability=1), RESULTS / "microscope_prediction.png")
    numbers = {name: np.asarray(entry.policy)[0, 0, :, 1].tolist() for name, entry in {**found, "A2C": known}.items()}
    return {"response of the policy target by discount and delay, probability 0.5": numbers}


def main(names: list[str]) -> None:
    """Meta-trains, looks and writes."""
    jaxrl.use_cpu_cores()
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / "microscope.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    record |= {"agent": AGENT, "ppo": PPO, "lpg agent": LPG, "outer": OUTER, "horizon": HORIZON}
    for name, (agent, settings, look) in LOOKS.items():
        if names and name not in names:
            continue
        meta = study(name, agent, **settings)
        swept, returns = train(name, meta)
        record[name] = {"held-out return": returns, **look(meta, swept)}
        path.write_text(json.dumps(record, indent=1) + "\n")


LOOKS = {"lpo": ("ppo", {"surrogate": "learned_drift", **PPO}, drifts), "lpg": ("lpg", LPG, rules)}


if __name__ == "__main__":
    main(sys.argv[1:])
