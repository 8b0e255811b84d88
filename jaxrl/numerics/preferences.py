"""What a user asks of a policy: preference weights, and least returns."""

import math
from collections.abc import Mapping, Sequence

from jaxrl.errors import require_name
from jaxrl.numerics.weights import validate
from jaxrl.ranges import UNBOUNDED

__all__ = ["check_preferences"]


def check_preferences(
    names: Sequence[str],
    task: str,
    weights: Sequence[float] | None = None,
    at_least: Mapping[str | int, float | int] | None = None,
) -> dict[int, float]:
    """Whether preferences are about the objectives that there are; returns the bounds by number of the objective.

    Args:
        names: of the objectives.
        task: what they are objectives of, for errors.
        weights: preference weights, or None.
        at_least: least returns, by objective's name or index.

    Raises:
        ValueError: for a bound that is no number, an index that does not exist, or weights outside the simplex.
        UnknownNameError: for an unknown objective.
    """
    bounds: dict[int, float] = {}
    for name, bound in (at_least or {}).items():
        UNBOUNDED.check(f"the least return of {name}", bound)
        index = name if isinstance(name, int) else [*names].index(require_name("objective", name, names))
        if not 0 <= index < len(names):
            raise ValueError(f"objective {index} does not exist: {task} has 0 to {len(names) - 1}")
        bounds[index] = max(float(bound), bounds.get(index, -math.inf))
    if weights is not None:
        validate(weights, len(names))
    return bounds
