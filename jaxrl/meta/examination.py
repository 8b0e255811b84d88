"""What a finished meta-study has learned, laid open: figures and tables of its objectives."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.agents.trajectory import OBJECTIVES
from jaxrl.figures.figure import save
from jaxrl.meta import pictures
from jaxrl.meta.distillation import distil
from jaxrl.meta.microscope import (
    SurrogateSlopes,
    TargetResponse,
    response_table,
    slopes_table,
    surrogate_slopes,
    target_response,
)
from jaxrl.meta.study import MetaStudy
from jaxrl.objectives.base import Surrogate
from jaxrl.objectives.surrogate import make_surrogate
from jaxrl.objectives.trajectory import TrajectoryObjective, advantage_actor_critic
from jaxrl.types import PyTree

if TYPE_CHECKING:
    import pandas

    from jaxrl.sweeps.result import Sweep

__all__ = ["examine"]

RATIOS, ADVANTAGES = np.geomspace(1 / 3, 3.0, 41), np.linspace(-3.0, 3.0, 41)
PROGRESS = (0.0, 0.5, 0.95)
DELAYS, DISCOUNTS = range(21), (0.9, 0.99)


def examine(swept: "Sweep | str | Path", directory: str | Path) -> "dict[str, pandas.DataFrame]":
    """Draws what the members of a meta-study have learned beside hand-written objectives, and writes the numbers.

    For a surrogate: slopes.png (loss, drift and ∂L/∂r over ratio and advantage, beside clip and drift), slopes.csv, and
    distilled.csv (DPO's α and β, and how well they and a table stand for it). For a trajectory objective: response.png,
    response.csv (π̂ and ŷ against the delay of a reward, beside A2C), and prediction.png where ŷ is categorical.

    Args:
        swept: a sweep of a meta-study, or the run directory of one.
        directory: where to; made where it is missing.

    Returns:
        The tables, by the stem of their file; a column `member` tells what was learned apart.

    Raises:
        ValueError: for anything but a meta-study of the leaf "objective" of an agent with a surrogate or a trajectory
            objective, or a surrogate that reads divergences.
    """
    if isinstance(swept, str | Path):
        from jaxrl.meta.kind import load_meta_training

        swept = load_meta_training(swept)
    study = swept.trainer
    if not isinstance(study, MetaStudy):
        raise ValueError("only a meta-study has learned an objective; this is a sweep of another kind")
    if study.leaf != "objective":
        raise ValueError(f"this study learned the leaf {study.leaf!r}; only learned objectives can be examined")
    config, values = study.trainer.agent.config, [swept.learned(member) for member in range(swept.num_members)]
    directory, horizon = Path(directory), float(study.tasks.max_horizon)
    if hasattr(config, "surrogate"):
        tables = _examine_surrogates(make_surrogate(config.surrogate), values, horizon, directory)
    elif hasattr(config, "trajectory_objective"):
        tables = _examine_rules(_rule(config), values, horizon, directory)
    else:
        raise ValueError(
            f"the agent {study.trainer.agent_name!r} has neither a surrogate nor a trajectory objective to examine"
        )
    for name, table in tables.items():
        table.to_csv(directory / f"{name}.csv", index=False, float_format="%.5g")
    return tables


def _rule(config: Any) -> TrajectoryObjective:
    objective = config.trajectory_objective
    if isinstance(objective, TrajectoryObjective):
        return objective
    return OBJECTIVES[objective](config.num_outputs, config.objective_size)


def _labelled(entries: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without the number where there is but one."""
    return entries if len(entries) > 1 else {"learned": next(iter(entries.values()))}


def _examine_surrogates(
    surrogate: Surrogate, values: list[PyTree], horizon: float, directory: Path
) -> "dict[str, pandas.DataFrame]":
    learned = {f"learned {i}": _view(surrogate, value, horizon) for i, value in enumerate(values)}
    written = {name: make_surrogate(name) for name in ("clip", "drift")}
    known = {name: surrogate_slopes(one, one.init(None), RATIOS, ADVANTAGES) for name, one in written.items()}
    drawn = {**_labelled(learned), "clip (PPO)": known["clip"], "drift (DPO)": known["drift"]}
    save(pictures.slopes(drawn), directory / "slopes.png")
    moments = next(iter(learned.values())).progress
    rows = [
        {"member": i, "progress": float(moment), **_distilled(surrogate, value, float(moment), horizon)}
        for i, value in enumerate(values)
        for moment in moments
    ]
    import pandas

    return {"slopes": _stack([slopes_table(entry) for entry in learned.values()]), "distilled": pandas.DataFrame(rows)}


def _view(surrogate: Surrogate, value: PyTree, horizon: float) -> SurrogateSlopes:
    """All slices of progress, or the first where it makes no difference."""
    found = surrogate_slopes(surrogate, value, RATIOS, ADVANTAGES, PROGRESS, horizon)
    if not np.array_equal(found.loss[:1].repeat(len(PROGRESS), 0), found.loss):
        return found
    return SurrogateSlopes(found.ratios, found.advantages, *(leaf[:1] for leaf in found[2:]))


def _distilled(surrogate: Surrogate, value: PyTree, progress: float, horizon: float) -> dict[str, float]:
    found = distil(surrogate, value, progress=progress, horizon=horizon)
    row = {name: float(leaf) for name, leaf in found.parameters.items()}
    for form, report in found.report.items():
        for where in ("within", "beyond"):
            row |= {f"{form}_{where}_{name}": number for name, number in report[where].items()}
        row |= {f"{form}_{name}": number for name, number in report["conditions"].items()}
    return row


def _examine_rules(
    rule: TrajectoryObjective, values: list[PyTree], horizon: float, directory: Path
) -> "dict[str, pandas.DataFrame]":
    learned = {f"learned {i}": _response(rule, value, horizon) for i, value in enumerate(values)}
    a2c = advantage_actor_critic()
    known = target_response(a2c, a2c.init(None), DELAYS, discounts=DISCOUNTS)
    named = _labelled(learned)
    save(pictures.responses({**named, "A2C": known}), directory / "response.png")
    if rule.num_outputs > 1:
        save(pictures.predictions(named, probability=1), directory / "prediction.png")
    return {"response": _stack([response_table(entry) for entry in learned.values()])}


def _response(rule: TrajectoryObjective, value: PyTree, horizon: float) -> TargetResponse:
    found = target_response(
        rule, value, DELAYS, discounts=DISCOUNTS, progress=PROGRESS, horizons=sorted({max(1.0, horizon / 5), horizon})
    )
    if not np.array_equal(np.broadcast_to(found.policy[:1, :1], found.policy.shape), found.policy):
        return found
    return found._replace(
        progress=found.progress[:1],
        horizons=found.horizons[-1:],
        policy=found.policy[-1:, :1],
        output=found.output[-1:, :1],
    )


def _stack(tables: "list[pandas.DataFrame]") -> "pandas.DataFrame":
    import pandas

    return pandas.concat([table.assign(member=i) for i, table in enumerate(tables)], ignore_index=True)
