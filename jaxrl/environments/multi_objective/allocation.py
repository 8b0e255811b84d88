"""Allocation: a budget is divided among many objectives with diminishing returns, one objective after the other.

Its Pareto front, its convex coverage set (the same) and their hypervolume are known in closed form for any
number of objectives, any budget and any discount.
"""

from functools import partial
from itertools import combinations
from math import comb
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Box, Discrete
from jaxrl.environments.transforms import action_mask as with_mask
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["AllocationParams", "AllocationState", "allocation", "front", "front_hypervolume"]

# Each further unit brings this share of what the one before brought; the whole budget brings _HIGHEST.
_DECAY = 0.7
_HIGHEST = 10.0
_REFERENCE = -1.0


class AllocationParams(NamedTuple):
    """What may be swept.

    Attributes:
        value: what 0, 1, … units of the budget bring in each objective; by default 0 to 10, each unit bringing
            0.7 of what the one before brought.
    """

    value: Float[Array, "objective units"]


class AllocationState(NamedTuple):
    """Whose turn it is, the number of objectives after the end, and how much of the budget is left."""

    turn: Int[Array, ""]
    remaining: Int[Array, ""]


def allocation(num_objectives: int = 3, budget: int = 6, action_mask: bool = False) -> Environment:
    """Builds the allocation of `budget` units to `num_objectives` objectives in as many steps.

    rₜ = f(nₜ) eₜ with f(n) = 10 (1 − 0.7ⁿ) / (1 − 0.7ᵇ): at step t objective t receives nₜ = min(action, units left),
    is paid at once, and what is left goes on to the next. As f is strictly concave, linear preferences spread the
    budget, and every way to spend all of it is the only best one for some of them.

    Observation: whose turn it is (one-hot, zeros after the end) and the share of the budget left, numbers in
    [0, 1]. Actions: how many units to give, 0 to `budget`. The episode ends after `num_objectives` steps.

    Args:
        num_objectives: at least 2.
        budget: units, at least 1; the front has C(budget + num_objectives − 1, num_objectives − 1) points.
        action_mask: whether observations are a `Dict` of that observation and the part `action_mask`, which allows what
            is left to give. The returns that can be had are the same.

    Raises:
        ValueError: for sizes out of range.
    """
    _require_sizes(num_objectives, budget)
    spec = EnvironmentSpec(
        name=f"mo/allocation-{num_objectives}",
        observation=Box(0.0, 1.0, (num_objectives + 1,)),
        action=Discrete(budget + 1),
        num_objectives=num_objectives,
        time_limit=num_objectives,
        objective_names=tuple(f"site_{i + 1}" for i in range(num_objectives)),
        reference_point=(_REFERENCE,) * num_objectives,
        discount=0.99,
    )
    value = jnp.asarray(np.tile(_values(budget), (num_objectives, 1)), jnp.float32)
    sizes = (num_objectives, budget)
    environment = Environment(partial(_reset, *sizes), partial(_step, *sizes), AllocationParams(value), spec)
    return with_mask(environment, partial(_affordable, budget)) if action_mask else environment


def _affordable(budget: int, state: AllocationState, params: AllocationParams) -> Bool[Array, " action"]:
    return jnp.arange(budget + 1) <= state.remaining


def front(num_objectives: int, discount: float, budget: int = 6) -> np.ndarray:
    """The Pareto front, which is also the convex coverage set.

    {(γⁱ f(nᵢ))ᵢ : nᵢ ∈ ℕ, Σᵢ nᵢ = budget}. None dominates another, because a unit more somewhere is one less
    elsewhere; and wᵢ ∝ 1 / (γⁱ λᵢ) with λᵢ between what the last and the next unit of objective i bring make
    the greedy choice of the best unit, which is optimal for concave f, stop at (nᵢ) alone.

    Args:
        num_objectives: at least 2.
        discount: γ in (0, 1].
        budget: units, at least 1.

    Returns:
        `[point, objective]`, float64, in lexicographic order of units.

    Raises:
        ValueError: for sizes or a discount out of range.
    """
    value = _discounted_values(num_objectives, discount, budget)
    # Units are the runs of stars between successive bars.
    slots = budget + num_objectives - 1
    bars = np.fromiter(
        (bar for bars in combinations(range(slots), num_objectives - 1) for bar in bars),
        int,
        count=comb(slots, num_objectives - 1) * (num_objectives - 1),
    ).reshape(-1, num_objectives - 1)
    edges = np.column_stack([np.full(len(bars), -1), bars, np.full(len(bars), slots)])
    units = np.diff(edges, axis=1) - 1
    return value[np.arange(num_objectives), units]


