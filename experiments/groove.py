"""Curricula over levels for a learned update rule: algorithmic regret (GROOVE), positive value loss, none.

    python experiments/groove.py                      # both sets of levels; five or ten meta-seeds, five at a time
    python experiments/groove.py cut_off              # one set
    python experiments/groove.py cut_off algorithmic_regret

Learned policy gradients by meta-gradient on walled grid-worlds, at equal compute: curricula that cost more take fewer
meta-steps. On levels of 4 x 4 to 10 x 10 cells with few walls (`walled`) nine of ten have something to learn; where
walls cut most objects off (`cut_off`), two of ten. Held-out levels, each level's final return between a uniform policy
(0, exact) and A2C of the same lifetime (1), clipped to [-1, 1.5]; levels where those two are less than 0.1 apart do not
count. Writes results/meta/groove.json and groove_{levels}.png.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl import plotting
from jaxrl.environments import Environment
from jaxrl.environments.grid import grid, random_levels, uniform_return
from jaxrl.errors import require_name
from jaxrl.meta import MetaStudy, differentiate, make_tasks
from jaxrl.meta.held_out import held_out_key, held_out_tasks, learn_tasks
from jaxrl.numerics.statistics import interval, mean

RESULTS = Path(__file__).parents[1] / "results" / "meta"
HORIZON, AT_ONCE = 50, 5
META_SEEDS = {"uniform": 10, "positive_value_loss": 5, "algorithmic_regret": 10}


class LevelSet(NamedTuple):
    """Levels to train and to test on.

    Attributes:
        drawn: sizes, objects and time limits, each from and to, and draws of walls.
        held_out: levels to test on.
        meta_steps: of about equal processor time. On `cut_off` one took uniform, positive value loss and regret 0.96,
            0.89 and 0.95 s for five meta-seeds; on `walled` they are in the ratio of 0.89, 0.94 and 1.04 s, taken on
            levels of 4 to 6 cells.
    """

    drawn: dict[str, Any]
    held_out: int
    meta_steps: dict[str, int]


LEVEL_SETS = {
    "walled": LevelSet(
        {"sizes": (4, 10), "counts": (1, 3), "steps": (20, 60), "num_wall_draws": 15},
        held_out=256,
        meta_steps={"uniform": 900, "positive_value_loss": 860, "algorithmic_regret": 770},
    ),
    "cut_off": LevelSet(
        {"sizes": (10, 10), "counts": (1, 2), "steps": (20, 60), "num_wall_draws": 75},
        held_out=1024,
        meta_steps={"uniform": 500, "positive_value_loss": 540, "algorithmic_regret": 500},
    ),
}
AGENT: dict[str, Any] = {"num_envs": 16, "num_steps": 20, "network": "table", "num_evaluations": 1}
LPG: dict[str, Any] = {"learning_rate": 40.0, "num_outputs": 8, "objective_size": 16, "optimiser": "sgd"}
A2C: dict[str, Any] = {"optimiser": "adam", "learning_rate": 0.3, "gae_lambda": 0.95, "standardise_advantages": "batch"}
OUTER: dict[str, Any] = {
    "num_agents": 32,
    "unroll": 5,
    "learning_rate": 1e-3,
    "max_gradient_norm": 0.1,
    "entropy_coefficient": 0.05,
    "regularisers": {"output_entropy": -1e-3, "policy_target_square": 5e-3, "output_target_square": 1e-3},
    "critic_network": "table",
    "critic_learning_rate": 0.1,
    "num_evaluations": 10,
    "evaluation_tasks": 64,
    "buffer_size": 256,
    "replay_temperature": 1.0,
    "antagonist_learning_rate": A2C["learning_rate"],
}


def levels(name: str) -> Environment:
    """The grid-world of one set of levels."""
    return grid(random_levels(name, **LEVEL_SETS[name].drawn))


def learner(name: str, agent: str, **settings: Any) -> jaxrl.Trainer:
    """An agent that lives for one horizon on levels of a set."""
    steps = HORIZON * AGENT["num_envs"] * AGENT["num_steps"]
    return jaxrl.trainer(agent, levels(name), total_steps=steps, **{**AGENT, **settings})


def study(name: str, curriculum: str) -> MetaStudy:
    """Meta-gradients under a curriculum."""
    tasks, steps = make_tasks(levels(name), HORIZON), LEVEL_SETS[name].meta_steps[curriculum]
    return differentiate(learner(name, "lpg", **LPG), tasks, curriculum=curriculum, num_meta_steps=steps, **OUTER)


def anchors(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Held-out returns, level by level, of a uniform policy and of A2C."""
    tasks, a2c, count = make_tasks(levels(name), HORIZON), learner(name, "a2c", **A2C), LEVEL_SETS[name].held_out
    limit = tasks.environment.spec.time_limit
    uniform = jax.jit(jax.vmap(lambda level: uniform_return(level, limit)))(held_out_tasks(tasks, count).environment)
    learnt = jax.jit(lambda key: learn_tasks(a2c, tasks, key, a2c.hyperparameters, count))(held_out_key())
    return np.asarray(uniform), np.asarray(learnt.final[:, 0])


