"""Grouping supervised tasks by estimated affinity, beside the affinity of subsets that were really trained.

    python experiments/multitask/grouping_supervised.py [part ...]

Ten binary classification tasks of one small network without task input. Planted: tasks of a group share a random
teacher, 5 % of their labels flipped. Controls: every task has a teacher of its own, or its labels are coin flips. From
a network θ* trained on all tasks, the performance of every task (minus the held-out loss) is estimated for all 120
subsets of three, and, for the planted family, known by training each subset from θ*. Ten seeds; writes
results/multitask/grouping_supervised.{json,png}.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.stats import spearmanr

from jaxrl import plotting
from jaxrl.errors import require_name
from jaxrl.multitask.grouping.adaptation import adapted, evaluated_performance, linearised_performance
from jaxrl.multitask.grouping.affinity import estimated_affinity
from jaxrl.multitask.grouping.clustering import ClusteringConfig, make_clustering
from jaxrl.multitask.grouping.curvature import first_order_error, hessian_trace
from jaxrl.multitask.grouping.estimation import EstimatorConfig, make_estimator
from jaxrl.multitask.grouping.gradients import projected_gradients
from jaxrl.multitask.grouping.partitions import adjusted_rand_index, normalised_mutual_information
from jaxrl.multitask.grouping.projection import ProjectionConfig, random_projection
from jaxrl.multitask.grouping.samples import TaskSamples, task_samples
from jaxrl.multitask.grouping.similarity import Evidence, lookahead_losses, make_affinity
from jaxrl.multitask.grouping.subsets import all_subsets
from jaxrl.numerics.statistics import interval

RESULTS = Path(__file__).parents[2] / "results" / "multitask"
GROUPS = jnp.asarray([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
TASKS, SIZE, INPUTS, WIDTH, SAMPLES, DIMENSION = 10, 3, 16, 32, 256, 200
META_STEPS, SUBSET_STEPS, GROUP_STEPS, LEARNING_RATE, L2_WEIGHT = 300, 50, 100, 3e-3, 1e-2
KINDS, SEEDS = ("planted", "own teachers", "coin flips"), 10
DISTANCES = jnp.asarray([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1])
SUBSETS = all_subsets(TASKS, SIZE)


class Data(NamedTuple):
    """Inputs `[task, sample, input]` and labels of ±1 `[task, sample]`."""

    inputs: jax.Array
    labels: jax.Array


def init(key: jax.Array) -> list[dict[str, jax.Array]]:
    """A network with two hidden layers."""
    sizes = (INPUTS, WIDTH, WIDTH, 1)
    keys = jax.random.split(key, len(sizes) - 1)
    draw = lambda key, rows, columns: jax.random.normal(key, (rows, columns)) / rows**0.5  # noqa: E731
    return [{"kernel": draw(k, a, b), "bias": jnp.zeros(b)} for k, a, b in zip(keys, sizes, sizes[1:])]


def logit(params: Any, x: jax.Array) -> jax.Array:
    """Of one input."""
    *hidden, last = params
    for layer in hidden:
        x = jnp.tanh(x @ layer["kernel"] + layer["bias"])
    return (x @ last["kernel"] + last["bias"])[0]


def losses(params: Any, data: Data) -> jax.Array:
    """Mean logistic loss of every task."""
    scores = jax.vmap(jax.vmap(partial(logit, params)))(data.inputs)
    return jax.nn.softplus(-data.labels * scores).mean(axis=-1)


def make_family(key: jax.Array, kind: str, samples: int = SAMPLES) -> tuple[Data, Data]:
    """Training and held-out data."""
    teacher_key, input_key, flip_key = jax.random.split(key, 3)
    teachers = jax.vmap(init)(jax.random.split(teacher_key, TASKS))
    if kind == "planted":
        teachers = jax.tree.map(lambda leaf: leaf[GROUPS], teachers)
    inputs = jax.random.normal(input_key, (TASKS, 2 * samples, INPUTS))
    scores = jax.vmap(lambda teacher, rows: jax.vmap(partial(logit, teacher))(2 * rows))(teachers, inputs)
    flips = jax.random.bernoulli(flip_key, 0.5 if kind == "coin flips" else 0.05, scores.shape)
    labels = jnp.where(flips, -1.0, 1.0) * jnp.where(scores > 0, 1.0, -1.0)
    return Data(inputs[:, :samples], labels[:, :samples]), Data(inputs[:, samples:], labels[:, samples:])


def train(params: Any, data: Data, members: jax.Array, steps: int, loss: Any = losses) -> Any:
    """Adam on the mean loss of the tasks in `members`."""
    optimiser = optax.adam(LEARNING_RATE)
    share = members / members.sum()

    def body(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], None]:
        params, state = carry
        gradient = jax.grad(lambda params: loss(params, data) @ share)(params)
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(body, (params, optimiser.init(params)), None, steps)[0][0]


PROJECTION = random_projection(
    jax.eval_shape(init, jax.random.key(0)), ProjectionConfig(projection_dimension=DIMENSION)
)


def make_samples(key: jax.Array, params: Any, data: Data) -> TaskSamples:
    """Logits at θ* and their projected gradients."""
    rows = data.inputs.reshape(-1, INPUTS)
    found = projected_gradients(logit, params, rows, PROJECTION, key, chunk=512)
    shape = data.labels.shape
    return task_samples(found.features.reshape(*shape, -1), data.labels, found.values.reshape(shape))


def estimate(estimator: str, evaluated: bool, key: jax.Array, params: Any, train_data: Data, test: Data) -> jax.Array:
    """f_i(S) of all subsets."""
    x = make_estimator(EstimatorConfig(estimator=estimator, largest_subset=SIZE))(
        make_samples(key, params, train_data), SUBSETS, L2_WEIGHT
    ).x
    if evaluated:
        return evaluated_performance(lambda p: -losses(p, test), params, PROJECTION, key, x, subsets_at_once=8)
    return linearised_performance(make_samples(key, params, test), x)


def train_subsets(params: Any, train_data: Data, test: Data) -> jax.Array:
    """The same by training; a subset costs its own samples only."""

    def one(members: jax.Array) -> jax.Array:
        chosen = jnp.nonzero(members, size=SIZE)[0]
        own = jax.tree.map(lambda leaf: leaf[chosen], train_data)
        return -losses(train(params, own, jnp.ones(SIZE), SUBSET_STEPS), test)

    return jax.lax.map(one, SUBSETS, batch_size=8)


def similarities(key: jax.Array, params: Any, data: Data) -> dict[str, jax.Array]:
    """The other affinities at θ*."""
    loss = lambda params, task: losses(params, jax.tree.map(lambda leaf: leaf[None], task))[0]  # noqa: E731
    gradient = lambda task: PROJECTION.project(key, jax.grad(loss)(params, task))  # noqa: E731
    before, after = lookahead_losses(loss, params, data, 0.1)
    evidence = Evidence(gradients=jax.lax.map(gradient, data), losses=before, lookahead=after, num_tasks=TASKS)
    return {name: make_affinity(name)(key, evidence) for name in ("cosine", "lookahead", "random")}


def timed(compiled: Any, *arguments: Any) -> tuple[Any, float]:
    """Result and processor seconds, which other load disturbs less than the clock."""
    start = time.process_time()
    result = jax.block_until_ready(compiled(*arguments))
    return result, time.process_time() - start


def ranks(a: jax.Array, b: jax.Array, where: np.ndarray) -> float:
    """Spearman's rank correlation."""
    return float(spearmanr(np.asarray(a)[where], np.asarray(b)[where]).statistic)


