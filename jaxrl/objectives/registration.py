"""Losses of users, by name: `surrogate="my_loss"`, `trajectory_objective="my_objective"`, in the shell, too."""

from collections.abc import Callable
from typing import Any

from jaxrl.objectives.surrogate import SURROGATES, Surrogate
from jaxrl.objectives.trajectory import OBJECTIVES, TrajectoryObjective
from jaxrl.plugins import module_of

__all__ = ["register_objective"]


def register_objective(name: str, build: Callable[[], Surrogate | TrajectoryObjective] | None = None) -> Any:
    """Makes a loss available by name; also a decorator, `@jaxrl.register_objective("my_loss")`.

    Args:
        name: for `surrogate=` of on-policy agents, or `trajectory_objective=` of `lpg`.
        build: `() -> Surrogate` or `() -> TrajectoryObjective`.

    Returns:
        `build`, or the decorator that registers one.

    Raises:
        ValueError: if the name is taken or `build` returns something else.
    """
    SURROGATES.check_name(name)
    if build is None:
        return lambda build: register_objective(name, build)
    made = build() if callable(build) else build
    module = module_of(build)
    if isinstance(made, Surrogate):
        SURROGATES.register(name, build, module)
    elif isinstance(made, TrajectoryObjective):
        OBJECTIVES.register(name, lambda num_outputs, objective_size: made, module)
    else:
        kind = type(made).__name__
        raise ValueError(
            f"objective {name!r}: build() must return a Surrogate or TrajectoryObjective, it returns {kind}"
        )
    return build
