"""What can be wrong with observations: their form, their values, and what their masks leave to be done."""

from typing import Any

import jax
import numpy as np

from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.masks import legal_actions
from jaxrl.environments.parts import has_parts, parts_of, shapes
from jaxrl.environments.spaces import Box, MultiDiscrete
from jaxrl.types import PyTree

__all__ = ["describe", "form_faults", "leaves_of", "mask_faults", "value_faults"]


def describe(leaf: Any) -> str:
    """Type and shape."""
    return f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "dtype") else type(leaf).__name__


def leaves_of(tree: PyTree) -> dict[str, str]:
    """What each leaf is, by its path: leaves are compared and not nodes, whose classes may compare in their own way."""
    return {jax.tree_util.keystr(path): describe(leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def form_faults(spec: EnvironmentSpec, observation: PyTree) -> list[str]:
    """How the shapes of an observation differ from what the spec says."""
    expected = shapes(spec.observation)
    said, found = leaves_of(expected), leaves_of(observation)
    if said == found and jax.tree.structure(expected) == jax.tree.structure(observation):
        return []
    if said.keys() == found.keys():
        wrong = {path: kind for path, kind in found.items() if kind != said[path]}
        if wrong:
            return [f"observation{path} is {kind}, spec.observation says {said[path]}" for path, kind in wrong.items()]
    hint = "" if has_parts(spec.observation) else "; a Dict describes a dict of arrays, a Tuple a tuple"
    return [f"an observation is {_form(observation)}, spec.observation says {_form(expected)}{hint}"]


def _form(tree: PyTree) -> str:
    """What a tree is: of several arrays, its class and their paths."""
    if hasattr(tree, "dtype") or not jax.tree.leaves(tree):
        return describe(tree)
    return f"a {type(tree).__name__} of {', '.join(f'{path}: {kind}' for path, kind in leaves_of(tree).items())}"


def value_faults(spec: EnvironmentSpec, observations: dict[str, PyTree]) -> list[str]:
    """What is wrong with observations, by what gave them, under leading axes."""
    leaves = {source: jax.tree.leaves(observation) for source, observation in observations.items()}
    faults = []
    for index, (path, space) in enumerate(parts_of(spec.observation).items()):
        faults += _part_faults(path, space, {source: values[index] for source, values in leaves.items()})
    return faults


def _part_faults(path: str, space: Any, values: dict[str, np.ndarray]) -> list[str]:
    name = f"an observation's {path!r}" if path else "an observation"
    if not all(np.all(np.isfinite(value)) for value in values.values()):
        return [f"{name} is not finite under random actions"]
    if isinstance(space, Box) and not space.bounded:
        return []
    return [
        f"{name} from {source} lies outside {space}: min {value.min():.4g}, max {value.max():.4g}"
        for source, value in values.items()
        if not space.contains(value)
    ]


def mask_faults(spec: EnvironmentSpec, observations: dict[str, PyTree]) -> list[str]:
    """Whether an observation that is acted on leaves nothing to do."""
    if spec.action_mask is None:
        return []
    sizes = spec.action.sizes if isinstance(spec.action, MultiDiscrete) else (spec.action.n,)
    faults = []
    for source, observation in observations.items():
        legal = np.asarray(legal_actions(spec, observation))
        choices = np.split(legal, np.cumsum(sizes)[:-1], axis=-1)
        stuck = [index for index, allowed in enumerate(choices) if not np.all(np.any(allowed, axis=-1))]
        if stuck:
            choice = f" for choice {stuck[0]} of {spec.action}" if len(sizes) > 1 else ""
            faults.append(
                f"an observation from {source} has no legal action{choice} (spec.action_mask is {spec.action_mask!r}): "
                "end the episode where nothing can be done"
            )
    return faults