def accuracies(params: Any, train_data: Data, test: Data, labels: jax.Array, count: int) -> jax.Array:
    """Mean held-out accuracy of networks trained by group from θ*."""
    groups = jax.nn.one_hot(labels, count).T
    networks = jax.vmap(lambda g: train(params, train_data, jnp.where(g.sum() > 0, g, 1.0), GROUP_STEPS))(groups)
    scores = jax.vmap(lambda p: jax.vmap(jax.vmap(partial(logit, p)))(test.inputs))(networks)
    return jnp.mean(jnp.einsum("gt,gts->ts", groups, scores) * test.labels > 0)


def study(kind: str) -> dict[str, Any]:
    """Every seed of one kind of family."""
    meta = jax.jit(lambda key, data: train(init(key), data, jnp.ones(TASKS), META_STEPS))
    names = [f"{e}, {'evaluated' if v else 'linearised'}" for e in ("logistic", "ridge") for v in (False, True)]
    estimators = {n: jax.jit(partial(estimate, n.split(",")[0], n.endswith("evaluated"))) for n in names}
    subsets, others, groups = jax.jit(train_subsets), jax.jit(similarities), jax.jit(accuracies, static_argnums=4)
    cluster = jax.jit(make_clustering())
    three = jax.jit(make_clustering(ClusteringConfig(num_groups=3)))
    member, off = np.asarray(SUBSETS), np.triu(np.ones((TASKS, TASKS), bool), 1)
    rows = []
    for seed in range(SEEDS):
        data_key, init_key, key = jax.random.split(jax.random.key(seed), 3)
        train_data, test = make_family(data_key, kind)
        params = meta(init_key, train_data)
        performance, seconds = {}, {}
        runs = {**estimators, **({"trained": subsets} if kind == "planted" else {})}
        for name, function in runs.items():
            arguments = (params, train_data, test) if name == "trained" else (key, params, train_data, test)
            if seed == 0:
                function = function.lower(*arguments).compile()
                estimators.update({name: function}) if name != "trained" else None
                subsets = function if name == "trained" else subsets
            performance[name], seconds[name] = timed(function, *arguments)
        affinity = {name: estimated_affinity(p, SUBSETS) for name, p in performance.items()}
        row: dict[str, Any] = {"seconds": seconds, "performance": {}, "affinity": {}, "groups": {}, "accuracy": {}}
        for name in names if kind == "planted" else ():
            row["performance"][name] = ranks(performance[name], performance["trained"], member)
            row["affinity"][name] = ranks(affinity[name], affinity["trained"], off)
        affinity |= others(key, params, train_data)
        for name, matrix in affinity.items():
            found = cluster(matrix)
            row["groups"][name] = {
                "k": int(found.num_groups),
                "nmi": float(normalised_mutual_information(found.labels, GROUPS)),
                "ari": float(adjusted_rand_index(found.labels, GROUPS)),
            }
            fixed = three(matrix).labels
            row["groups"][name]["ari_at_3"] = float(adjusted_rand_index(fixed, GROUPS))
            if kind == "planted" and name in ("logistic, linearised", "cosine", "random"):
                row["accuracy"][name] = float(groups(params, train_data, test, fixed, 3))
        if kind == "planted":
            row["accuracy"]["one for all"] = float(groups(params, train_data, test, jnp.zeros(TASKS, jnp.int32), 1))
            row["accuracy"]["one per task"] = float(groups(params, train_data, test, jnp.arange(TASKS), TASKS))
        rows.append(row)
        print(kind, seed, row["affinity"], {n: g["k"] for n, g in row["groups"].items()}, flush=True)
    return {"seeds": rows, "affinity": {name: np.asarray(affinity[name]).tolist() for name in affinity}}


