"""How active the neurons of a network are, and where in it a tensor lies: what a learned optimiser reads."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.networks.layers import ACTIVATIONS
from jaxrl.types import Array, Float, PyTree

__all__ = ["Place", "layer_places", "mean_size", "module_activity"]


class Place(NamedTuple):
    """Where a tensor lies in an actor-critic, or in a network of action values, which counts as a critic.

    Attributes:
        actor: whether in the actor, not the critic.
        proportion: of the layers before its own, in [0, 1]; 0 for the first, 1 for the last.
    """

    actor: bool
    proportion: float


def layer_places(params: PyTree) -> list[Place]:
    """The place of every tensor of an actor-critic that shares nothing, or of `{"values": action values}`, in the order
    of `jax.tree.leaves`.

    A vector of log standard deviations is a layer after the actor's head.
    """
    layers = [_layer(path) for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]]
    places = []
    for layer in layers:
        depths = sorted({_depth(other) for other in layers if _is_actor(other) == _is_actor(layer)})
        places.append(Place(_is_actor(layer), depths.index(_depth(layer)) / max(1, len(depths) - 1)))
    return places


def _layer(path: tuple) -> tuple[str, ...]:
    names = tuple(entry.key for entry in path)
    return names[:-1] if names[-1] in ("kernel", "bias") else names


def _is_actor(layer: tuple[str, ...]) -> bool:
    return not layer[0].startswith(("critic", "values"))


def _depth(layer: tuple[str, ...]) -> int:
    """Rises from the first layer to the last; encoders of parts lie side by side."""
    last = 1_000_000
    if layer[0] == "values":
        return _depth_in_values(layer, last)
    if layer[0].endswith("torso"):
        return 0 if not layer[-1].startswith("Dense_") else 1 + int(layer[-1].removeprefix("Dense_"))
    return last + 1 if layer[0] == "log_std" else last


def _depth_in_values(layer: tuple[str, ...], last: int) -> int:
    """Encoder, shared layers, those of value and advantage, heads."""
    if len(layer) == 2 or layer[1] == "encode":
        return last if len(layer) == 2 else 0
    return 1 + int(layer[2].removeprefix("Dense_")) if layer[1] == "shared" else last - 1


def module_activity(
    module: nn.Module,
    activation: str,
    hidden: Callable[[tuple[str, ...]], bool] = lambda layer: layer[0].endswith("torso"),
    method: str = "sequence",
) -> Callable[..., PyTree]:
    """`(params, *inputs of the method) -> tree like params`: mean |activation| of neurons.

    Every tensor has its layer's, after the nonlinearity in a `hidden` layer and the plain output of a head; of a
    convolution one entry per channel, and of log standard deviations 1.
    """

    def activity(params: PyTree, *inputs: PyTree) -> PyTree:
        _, captured = module.apply(
            {"params": params},
            *inputs,
            method=method,
            capture_intermediates=lambda found, name: isinstance(found, nn.Dense),
            mutable=["intermediates"],
        )
        outputs = captured["intermediates"]

        def of(path: tuple, leaf: Array) -> Array:
            layer = _layer(path)
            if layer == ("log_std",):
                return jnp.ones(1, leaf.dtype)
            found = outputs
            for name in layer:
                found = found[name]
            output = found["__call__"][0]
            return mean_size(ACTIVATIONS[activation](output) if hidden(layer) else output)

        return jax.tree_util.tree_map_with_path(of, params)

    return activity


def mean_size(output: Float[Array, "*batch neuron"]) -> Float[Array, " neuron"]:
    """Mean |activation| of every neuron."""
    return jnp.mean(jnp.abs(output), axis=tuple(range(output.ndim - 1)))
