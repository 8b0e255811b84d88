"""Dense layers of critics and of off-policy actors: plain, normalised, noisy, or residual."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from jaxrl.networks.batch_norm import BatchNorm
from jaxrl.networks.layers import ACTIVATIONS, Dense
from jaxrl.types import Array

__all__ = ["Layers", "NoisyDense", "Trunk", "dense"]

_UNIFORM = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")


class NoisyDense(nn.Module):
    """A layer with factorised Gaussian noise on its parameters (Fortunato et al., 2018, section 3).

    y = (μ_w + σ_w ⊙ f(ε_in) f(ε_out)ᵀ) x + μ_b + σ_b ⊙ f(ε_out), f(x) = sign(x) √|x|, σ at first 0.5/√inputs. The noise
    is the random stream `noise`, one draw a call; without it, the mean.
    """

    size: int
    initial: float = 0.5

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        count = inputs.shape[-1]
        start = nn.initializers.constant(self.initial / count**0.5)
        kernel = self.param("kernel", _UNIFORM, (count, self.size))
        bias = self.param("bias", nn.initializers.zeros, (self.size,))
        kernel_scale = self.param("kernel_scale", start, (count, self.size))
        bias_scale = self.param("bias_scale", start, (self.size,))
        if not self.has_rng("noise"):
            return inputs @ kernel + bias
        drawn = nn.initializers.normal(1.0)(self.make_rng("noise"), (count + self.size,))
        drawn = jnp.sign(drawn) * jnp.sqrt(jnp.abs(drawn))
        entering, leaving = drawn[:count], drawn[count:]
        noisy = ((inputs * entering) @ kernel_scale) * leaving
        return inputs @ kernel + noisy + bias + bias_scale * leaving


def dense(size: int, noisy: bool = False, name: str | None = None) -> nn.Module:
    """A dense layer of either kind, with uniform kernels U(±√(3/inputs)) and no bias at first."""
    return NoisyDense(size, name=name) if noisy else Dense(size, kernel_init=_UNIFORM, name=name)


class Layers(NamedTuple):
    """What a `Trunk` is made with; see there."""

    sizes: tuple[int, ...]
    activation: str = "relu"
    layer_norm: bool = False
    noisy: bool = False
    dropout: float = 0.0
    residual: bool = False
    batch_norm: str = "none"


class Trunk(nn.Module):
    """Dense layers with what may stand between them.

    `residual` makes of every width a block x + W₂ σ(W₁ LayerNorm(x)) with four times as wide a layer within, after one
    dense layer of the first width, and ends in a LayerNorm (SimBa, Lee et al., 2025, section 4.2). Otherwise each layer
    is dense, then dropout, then LayerNorm, where these are asked for (DroQ, Hiraoka et al., 2022, section 3; PQN,
    Gallici et al., 2025), then the activation. Batch normalisation comes before all layers and after each (CrossQ,
    Bhatt et al., 2024, figure 2).

    Attributes:
        layers: sizes, the widths of the layers, or of the blocks; activation, by name; layer_norm, whether each layer
            is normalised; noisy, whether layers are `NoisyDense`; dropout, the share of features that are dropped where
            there is a random stream `dropout`; residual, whether layers are residual blocks; batch_norm, none, batch or
            renorm.
    """

    layers: Layers

    @nn.compact
    def __call__(self, features: Array) -> Array:
        return self._blocks(features) if self.layers.residual and self.layers.sizes else self._layers(features)

    def _layers(self, features: Array) -> Array:
        features = self._normalised(features)
        for size in self.layers.sizes:
            features = dense(size, self.layers.noisy)(features)
            if self.layers.dropout:
                features = nn.Dropout(self.layers.dropout)(features, deterministic=not self.has_rng("dropout"))
            if self.layers.layer_norm:
                features = nn.LayerNorm()(features)
            features = self._normalised(ACTIVATIONS[self.layers.activation](features))
        return features

    def _normalised(self, features: Array) -> Array:
        kind = self.layers.batch_norm
        return features if kind == "none" else BatchNorm(kind == "renorm")(features)

    def _blocks(self, features: Array) -> Array:
        features = dense(self.layers.sizes[0], self.layers.noisy)(features)
        for size in self.layers.sizes:
            if size != features.shape[-1]:
                features = dense(size, self.layers.noisy)(features)
            inner = ACTIVATIONS[self.layers.activation](dense(4 * size, self.layers.noisy)(nn.LayerNorm()(features)))
            features = features + dense(size, self.layers.noisy)(inner)
        return nn.LayerNorm()(features)