def expansion() -> dict[str, Any]:
    """Relative error of log p(label | input) against distance, along the solutions of eight subsets, five seeds."""

    def one(key: jax.Array) -> Any:
        data_key, init_key, key = jax.random.split(key, 3)
        train_data, test = make_family(data_key, "planted")
        params = train(init(init_key), train_data, jnp.ones(TASKS), META_STEPS)
        x = make_estimator()(make_samples(key, params, train_data), SUBSETS[::15], L2_WEIGHT).x
        directions = jax.lax.map(lambda x: jax.tree.map(jnp.subtract, adapted(params, PROJECTION, key, x), params), x)
        scores = lambda p: jax.nn.log_sigmoid(test.labels * jax.vmap(jax.vmap(partial(logit, p)))(test.inputs))  # noqa: E731
        return first_order_error(scores, params, directions, DISTANCES)

    found = [jax.jit(one)(jax.random.key(100 + seed)) for seed in range(5)]
    first, zero = (np.stack([np.asarray(e[i]).mean(axis=1) for e in found]) for i in range(2))
    return {"distance": DISTANCES.tolist(), "first_order": first.tolist(), "zero_order": zero.tolist()}


def squared_losses(params: Any, data: Data) -> jax.Array:
    """Mean squared error of every task, halved."""
    scores = jax.vmap(jax.vmap(partial(logit, params)))(data.inputs)
    return jnp.mean((data.labels - scores) ** 2, axis=-1) / 2


