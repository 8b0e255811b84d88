"""Layers and torsos, plain or with weights that a hypernetwork generates from preferences."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrl.networks.images import patches
from jaxrl.types import Array, Float, PyTree

__all__ = ["ACTIVATIONS", "Dense", "FeatureNetwork", "GeneratedDense", "Torso"]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": nn.tanh,
    "relu": nn.relu,
    "swish": nn.swish,
    "elu": nn.elu,
    "gelu": nn.gelu,
}


class Dense(nn.Dense):
    """Flax's layer, which takes parameters as they are once there are any.

    Flax itself traces their initialisers in every call, to compare shapes: a tenth of tracing a training program.
    """

    def param(self, name: str, *arguments: Any, **options: Any) -> Any:
        if self.is_initializing() or not self.has_variable("params", name):
            return super().param(name, *arguments, **options)
        return self.get_variable("params", name)


class GeneratedDense(nn.Module):
    """A dense layer whose parameters are θ(w) = b + Σₖ fₖ(w) Wₖ (Hyper-MORL, Shu et al., 2024; MORLAX).

    Applied without ever forming θ(w): x·θ(w) = x·b + Σₖ fₖ (x·Wₖ), so that every sample may have preferences of its
    own. W starts at zero: at first all preferences share one network.
    """

    size: int

    @nn.compact
    def __call__(self, inputs: Array, preference: Float[Array, "*batch feature"]) -> Array:
        count = preference.shape[-1]
        generated = Dense(count * self.size, name="generator")(inputs)
        generated = generated.reshape(*generated.shape[:-1], count, self.size)
        return Dense(self.size, name="base")(inputs) + jnp.sum(preference[..., None] * generated, axis=-2)


class FeatureNetwork(nn.Module):
    """f(w): preference weights to the features that mix generated layers."""

    hidden_sizes: tuple[int, ...]
    num_features: int
    activation: str

    @nn.compact
    def __call__(self, weights: Float[Array, "*batch objective"]) -> Float[Array, "*batch feature"]:
        features = weights
        for size in self.hidden_sizes:
            features = ACTIVATIONS[self.activation](Dense(size)(features))
        return Dense(self.num_features)(features)


class Torso(nn.Module):
    """Features to features: an optional convolution or encoders of parts, then dense layers.

    Of several parts, images go through a convolution, vectors through a dense layer of the first width (if there is
    one), one-hot integers as they are; what comes of them is one vector.

    Preferences enter as an input (`weights`), through generated layers (`preference`), or not at all.
    """

    hidden_sizes: tuple[int, ...]
    activation: str
    convolve: bool
    channels: int
    kinds: tuple[str, ...] = ()

    def _convolved(self, image: Array, name: str) -> Array:
        features = ACTIVATIONS[self.activation](Dense(self.channels, name=name)(patches(image)))
        return features.reshape(*features.shape[:-3], -1)

    def _encoded(self, features: Array, kind: str, name: str, preference: Array | None) -> Array:
        """One part."""
        if kind == "image":
            return self._convolved(features, name)
        if kind == "integer" or not self.hidden_sizes:
            return features
        size = self.hidden_sizes[0]
        if preference is not None:
            return ACTIVATIONS[self.activation](GeneratedDense(size, name=name)(features, preference))
        return ACTIVATIONS[self.activation](Dense(size, name=name)(features))

    @nn.compact
    def __call__(self, features: PyTree, weights: Array | None, preference: Array | None = None) -> Array:
        activation = ACTIVATIONS[self.activation]
        if self.kinds:
            parts = zip(jax.tree.leaves(features), self.kinds, strict=True)
            each = [self._encoded(part, kind, f"Part_{i}", preference) for i, (part, kind) in enumerate(parts)]
            features = jnp.concatenate(each, axis=-1)
        elif self.convolve:
            features = self._convolved(features, "Convolution")
        if weights is not None:
            weights = jnp.broadcast_to(weights, (*features.shape[:-1], weights.shape[-1]))
            features = jnp.concatenate([features, weights], axis=-1)
        for index, size in enumerate(self.hidden_sizes):
            name = f"Dense_{index}"
            if preference is None:
                features = activation(Dense(size, name=name)(features))
            else:
                features = activation(GeneratedDense(size, name=name)(features, preference))
        return features
