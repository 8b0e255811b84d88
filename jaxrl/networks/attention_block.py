"""One block of attention over the past: relative positions, sinks, and gated or plain residuals."""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.networks.layers import Dense
from jaxrl.types import Array, Bool, Float

__all__ = ["Block", "Past", "sinusoids"]

# The cheapest order of products differs between one step and many: it is chosen by their shapes.
_product = partial(jnp.einsum, optimize="optimal")
_HIDDEN = 4


class Past(NamedTuple):
    """What tokens see besides themselves.

    Attributes:
        visible: which entries each token sees: those of the cache, then those of tokens that are remembered.
        begins: tokens are runs of consecutive steps, as many each; the step at which each run begins, where 0 is the
            first after the cache.
        remembered: how many of the tokens are entries themselves, the first ones.
    """

    visible: Bool[Array, "*batch token entry"]
    begins: tuple[int, ...]
    remembered: int


class Block(nn.Module):
    """Attention from tokens to themselves and to the past, then two dense layers.

    score(i, j) = ((qᵢ + u)·kⱼ + (qᵢ + v)·W r_{i-j})/√d, with r sinusoids (Dai et al., 2019, section 3.3). What goes
    into a sub-layer is normalised. What comes out passes a ReLU and a gate with what went in (GTrXL, Parisotto et al.,
    2020, sections 3.1 and 3.2), or is added to it. Sinks are keys and values without a place, which take the attention
    that nothing deserves (Xiao et al., 2024, section 3.3); at first they are zero.
    """

    width: int
    heads: int
    context: int
    sinks: int
    gated: bool

    def setup(self) -> None:
        size = self.width // self.heads
        self.first_norm, self.second_norm = nn.LayerNorm(), nn.LayerNorm()
        self.query, self.key, self.value = (Kernel((self.width, self.width)) for _ in range(3))
        self.place, self.output = Kernel((self.width, self.width)), Dense(self.width)
        zeros = nn.initializers.zeros
        self.content_bias = self.param("content_bias", zeros, (self.heads, size))
        self.place_bias = self.param("place_bias", zeros, (self.heads, size))
        if self.sinks:
            self.sink_key = self.param("sink_key", zeros, (self.sinks, self.heads, size))
            self.sink_value = self.param("sink_value", zeros, (self.sinks, self.heads, size))
        self.inner, self.outer = Dense(_HIDDEN * self.width), Dense(self.width)
        if self.gated:
            self.first_gate, self.second_gate = Gate(self.width), Gate(self.width)

    def __call__(
        self,
        tokens: Float[Array, "*batch token feature"],
        cache: Float[Array, "*batch context feature"],
        past: Past,
    ) -> Float[Array, "*batch token feature"]:
        """What the block makes of tokens after a cache of what it was given before."""
        own = self.first_norm(tokens)
        entries = jnp.concatenate([self.first_norm(cache), own[..., : past.remembered, :]], axis=-2)
        tokens = self._joined(tokens, self.output(self._attended(own, entries, past)), first=True)
        hidden = nn.relu(self.inner(self.second_norm(tokens)))
        return self._joined(tokens, self.outer(hidden), first=False)

    def _joined(self, inputs: Array, outputs: Array, first: bool) -> Array:
        if not self.gated:
            return inputs + outputs
        return (self.first_gate if first else self.second_gate)(inputs, nn.relu(outputs))

    def _by_head(self, kernel: Float[Array, "feature feature"]) -> Float[Array, "feature head size"]:
        return kernel.reshape(self.width, self.heads, -1)

    def _attended(
        self, own: Float[Array, "*batch token feature"], entries: Float[Array, "*batch entry feature"], past: Past
    ) -> Float[Array, "*batch token feature"]:
        query_kernel, key, value = map(self._by_head, (self.query(), self.key(), self.value()))
        query = _product("...sx,xhd->...shd", own, query_kernel)
        content = query + self.content_bias
        at_place = self._at_place(query + self.place_bias)
        scores = [
            _product("...shd,xhd,...kx->...hsk", content, key, entries) + by_entry(at_place, past),
            _product("...shd,xhd,...sx->...hs", content, key, own)[..., None] + at_place[..., :1],
        ]
        scores[0] = jnp.where(past.visible[..., None, :, :], scores[0], jnp.finfo(own.dtype).min)
        if self.sinks:
            scores.append(_product("...shd,nhd->...hsn", content, self.sink_key))
        scale = (self.width // self.heads) ** -0.5
        weights = jax.nn.softmax(scale * jnp.concatenate(scores, axis=-1), axis=-1)
        count = entries.shape[-2]
        found = _product("...hsk,...kx,xhd->...shd", weights[..., :count], entries, value)
        found += _product("...hs,...sx,xhd->...shd", weights[..., count], own, value)
        if self.sinks:
            found += _product("...hsn,nhd->...shd", weights[..., count + 1 :], self.sink_value)
        return found.reshape(*found.shape[:-2], self.width)

    def _at_place(self, query: Float[Array, "*batch token head size"]) -> Float[Array, "*batch head token distance"]:
        """Scores of the distances 0 to `context`."""
        places = sinusoids(self.context + 1, self.width)
        return _product("...shd,mx,xhd->...hsm", query, places, self._by_head(self.place()))


class Kernel(nn.Module):
    """A matrix of parameters."""

    shape: tuple[int, int]

    @nn.compact
    def __call__(self) -> Float[Array, "input output"]:
        return self.param("kernel", nn.initializers.orthogonal(), self.shape)


class Gate(nn.Module):
    """(1 - z) ⊙ x + z ⊙ ĥ, a gated recurrent unit's step with x for its state and y for its input.

    r = σ(W_r y + U_r x), z = σ(W_z y + U_z x - b), ĥ = tanh(W y + U (r ⊙ x)); with b = 2 at first the gate is nearly
    closed, and the block nearly the identity (GTrXL, section 3.2).
    """

    width: int

    @nn.compact
    def __call__(self, x: Float[Array, "*batch feature"], y: Float[Array, "*batch feature"]) -> Array:
        from_y = jnp.split(Dense(3 * self.width, use_bias=False, name="inputs")(y), 3, axis=-1)
        from_x = jnp.split(Dense(2 * self.width, use_bias=False, name="state")(x), 2, axis=-1)
        bias = self.param("gate_bias", nn.initializers.constant(2.0), (self.width,))
        reset, update = nn.sigmoid(from_y[0] + from_x[0]), nn.sigmoid(from_y[1] + from_x[1] - bias)
        candidate = nn.tanh(from_y[2] + Dense(self.width, use_bias=False, name="candidate")(reset * x))
        return (1.0 - update) * x + update * candidate


def sinusoids(count: int, width: int) -> Float[np.ndarray, "count width"]:
    """Sines, then cosines, of 0 .. count - 1 at wavelengths from 2π to 10,000 · 2π (Vaswani et al., 2017)."""
    frequency = 10_000.0 ** -(np.arange(0, width, 2) / width)
    angle = np.arange(count)[:, None] * frequency
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)[:, :width].astype(np.float32)


def by_entry(scores: Float[Array, "*batch head token distance"], past: Past) -> Float[Array, "*batch head token entry"]:
    """Scores of distances as scores of entries: token i of a run sees entry k at the distance begin + i + context - k.

    Every row is shifted by one more than the row before it, by reading rows of another width (Dai et al., 2019,
    appendix B). What lies beyond the context is anything.
    """
    context, count = scores.shape[-1] - 1, past.visible.shape[-1]

    def shifted(run: Float[Array, "*batch head token distance"], begin: int) -> Array:
        leading, rows = run.shape[:-2], run.shape[-2]
        wide = jnp.pad(run[..., ::-1], [(0, 0)] * (run.ndim - 1) + [(0, rows)])
        flat = wide.reshape(*leading, rows * (context + rows + 1))[..., : rows * (context + rows)]
        own = flat.reshape(*leading, rows, context + rows)
        return jnp.pad(own, [(0, 0)] * (run.ndim - 1) + [(begin, 0)])[..., :count]

    runs = jnp.split(scores, len(past.begins), axis=-2)
    return jnp.concatenate([shifted(run, begin) for run, begin in zip(runs, past.begins, strict=True)], axis=-2)
