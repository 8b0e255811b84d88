"""A drift that is a table over log ratio and advantage."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp

from jaxrl.objectives.base import Surrogate, SurrogateInputs
from jaxrl.types import Array, Float, Int, PyTree

__all__ = ["table_drift"]


Limit = float | Float[Array, ""]


def table_drift(values: Float[Array, "log_ratio advantage"], max_log_ratio: Limit, max_advantage: Limit) -> Surrogate:
    """-(r A - f) with f = (log r)² g, g ≥ 0 interpolated bilinearly from a table over (log r, A), held at its edges.

    f ≥ 0, and f and its gradient vanish at r = 1, whatever the table: the conditions of mirror learning.

    Parameters: `table [log_ratio, advantage]`, read as relu(table) over even knots on [-max, max] of both axes.

    Args:
        values: the table.
        max_log_ratio, max_advantage: > 0, ends of its axes.

    Raises:
        ValueError: for fewer than two knots on an axis.
    """
    if min(values.shape) < 2:
        raise ValueError(f"a table needs at least 2 knots on both axes, got {values.shape}")
    apply = partial(_apply_table, max_log_ratio, max_advantage)
    return Surrogate(lambda key: {"table": values}, apply)


def _apply_table(
    max_log_ratio: Limit, max_advantage: Limit, inputs: SurrogateInputs, parameters: Mapping[str, Array], state: PyTree
) -> Float[Array, "*batch"]:
    table = jax.nn.relu(parameters["table"])
    advantage = jnp.broadcast_to(inputs.advantage, inputs.log_ratio.shape)
    row, up = _knots(inputs.log_ratio, max_log_ratio, table.shape[0])
    column, right = _knots(advantage, max_advantage, table.shape[1])
    low = (1.0 - right) * table[row, column] + right * table[row, column + 1]
    high = (1.0 - right) * table[row + 1, column] + right * table[row + 1, column + 1]
    return inputs.log_ratio**2 * ((1.0 - up) * low + up * high) - jnp.exp(inputs.log_ratio) * advantage


def _knots(
    values: Float[Array, "*batch"], limit: Limit, count: int
) -> tuple[Int[Array, "*batch"], Float[Array, "*batch"]]:
    """The knot below each value, and how far it is to the next, in [0, 1]."""
    place = jnp.clip((values + limit) / (2.0 * limit) * (count - 1), 0.0, count - 1.0)
    below = jnp.clip(jnp.floor(jax.lax.stop_gradient(place)).astype(jnp.int32), 0, count - 2)
    return below, place - below