def front_hypervolume(
    num_objectives: int, discount: float, budget: int = 6, reference: tuple[float, ...] | None = None
) -> float:
    """The hypervolume of `front`, without its points.

    The dominated region falls into cells, one for each vector of levels (lᵢ), and a cell belongs to it exactly if
    Σᵢ lᵢ ≤ budget. With Δᵢ(l) the length of level l in objective i, where level 0 is what lies between the
    reference and 0, HV = Σ_{b ≤ budget} [zᵇ] Πᵢ Σₗ Δᵢ(l) zˡ: a product of polynomials, O(num_objectives · budget²).

    Args:
        num_objectives: at least 2.
        discount: γ in (0, 1].
        budget: units, at least 1.
        reference: one non-positive entry per objective; default −1 each, as in the spec.

    Raises:
        ValueError: for sizes, a discount or a reference out of range.
    """
    value = _discounted_values(num_objectives, discount, budget)
    corner = np.full(num_objectives, _REFERENCE) if reference is None else np.asarray(reference, np.float64)
    if corner.shape != (num_objectives,) or np.any(corner > 0.0):
        raise ValueError(f"reference needs {num_objectives} entries of at most 0, got {reference}")
    product = np.ones(1)
    for lengths in np.diff(np.column_stack([corner, value]), axis=1):
        product = np.convolve(product, lengths)[: budget + 1]
    return float(product.sum())


def _require_sizes(num_objectives: int, budget: int) -> None:
    for name, size, least in (("num_objectives", num_objectives, 2), ("budget", budget, 1)):
        if size < least:
            raise ValueError(f"{name} must be at least {least}, got {size}")


def _values(budget: int) -> np.ndarray:
    """f(0), …, f(budget)."""
    return _HIGHEST * (1.0 - _DECAY ** np.arange(budget + 1)) / (1.0 - _DECAY**budget)


def _discounted_values(num_objectives: int, discount: float, budget: int) -> np.ndarray:
    _require_sizes(num_objectives, budget)
    if not 0.0 < discount <= 1.0:
        raise ValueError(f"discount must lie in (0, 1], got {discount}")
    return discount ** np.arange(num_objectives)[:, None] * _values(budget)


def _reset(
    num_objectives: int, budget: int, key: PRNGKeyArray, params: AllocationParams
) -> tuple[AllocationState, Float[Array, " feature"]]:
    state = AllocationState(jnp.zeros((), jnp.int32), jnp.full((), budget, jnp.int32))
    return state, _observe(num_objectives, budget, state)


def _step(
    num_objectives: int,
    budget: int,
    key: PRNGKeyArray,
    state: AllocationState,
    action: Int[Array, ""],
    params: AllocationParams,
) -> tuple[AllocationState, Timestep]:
    # A step past the end, which only a caller that ignores `terminated` takes, pays nothing.
    is_turn = jnp.arange(num_objectives) == state.turn
    units = jnp.minimum(jnp.asarray(action, jnp.int32), state.remaining)
    reward = jnp.where(is_turn, params.value[:, units], 0.0)
    state = AllocationState(jnp.minimum(state.turn + 1, num_objectives), state.remaining - units)
    terminated = state.turn == num_objectives
    return state, Timestep(_observe(num_objectives, budget, state), reward, terminated, jnp.array(False), {})


def _observe(num_objectives: int, budget: int, state: AllocationState) -> Float[Array, " feature"]:
    is_turn = jnp.arange(num_objectives) == state.turn
    return jnp.append(is_turn.astype(jnp.float32), state.remaining / budget)