def generalisation(loss: Any) -> list[dict[str, float]]:
    """Hessian trace of the training loss beside the gap, for single tasks and several numbers of samples.

    The measure is √(max(tr H, 0) ‖θ − θ₀‖²/N), the leading term of PAC-Bayes bounds for Gaussian perturbations of
    θ (Ju, Li and Zhang, 2022), up to constants.
    """

    def one(key: jax.Array, samples: int) -> tuple[jax.Array, ...]:
        data_key, init_key, key = jax.random.split(key, 3)
        train_data, test = jax.tree.map(lambda leaf: leaf[:1], make_family(data_key, "own teachers", 512))
        few = jax.tree.map(lambda leaf: leaf[:, :samples], train_data)
        start = init(init_key)
        params = train(start, few, jnp.ones(1), 300, loss)
        trace = hessian_trace(lambda p: loss(p, few)[0], params, key, num_probes=32)
        moved = optax.tree.norm(jax.tree.map(jnp.subtract, params, start))
        return loss(params, test)[0] - loss(params, few)[0], trace.trace, trace.standard_error, moved

    rows = []
    for samples in (64, 128, 256, 512):
        keys = jax.random.split(jax.random.key(samples), 5)
        gap, trace, error, moved = jax.jit(partial(jax.lax.map, partial(one, samples=samples)))(keys)
        measure = jnp.sqrt(jnp.maximum(trace, 0.0) * moved**2 / samples)
        columns = {"gap": gap, "trace": trace, "standard_error": error, "distance": moved, "measure": measure}
        rows += [{"samples": samples, **{n: float(v[i]) for n, v in columns.items()}} for i in range(5)]
    return rows


def summarise(record: dict[str, Any]) -> dict[str, Any]:
    """Means over seeds."""
    table: dict[str, Any] = {}
    for kind in KINDS:
        seeds = record[kind]["seeds"]
        mean = lambda *path: float(np.mean([_at(row, path) for row in seeds]))  # noqa: B023, E731
        table[kind] = {
            name: {
                "groups_found": [row["groups"][name]["k"] for row in seeds],
                **{m: mean("groups", name, m) for m in ("nmi", "ari", "ari_at_3")},
                "exact": float(np.mean([row["groups"][name]["ari"] > 0.999 for row in seeds])),
            }
            for name in seeds[0]["groups"]
        }
        for name in seeds[0]["affinity"]:
            table[kind][name] |= {
                "rank_correlation_performance": mean("performance", name),
                "rank_correlation_affinity": mean("affinity", name),
                "times_quicker_than_training": mean("seconds", "trained") / mean("seconds", name),
            }
        for name in seeds[0]["accuracy"]:
            values = [row["accuracy"][name] for row in seeds]
            found = {"accuracy": float(np.mean(values)), "interval": interval(np.asarray(values))}
            table[kind].setdefault(name, {}).update(found)
    for name in ("logistic", "squared"):
        rows = record[f"generalisation, {name}"]
        gaps, measures = ([row[column] for row in rows] for column in ("gap", "measure"))
        table[f"generalisation, {name}"] = {
            "rank_correlation": float(spearmanr(gaps, measures).statistic),
            "measure_over_gap": np.quantile(np.divide(measures, gaps), [0, 0.5, 1]).tolist(),
        }
    errors = record["expansion"]
    for name in ("first_order", "zero_order"):
        table[name] = dict(zip(errors["distance"], np.mean(errors[name], axis=0).tolist()))
    return table