def normalise(final: np.ndarray, uniform: np.ndarray, a2c: np.ndarray) -> np.ndarray:
    """Scores of the levels that tell learners from a uniform policy, along the last axis."""
    telling = a2c - uniform > 0.1
    score = (final[..., telling] - uniform[telling]) / (a2c - uniform)[telling]
    return np.clip(score, -1.0, 1.5)


def measure(scores: np.ndarray) -> dict[str, list[float]]:
    """Of every meta-seed: the mean, the mean of the worst quarter, and the share of levels below three quarters."""
    worst = np.sort(scores, axis=-1)[:, : scores.shape[-1] // 4]
    return {
        "mean": scores.mean(axis=-1).tolist(),
        "worst_quarter": worst.mean(axis=-1).tolist(),
        "below_three_quarters": (scores < 0.75).mean(axis=-1).tolist(),
    }


def run(name: str, curriculum: str, seeds: range, uniform: np.ndarray, a2c: np.ndarray) -> dict[str, Any]:
    """Meta-trains and tests on held-out levels; the untrained control beside."""
    built, count = study(name, curriculum), LEVEL_SETS[name].held_out
    began = time.perf_counter()
    swept = jaxrl.sweep(built, seeds=seeds, say=lambda _: None)
    seconds, timing = time.perf_counter() - began, swept.groups[0].timing
    final = jax.jit(jax.vmap(lambda value: built.test(held_out_key(), value, built.hyperparameters, count).final[:, 0]))
    learned = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[swept.learned(seed) for seed in range(len(seeds))])
    initial = jax.vmap(lambda seed: built.value(built.init(jax.random.key(seed), built.hyperparameters)))
    metrics, evaluation = swept.groups[0].result.metrics, swept.groups[0].result.evaluation
    return {
        **measure(normalise(np.asarray(final(learned)), uniform, a2c)),
        "untrained": measure(normalise(np.asarray(final(initial(jnp.asarray(seeds)))), uniform, a2c)),
        "seconds": seconds,
        "compile_seconds": timing.compile_seconds,
        "seconds_per_meta_step": timing.run_seconds / built.num_iterations,
        "returns_along": np.asarray(evaluation.final_return).mean(axis=0).tolist(),
        "replayed": float(np.nanmean(metrics["replayed"])) if "replayed" in metrics else 0.0,
        "scores": np.sort(normalise(np.asarray(final(learned)), uniform, a2c), axis=-1).mean(axis=0).tolist(),
    }


