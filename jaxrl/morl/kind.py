"""The kinds `pareto`, a front as the end of a run, and `policy`, one of its policies saved alone."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.ranges import EPISODES
from jaxrl.runs.configuration import Configuration
from jaxrl.runs.kinds import Kind, Material, Outcome, Policies

if TYPE_CHECKING:
    from jaxrl.morl.front import Front
    from jaxrl.pages import Section
    from jaxrl.sweeps.sweep import Sweep
    from jaxrl.training.program import Program

__all__ = ["PARETO", "POLICY", "front_table", "save_policy", "write_front"]

_OPTIONS = {"evaluation_episodes": 64, "discounted": False}


def _build(configuration: Configuration) -> "Program":
    """A study, or a trainer whose sweep over weights is one."""
    from jaxrl.environments.registry import make
    from jaxrl.morl.algorithms import ALGORITHMS, study
    from jaxrl.training.trainer import trainer

    episodes = configuration.options.get("evaluation_episodes", _OPTIONS["evaluation_episodes"])
    EPISODES.check("the episodes of the final evaluation", episodes)
    environment = make(configuration.environment, **configuration.environment_options)
    if environment.spec.num_objectives < 2:
        raise ValueError(f"a Pareto study needs at least 2 objectives, {configuration.environment} has 1")
    build = study if configuration.agent in ALGORITHMS else trainer
    return build(configuration.agent, environment, **configuration.settings)


def _names() -> Iterable[str]:
    from jaxrl.agents import AGENTS
    from jaxrl.morl.algorithms import ALGORITHMS

    return (*AGENTS, *ALGORITHMS)


def _front(swept: "Sweep", configuration: Configuration, num_episodes: int | None = None) -> "Front":
    from jaxrl.morl.front import front

    episodes = num_episodes or configuration.option("evaluation_episodes")
    return front(swept, episodes, configuration.option("discounted"))


def _finish(outcome: Outcome, directory: Path) -> "Front":
    found = _front(outcome.sweep, outcome.configuration)
    write_front(found, directory, _known(outcome.trainer, outcome.configuration))
    return found


def _known(program: "Program", configuration: Configuration) -> np.ndarray | None:
    """The exact front, where it is known."""
    from jaxrl.runs.front_page import known_front

    return known_front(program, configuration, configuration.option("discounted"))


def front_table(found: "Front") -> Any:
    """One row per policy: seed, weights, returns, and whether it is on the front."""
    returns = {f"return_{name}": found.points[:, i] for i, name in enumerate(found.spec.objective_names)}
    return found.labels.assign(on_front=found.on_front, **returns)


def write_front(found: "Front", directory: Path, known: np.ndarray | None = None) -> None:
    """Tables and figure of a Pareto study, beside the exact front where it is `known`."""
    from jaxrl.runs.report import write_table

    write_table(front_table(found), directory / "front.csv")
    write_table(found.measures, directory / "measures.csv")
    _draw_front(found.points, found.spec, directory, known)


def _draw_front(points: np.ndarray, spec: Any, directory: Path, known: np.ndarray | None) -> None:
    from jaxrl.figures import plotting
    from jaxrl.runs.report import figures

    if len(points):
        figure = plotting.front(points, spec.objective_names, spec.reference_point, known, title=spec.name)
        plotting.save(figure, figures(directory) / "front.png")


def _draw(table: Any, program: "Program", configuration: Configuration, directory: Path) -> None:
    """The front; until there is one, curves of what is measured along the way."""
    import pandas

    from jaxrl.runs.report import draw_curves

    spec = program.environment.spec
    if (directory / "front.csv").exists():
        points = pandas.read_csv(directory / "front.csv")[[f"return_{name}" for name in spec.objective_names]]
        _draw_front(points.to_numpy(np.float32), spec, directory, _known(program, configuration))
    else:
        draw_curves(table, program, directory)


def _page(material: Material) -> list["Section"]:
    """The explorer of the front."""
    from jaxrl.runs.front_page import study_sections

    return study_sections(material, _known(material.program, material.configuration))


def _describe(outcome: Outcome) -> str:
    """The front, its measures, and what the algorithm says of itself at the end, such as the gap that is left."""
    from jaxrl.runs.tables import as_text

    found, spec, names = outcome.found, outcome.trainer.environment.spec, outcome.trainer.diagnostics
    rows = front_table(found)
    on_front = rows[rows["on_front"]].drop(columns="on_front").sort_values(f"return_{spec.objective_names[0]}")
    text = (
        f"Pareto front of {spec.name}: {len(on_front)} of {len(rows)} policies\n{as_text(on_front)}\n\n"
        f"Measures (reference point {spec.reference_point})\n{as_text(found.measures)}"
    )
    if not names:
        return text
    last = outcome.sweep.table.groupby("member").tail(1)
    return f"{text}\n\nAt the end\n{as_text(last[['seed', 'setting', 'steps', *names]])}"


def _policies(directory: Path, configuration: Configuration) -> Policies:
    """Those of the front and those that it dominates, in the order of front.csv."""
    from jaxrl.morl.front import choose
    from jaxrl.runs.saved import load_sweep

    found = _front(load_sweep(directory), configuration)
    count = len(found.points)
    if not count:
        raise ValueError(f"the front of {found.spec.name} is empty: the study found no policy")

    def existing(index: int) -> int:
        if not 0 <= index < count:
            raise IndexError(f"policy {index} does not exist: this study has policies 0 to {count - 1}")
        return index

    return Policies(
        count,
        lambda index: found.policy(existing(index)),
        lambda index: found.source(existing(index)),
        lambda index, to: save_policy(found, existing(index), to),
        partial(choose, found),
    )


def save_policy(found: "Front", index: int, directory: str | Path) -> None:
    """Writes one policy of a front as a run directory of its own, without the history of the study.

    Raises:
        ValueError: if the trainer was built from a custom agent, or the study of no registered algorithm: they have no
            name to record.
    """
    from jaxrl.morl.study import Study
    from jaxrl.runs.trained import save_policy_of, write_run

    built, policy = found.source(index), found.policy(index)
    if not isinstance(built, Study):
        save_policy_of(built, policy, directory)
        return
    if built.rebuild is None:
        raise ValueError("a study of no registered algorithm has no name to record; save the policy's state")
    write_run("policy", built.algorithm, built, 0, (policy.state, policy.hyperparameters), directory)


def _saved(directory: Path, configuration: Configuration) -> Policies:
    """The policy that `save_policy` wrote."""
    from jaxrl.runs.trained import restore_alone
    from jaxrl.training.policy import Policy

    built = _build(configuration)

    def alone(key: Any) -> tuple:
        state = built.init(key, built.hyperparameters)
        player = built.actor(state, built.hyperparameters)
        return built.policy(state, built.hyperparameters, 0) if player is None else tuple(player[1:])

    def save(_: int, to: Path) -> None:
        raise ValueError(f"{directory} is a single policy already")

    return Policies(
        1, lambda _: Policy(built.agent, *restore_alone(directory, alone)), lambda _: built, save, alone=True
    )


def _refuse(built: "Program", configuration: Configuration, directory: Path, options: Any) -> Outcome:
    raise ValueError(f"{directory} holds one policy of a study: there is no run to go on with or to draw")


def _measures(outcome: Outcome, num_episodes: int) -> Any:
    """The final front's measures of every seed."""
    table = outcome.found.measures
    return table[table["seed"] != "all"].reset_index(drop=True)