def _at(row: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        row = row[name]
    return row


def draw(record: dict[str, Any]) -> None:
    """Affinities of the last seed, errors of the expansion, the gap."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    figure = plotting.new_figure(15.0, 3.6)
    panels = figure.subplots(1, 4)
    order = np.argsort(np.asarray(GROUPS), kind="stable")
    for axes, name in zip(panels, ("logistic, linearised", "trained")):
        image = axes.pcolormesh(np.asarray(record["planted"]["affinity"][name])[np.ix_(order, order)])
        axes.set_title(f"affinity, {name}", fontsize=10)
        axes.set_xticks(np.arange(TASKS) + 0.5, order, fontsize=8)
        axes.set_yticks(np.arange(TASKS) + 0.5, order, fontsize=8)
        axes.invert_yaxis()
        figure.colorbar(image, ax=axes, pad=0.02)
    errors = record["expansion"]
    for i, name in enumerate(("first_order", "zero_order")):
        mean = np.mean(errors[name], axis=0)
        panels[2].loglog(errors["distance"], mean, label=name.replace("_", " "), **plotting.series_style(i))
    panels[2].axhline(0.02, color="#8A8A8A", linewidth=0.8)
    plotting.style_axes(panels[2], "‖θ − θ*‖/‖θ*‖", "relative error of log p (line: 2 %)")
    panels[2].legend(frameon=False, fontsize=9)
    for i, name in enumerate(("logistic", "squared")):
        points = [(row["measure"], row["gap"]) for row in record[f"generalisation, {name}"]]
        panels[3].loglog(*zip(*points), label=f"{name} loss", **{**plotting.series_style(i), "linestyle": "none"})
    panels[3].plot((0.4, 4), (0.4, 4), color="#8A8A8A", linewidth=0.8)
    for axis in (panels[3].xaxis, panels[3].yaxis):
        axis.set_major_locator(FixedLocator([0.5, 1, 2, 4]))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_locator(NullLocator())
    plotting.style_axes(panels[3], "√(tr H ‖θ − θ₀‖²/N)", "held-out − training loss (line: equal)")
    panels[3].legend(frameon=False, fontsize=9)
    seeds = len(errors["first_order"])
    plotting.note(
        figure, f"affinities of one seed; errors: means over {seeds} seeds; right: a point per seed and training set"
    )
    plotting.save(figure, RESULTS / "grouping_supervised.png")


def redraw() -> None:
    """The figure again, from the record."""
    draw(json.loads((RESULTS / "grouping_supervised.json").read_text()))


PARTS = {
    **{kind: partial(study, kind) for kind in KINDS},
    "expansion": expansion,
    "generalisation, logistic": partial(generalisation, losses),
    "generalisation, squared": partial(generalisation, squared_losses),
}


def main() -> None:
    """Runs the parts named on the command line, by default all; writes."""
    path = RESULTS / "grouping_supervised.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for part in sys.argv[1:] or PARTS:
        record[part] = PARTS[require_name("part", part, PARTS)]()
        path.write_text(json.dumps(record) + "\n")
    record["summary"] = summarise(record)
    settings = ("TASKS", "SIZE", "INPUTS", "WIDTH", "SAMPLES", "DIMENSION", "META_STEPS", "SUBSET_STEPS", "GROUP_STEPS")
    record["settings"] = {name.lower(): globals()[name] for name in (*settings, "LEARNING_RATE", "L2_WEIGHT", "SEEDS")}
    path.write_text(json.dumps(record) + "\n")
    draw(record)
    print(json.dumps(record["summary"], indent=1))


if __name__ == "__main__":
    main()
