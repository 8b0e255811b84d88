"""Attention over the past of an episode: a memory as Transformer-XL's, with gates and sinks."""

from dataclasses import dataclass
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from jaxrl.networks.attention_block import Block, Past
from jaxrl.networks.layers import Dense
from jaxrl.types import Array, Bool, Float, Int

__all__ = ["Attention", "AttentionMemory", "Cache", "empty_cache"]


@dataclass(frozen=True)
class Attention:
    """What is static about a memory by attention.

    Attributes:
        layers: blocks one after the other.
        heads: of each; they divide the width.
        context: steps back that each layer sees, its own step not counted.
        sinks: learned keys and values of each layer that are always there.
        gated: whether residuals pass GTrXL's gates, or are plain sums.
    """

    layers: int = 1
    heads: int = 4
    context: int = 64
    sinks: int = 1
    gated: bool = True


class Cache(NamedTuple):
    """What is remembered of an episode.

    Attributes:
        inputs: of every layer in the last steps, the latest last; 0 where there were none.
        count: how many steps there were, `context` at most.
    """

    inputs: Float[Array, "*batch layer context feature"]
    count: Int[Array, "*batch"]


def empty_cache(attention: Attention, width: int, batch_shape: tuple[int, ...]) -> Cache:
    """Memory at the start of an episode."""
    inputs = jnp.zeros((*batch_shape, attention.layers, attention.context, width))
    return Cache(inputs, jnp.zeros(batch_shape, jnp.int32))


class AttentionMemory(nn.Module):
    """Blocks of causal attention over the last `context` steps of an episode.

    Each layer attends from a step to what that layer was given in the steps before it (Transformer-XL, Dai et al.,
    2019); see `Block`. A cell, `(cache, features) -> (cache, output)`, is one step; `sequence` is many of them at once,
    at a cost of T (T + context). Nothing is cut from differentiation but what came before the sequence.
    """

    width: int
    attention: Attention

    def setup(self) -> None:
        shape = self.attention
        self.embed = Dense(self.width)
        self.blocks = [
            Block(self.width, shape.heads, shape.context, shape.sinks, shape.gated, name=f"block_{index}")
            for index in range(shape.layers)
        ]

    def __call__(
        self, cache: Cache, features: Float[Array, "*batch input"]
    ) -> tuple[Cache, Float[Array, "*batch feature"]]:
        """One step of an episode that goes on."""
        context = self.attention.context
        episodes = jnp.zeros((*cache.count.shape, 1), jnp.int32)
        past = self._past(cache, episodes[..., :0], (0,), episodes)
        outputs, inputs = self._attend(features[..., None, :], cache, past)
        held = jnp.concatenate([cache.inputs[..., 1:, :], inputs], axis=-2)
        return Cache(held, jnp.minimum(cache.count + 1, context)), outputs[..., 0, :]

    def sequence(
        self, features: Float[Array, "time *batch input"], cache: Cache, starts: Bool[Array, "time ..."]
    ) -> tuple[Float[Array, "time *batch feature"], Cache]:
        """Outputs of all steps, and the cache after each."""
        episodes = _episodes(starts)
        past = self._past(cache, episodes, (0,), episodes)
        outputs, inputs = self._attend(jnp.moveaxis(features, 0, -2), cache, past)
        return jnp.moveaxis(outputs, -2, 0), self._windows(cache, inputs, episodes)

    def following(
        self,
        features: Float[Array, "time *batch input"],
        following: Float[Array, "time *batch input"],
        cache: Cache,
        starts: Bool[Array, "time ..."],
    ) -> tuple[Float[Array, "time *batch feature"], Float[Array, "time *batch feature"]]:
        """Outputs of all steps, and of what follows each of them in its episode, which no other step sees."""
        episodes = _episodes(starts)
        past = self._past(cache, episodes, (0, 1), jnp.concatenate([episodes, episodes], axis=-1))
        tokens = jnp.moveaxis(jnp.concatenate([features, following]), 0, -2)
        outputs = jnp.moveaxis(self._attend(tokens, cache, past)[0], -2, 0)
        return outputs[: len(starts)], outputs[len(starts) :]

    def _attend(
        self, features: Float[Array, "*batch token input"], cache: Cache, past: Past
    ) -> tuple[Float[Array, "*batch token feature"], Float[Array, "*batch layer remembered feature"]]:
        """What the last layer makes of tokens, and what each layer was given, of those that are remembered."""
        tokens, inputs = self.embed(features), []
        for index, block in enumerate(self.blocks):
            inputs.append(tokens)
            tokens = block(tokens, cache.inputs[..., index, :, :], past)
        return tokens, jnp.stack(inputs, axis=-3)

    def _past(
        self,
        cache: Cache,
        episodes: Int[Array, "*batch time"],
        begins: tuple[int, ...],
        own: Int[Array, "*batch token"],
    ) -> Past:
        """What runs of tokens in episodes of their `own` see of a cache, the steps before step 0, and of a sequence.

        Steps of the cache are in episode 0.
        """
        context, length = self.attention.context, own.shape[-1] // len(begins)
        times = np.concatenate([begin + np.arange(length) for begin in begins])
        distance = times[:, None] - np.arange(-context, episodes.shape[-1])
        near = jnp.asarray((distance >= 1) & (distance <= context))
        entries = _entry_episodes(cache, episodes)
        visible = near & (own[..., :, None] == entries[..., None, :])
        return Past(visible, begins, episodes.shape[-1])

    def _windows(
        self, cache: Cache, inputs: Float[Array, "*batch layer time feature"], episodes: Int[Array, "*batch time"]
    ) -> Cache:
        """The cache after every step of a sequence, time first."""
        length, context = episodes.shape[-1], self.attention.context
        window = np.arange(1, length + 1)[:, None] + np.arange(context)
        own = _entry_episodes(cache, episodes)[..., window] == episodes[..., None]
        held = jnp.concatenate([cache.inputs, inputs], axis=-2)[..., window, :]
        # From [*batch, layer, time, context, feature] to [time, *batch, layer, context, feature].
        held = jnp.where(own[..., None, :, :, None], held, 0.0)
        count = own.sum(axis=-1, dtype=jnp.int32)
        return Cache(jnp.moveaxis(held, -3, 0), jnp.moveaxis(count, -1, 0))


def _episodes(starts: Bool[Array, "time ..."]) -> Int[Array, "*batch time"]:
    """Numbers of episodes; 0 is the one that goes on."""
    return jnp.moveaxis(jnp.cumsum(starts, axis=0, dtype=jnp.int32), 0, -1)


def _entry_episodes(cache: Cache, episodes: Int[Array, "*batch time"]) -> Int[Array, "*batch entry"]:
    """Those of the entries of a cache, -1 where it is empty, and of the steps after it."""
    context = cache.inputs.shape[-2]
    held = jnp.where(np.arange(context) >= context - cache.count[..., None], 0, -1)
    return jnp.concatenate([held, episodes], axis=-1)
