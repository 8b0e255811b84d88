"""From a configuration to what can be run: its program, and the members that it asks for."""

from typing import Any

from jaxrl.errors import require_name
from jaxrl.runs.configuration import Configuration
from jaxrl.runs.kinds import KINDS
from jaxrl.sweeps import designs
from jaxrl.sweeps.sweep import Plan, plan_sweep
from jaxrl.training.program import Program, check_program

__all__ = ["build", "parse_range", "plan"]


def build(configuration: Configuration) -> Program:
    """The program of a configuration."""
    built = KINDS[configuration.kind].build(configuration)
    check_program(built)
    return built


def plan(built: Program, configuration: Configuration) -> Plan:
    """The members that a configuration asks for, all checked."""
    count = configuration.weights
    if isinstance(count, int) and count > 1 and len(built.objective_names) == 1:
        raise ValueError(f"{count} preference weights of one objective are equal: use seeds for more runs")
    return plan_sweep(
        built,
        seeds=configuration.seeds,
        hyperparameters={name: parse_range(value) for name, value in configuration.hyperparameters.items()},
        weights=configuration.weights,
        design=configuration.design,
        samples=configuration.samples,
    )


def parse_range(value: Any) -> Any:
    """`log:low:high`, `uniform:low:high` and `int:low:high` as ranges; anything else as it is."""
    if not isinstance(value, str):
        return value
    kind, *bounds = value.split(":")
    require_name("range", kind, ("log", "uniform", "int"))
    if len(bounds) != 2:
        raise ValueError(f"a range is written {kind}:low:high, got {value!r}")
    number = int if kind == "int" else float
    try:
        low, high = map(number, bounds)
    except ValueError:
        what = "integers" if kind == "int" else "numbers"
        raise ValueError(f"the bounds of a range {kind}:low:high are {what}, got {value!r}") from None
    return {"int": designs.Integer, "log": designs.LogUniform, "uniform": designs.Uniform}[kind](low, high)
