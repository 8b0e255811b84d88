"""Fruit tree navigation: a full binary tree whose leaves hold vectors of six nutrients."""

from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Discrete, MultiDiscrete
from jaxrl.types import Array, Float, Int, PRNGKeyArray

__all__ = ["FruitTreeParams", "FruitTreeState", "fruit_tree"]

_DEPTHS = (5, 6, 7)
_NUTRIENTS = ("protein", "carbohydrates", "fats", "vitamins", "minerals", "water")


class FruitTreeParams(NamedTuple):
    """What may be swept.

    Attributes:
        leaves: reward of each leaf from left to right, 2ᵈ leaves; 0 to 10 by default.
    """

    leaves: Float[Array, "leaf objective"]


class FruitTreeState(NamedTuple):
    """Level of the node, the root's being 0, and its index from the left within that level."""

    node: Int[Array, "2"]


def fruit_tree(depth: int = 6) -> Environment:
    """Builds the fruit tree of depth 5, 6 or 7.

    r = leaf vector on arrival at a leaf, which ends the episode after `depth` steps; 0 before.

    Source: Yang et al., 2019 (arXiv 1908.08342). Every leaf is optimal for some weights.
    Observation: (level, index), `MultiDiscrete`. Actions: left child, right child.

    Raises:
        ValueError: for a depth without a table of leaves.
    """
    if depth not in _DEPTHS:
        raise ValueError(f"fruit tree depth must be one of {_DEPTHS}, got {depth}")
    spec = EnvironmentSpec(
        name=f"mo/fruit-tree-{depth}",
        observation=MultiDiscrete((depth + 1, 2**depth)),
        action=Discrete(2),
        num_objectives=len(_NUTRIENTS),
        time_limit=depth,
        objective_names=_NUTRIENTS,
        reference_point=(-1.0,) * len(_NUTRIENTS),
        discount=0.99,
    )
    return Environment(_reset, partial(_step, depth), FruitTreeParams(jnp.asarray(_leaves(depth))), spec)


@lru_cache
def _leaves(depth: int) -> np.ndarray:
    table = np.loadtxt(Path(__file__).with_name("fruit_tree.csv"), delimiter=",")
    return table[table[:, 0] == depth, 1:].astype(np.float32)


def _reset(key: PRNGKeyArray, params: FruitTreeParams) -> tuple[FruitTreeState, Int[Array, "2"]]:
    root = jnp.zeros(2, jnp.int32)
    return FruitTreeState(root), root


def _step(
    depth: int, key: PRNGKeyArray, state: FruitTreeState, action: Int[Array, ""], params: FruitTreeParams
) -> tuple[FruitTreeState, Timestep]:
    level, index = state.node[0], state.node[1]
    child = jnp.stack([level + 1, 2 * index + jnp.asarray(action, jnp.int32)])
    # A step past a leaf, which only a caller that ignores `terminated` takes, stays in it.
    node = jnp.where(level < depth, child, state.node)
    terminated = node[0] == depth
    reward = jnp.where(terminated, params.leaves[node[1]], 0.0)
    return FruitTreeState(node), Timestep(node, reward, terminated, jnp.array(False), {})