def merge(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Meta-seeds of several runs as one: lists of seeds in a row, means of what is already a mean over as many."""
    per_seed = ("mean", "worst_quarter", "below_three_quarters")
    chain = lambda parts: {name: [value for part in parts for value in part[name]] for name in per_seed}  # noqa: E731
    rest = [name for name in runs[0] if name not in (*per_seed, "untrained", "seconds")]
    means = {name: np.mean([run[name] for run in runs], axis=0).tolist() for name in rest}
    untrained = chain([run["untrained"] for run in runs])
    return {**chain(runs), "untrained": untrained, "seconds": sum(run["seconds"] for run in runs), **means}


def compare(record: dict[str, Any]) -> dict[str, Any]:
    """Each curriculum beside fresh levels alone: mean difference over meta-seeds, with an interval, seeds paired."""
    found: dict[str, Any] = {}
    for name in META_SEEDS:
        if name == "uniform" or not {name, "uniform"} <= record.keys():
            continue
        for what in ("mean", "worst_quarter", "below_three_quarters"):
            difference = np.array([a - b for a, b in zip(record[name][what], record["uniform"][what], strict=False)])
            low, high = interval(difference, mean)
            found[f"{name}, {what}"] = {"difference": float(difference.mean()), "interval": [low, high]}
    return found


def draw(record: dict[str, Any], path: Path) -> None:
    """Returns along meta-training, scores of the held-out levels in order, and the measures of every meta-seed."""
    figure = plotting.new_figure(14.0, 3.7)
    along, left, right = figure.subplots(1, 3)
    for place, name in enumerate(META_SEEDS):
        if name not in record:
            continue
        style = plotting.series_style(place)
        line = {"color": style["color"], "linestyle": ("-", "--", "-.")[place], "linewidth": 1.6}
        label = (
            f"{'fresh levels' if name == 'uniform' else name.replace('_', ' ')}, {len(record[name]['mean'])} meta-seeds"
        )
        returns, scores = record[name]["returns_along"], np.asarray(record[name]["scores"])
        along.plot(np.linspace(0.0, 1.0, len(returns) + 1)[1:], returns, label=label, **line)
        left.plot(np.linspace(0.0, 1.0, scores.size), scores, **line)
        for column, what in enumerate(("mean", "worst_quarter")):
            values, at = record[name][what], column + 0.2 * (place - 1)
            dots = {"color": style["color"], "marker": style["marker"], "s": 16, "alpha": 0.7, "zorder": 3}
            right.scatter(np.full(len(values), at), values, **dots)
            right.hlines(np.mean(values), at - 0.08, at + 0.08, color=style["color"], linewidth=2, zorder=4)
    left.axhline(1.0, color="#8A8A8A", linewidth=0.8)
    plotting.style_axes(along, "share of processor time", "mean return on 64 held-out levels")
    plotting.style_axes(left, "share of held-out levels, worst first", "score (0 uniform, 1 A2C)")
    plotting.style_axes(right, "", "score of each meta-seed")
    right.set_xticks([0, 1], ["mean", "worst quarter"])
    plotting.add_legend(figure, along)
    plotting.note(
        figure, "lines: means over meta-seeds; dots: every meta-seed, bars: their means; equal processor time"
    )
    plotting.save(figure, path)


def redraw() -> None:
    """The figures again, from the record."""
    for name, record in json.loads((RESULTS / "groove.json").read_text()).items():
        draw(record, RESULTS / f"groove_{name}.png")


def examine(name: str, curricula: list[str]) -> None:
    """Runs curricula on one set of levels, and writes after each; keeps what was found under the same settings."""
    path = RESULTS / "groove.json"
    settings = {"horizon": HORIZON, "agent": AGENT, "lpg": LPG, "a2c": A2C, "outer": OUTER}
    settings = json.loads(json.dumps({**settings, **LEVEL_SETS[name]._asdict()}))
    records = json.loads(path.read_text()) if path.exists() else {}
    known = records.get(name, {})
    records[name] = record = {**known, **settings} if settings.items() <= known.items() else settings
    uniform, a2c = anchors(name)
    record["returns"] = {"uniform": float(uniform.mean()), "a2c": float(a2c.mean())}
    record["share_with_something_to_learn"] = float((a2c - uniform > 0.1).mean())
    for curriculum in curricula:
        blocks = range(0, META_SEEDS[curriculum], AT_ONCE)
        record[curriculum] = merge(
            [run(name, curriculum, range(seed, seed + AT_ONCE), uniform, a2c) for seed in blocks]
        )
        print(curriculum, {key: value for key, value in record[curriculum].items() if key != "scores"}, flush=True)
        record["beside_uniform"] = compare(record)
        path.write_text(json.dumps(records, indent=1) + "\n")
        draw(record, RESULTS / f"groove_{name}.png")


def main(words: list[str]) -> None:
    """Runs the named curricula on the named levels; all where none is named."""
    for word in words:
        require_name("levels or curriculum", word, {*LEVEL_SETS, *META_SEEDS})
    jaxrl.use_cpu_cores()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in [word for word in words if word in LEVEL_SETS] or LEVEL_SETS:
        examine(name, [word for word in words if word in META_SEEDS] or list(META_SEEDS))


if __name__ == "__main__":
    main(sys.argv[1:])
