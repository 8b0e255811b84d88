"""How much memory a traced function needs at once: its arrays, each from the equation that makes it to its last use."""

from typing import Any

import numpy as np
from jax.extend import core

__all__ = ["peak_bytes"]


def peak_bytes(jaxpr: core.Jaxpr) -> int:
    """Most bytes that results of a program's equations take at one time, its arguments apart.

    Equations run one after the other; the body of a loop, a branch or a call needs its own peak besides what is alive
    around it. Compilers fuse equations, and so need less, and copy and align, and so need more.

    Args:
        jaxpr: as `jax.make_jaxpr` gives it.
    """
    uses = _last_uses(jaxpr)
    alive: set[Any] = set()
    now = most = 0
    for position, equation in enumerate(jaxpr.eqns):
        inner = max(map(peak_bytes, core.jaxprs_in_params(equation.params)), default=0)
        made = {result for result in equation.outvars if result in uses}
        alive |= made
        now += sum(map(_bytes, made))
        most = max(most, now + inner)
        over = {used for used in equation.invars if not isinstance(used, core.Literal) and uses[used] == position}
        now -= sum(map(_bytes, over & alive))
        alive -= over
    return most


def _last_uses(jaxpr: core.Jaxpr) -> dict[Any, int]:
    """Of every variable that is used, the position of the last equation that does; beyond all for results."""
    uses = {}
    for position, equation in enumerate(jaxpr.eqns):
        uses |= {used: position for used in equation.invars if not isinstance(used, core.Literal)}
    return uses | {result: len(jaxpr.eqns) for result in jaxpr.outvars if not isinstance(result, core.Literal)}


def _bytes(variable: Any) -> int:
    """Of an array; of keys, whose type hides their words, those of the default generator."""
    shape, dtype = variable.aval.shape, variable.aval.dtype
    return int(np.prod(shape)) * getattr(dtype, "itemsize", 8)