def _found(directory: Path, configuration: Configuration, program: "Program", num_episodes: int | None) -> "Front":
    """The front as it was written, or of fresh episodes."""
    import pandas

    from jaxrl.morl.front import Front
    from jaxrl.runs.saved import load_sweep

    if num_episodes is not None:
        return _front(load_sweep(directory), configuration, num_episodes)
    spec, table = program.environment.spec, pandas.read_csv(directory / "front.csv")
    points = table[[f"return_{name}" for name in spec.objective_names]].to_numpy(np.float32)
    on_front = table["on_front"].to_numpy(bool)
    members = np.flatnonzero(on_front)
    measures = pandas.read_csv(directory / "measures.csv", dtype={"seed": str})
    labels = table[[name for name in table if name == "seed" or name.startswith(("member", "weight_"))]]
    policies = partial(_policies, directory, configuration)
    return Front(
        points, on_front, members[np.argsort(points[members, 0], kind="stable")], measures, labels, spec,
        lambda index: policies().policy(index), lambda index: policies().program(index),
    )  # fmt: skip


def _protocol(program: "Program", configuration: Configuration) -> dict[str, Any]:
    """Discount, horizon, reference point and weights of the measures, and the episodes of the final evaluation."""
    from jaxrl.morl.problem import make_problem

    problem = getattr(program, "problem", None)
    if problem is None:
        discount = None if configuration.option("discounted") else 1.0
        problem = make_problem(program.environment, discount=discount, reference_needed=False)
    names = ("discount", "horizon", "reference_point", "num_weights")
    episodes = configuration.option("evaluation_episodes")
    return {**{name: getattr(problem, name) for name in names}, "evaluation_episodes": episodes}


def _compare(outcomes: Mapping[str, Outcome], environment: str, folder: Path) -> None:
    """The attainment of two objectives by every algorithm."""
    from jaxrl.figures import plotting

    fronts = {name: outcome.found for name, outcome in outcomes.items()}
    spec = next(iter(fronts.values())).spec
    if spec.num_objectives != 2 or not any(len(found.points) for found in fronts.values()):
        return
    runs = {name: _by_seed(found) for name, found in fronts.items()}
    figure = plotting.attainment(runs, spec.objective_names, title=environment)
    plotting.save(figure, folder / f"{environment.replace('/', '-')}_attainment.png")


def _by_seed(found: "Front") -> list[np.ndarray]:
    """The points of every seed, also of those that found none."""
    own = found.labels["seed"].to_numpy().astype(str)
    return [found.points[own == seed] for seed in found.measures["seed"] if seed != "all"]


PARETO = Kind(
    "pareto",
    "a Pareto front: one agent under many preference weights, or an algorithm of its own",
    _build,
    _names,
    options=_OPTIONS,
    finish=_finish,
    draw=_draw,
    page=_page,
    describe=_describe,
    policies=_policies,
    measures=_measures,
    found=_found,
    protocol=_protocol,
    compare=_compare,
    command="jaxrl.cli.pareto:PARETO",
)
POLICY = Kind(
    "policy",
    "one policy of a study, saved alone",
    _build,
    _names,
    drive=_refuse,
    policies=_saved,
)
