"""Static descriptions of observations and actions: frozen, hashable, without arrays."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["Box", "Dict", "Discrete", "MultiDiscrete", "Space", "Tuple", "encode"]


@dataclass(frozen=True)
class Discrete:
    """Integers 0 .. n - 1: `Discrete(4)`.

    Attributes:
        n: how many, at least 1.
        shape: `()`.
        dtype: int32.
    """

    n: int
    shape: tuple[int, ...] = field(default=(), init=False)
    dtype: str = field(default="int32", init=False)

    def sample(self, key: PRNGKeyArray) -> Array:
        """A uniform draw, shape ()."""
        return jax.random.randint(key, (), 0, self.n)

    def contains(self, value: Array | np.ndarray) -> bool:
        """Whether every entry of a concrete `value` lies in 0 .. n - 1."""
        value = np.asarray(value)
        integral = np.issubdtype(value.dtype, np.integer)
        return bool(integral and np.all(value >= 0) and np.all(value < self.n))


@dataclass(frozen=True)
class MultiDiscrete:
    """A vector of independent choices; entry i lies in 0 .. sizes[i] - 1: `MultiDiscrete((3, 2))`.

    Attributes:
        sizes: of the choices, one or more integers of at least 1.
        shape: `(len(sizes),)`.
        dtype: int32.
    """

    sizes: tuple[int, ...]
    dtype: str = field(default="int32", init=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """One axis, one entry per choice."""
        return (len(self.sizes),)

    def sample(self, key: PRNGKeyArray) -> Array:
        """A uniform draw, shape (number of choices,)."""
        return jax.random.randint(key, self.shape, 0, jnp.asarray(self.sizes))

    def contains(self, value: Array | np.ndarray) -> bool:
        """Whether every entry of a concrete `value` lies in its range."""
        value = np.asarray(value)
        return bool(np.all(value >= 0) and np.all(value < np.asarray(self.sizes)))


@dataclass(frozen=True)
class Box:
    """Real arrays between `low` and `high`: `Box(-1.0, 1.0, (3,))`, `Box(0.0, 255.0, (84, 84, 4), "uint8")`.

    Flags are `Box(0.0, 1.0, shape, "bool")`. Observations of shape `(height, width, channels)` are taken for images. As
    an action space its shape is `(n,)`; policies act within the bounds where all of them are finite, and unbounded
    otherwise.

    Attributes:
        low: lower bound, one float or a nested tuple of `shape`; -inf for none (`from_arrays` takes arrays).
        high: upper bound, likewise; inf for none.
        shape: a tuple of integers of at least 1; `()` for one number, of observations alone.
        dtype: name of a dtype.
    """

    low: float | tuple
    high: float | tuple
    shape: tuple[int, ...]
    dtype: str = "float32"

    @classmethod
    def from_arrays(cls, low: ArrayLike, high: ArrayLike, shape: tuple[int, ...], dtype: str = "float32") -> "Box":
        """A box from bounds that are arrays of `shape`, or numbers; equal bounds collapse to one float."""
        return cls(_bound(low), _bound(high), tuple(int(n) for n in shape), np.dtype(dtype).name)

    @property
    def bounded(self) -> bool:
        """Whether both bounds are finite everywhere."""
        return bool(np.all(np.isfinite(self.low)) and np.all(np.isfinite(self.high)))

    def sample(self, key: PRNGKeyArray) -> Array:
        """A uniform draw; standard normal where a bound is infinite, a fair coin for flags."""
        if self.dtype == "bool":
            return jax.random.bernoulli(key, shape=self.shape)
        if not self.bounded:
            return jax.random.normal(key, self.shape).astype(self.dtype)
        low, high = jnp.asarray(self.low), jnp.asarray(self.high)
        return jax.random.uniform(key, self.shape, minval=low, maxval=high).astype(self.dtype)

    def contains(self, value: Array | np.ndarray) -> bool:
        """Whether every entry of a concrete `value` lies within the bounds (to 1e-5)."""
        value = np.asarray(value)
        return bool(np.all(value >= np.asarray(self.low) - 1e-5) and np.all(value <= np.asarray(self.high) + 1e-5))


@dataclass(frozen=True, init=False, repr=False)
class Dict:
    """Observations of several parts by name: `Dict({"view": Box(0.0, 1.0, (9, 9, 3)), "keys": Discrete(4)})`.

    An observation is a `dict` with an entry for every part, which may have parts itself. Parts stand in the order of
    their names, as JAX has them.

    Attributes:
        parts: pairs of a name and a space.
    """

    parts: tuple[tuple[str, Any], ...]

    def __init__(self, parts: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        object.__setattr__(self, "parts", tuple(sorted(dict(parts).items(), key=lambda part: str(part[0]))))

    def __repr__(self) -> str:
        return f"Dict({{{', '.join(f'{name!r}: {space!r}' for name, space in self.parts)}}})"

    def __getitem__(self, name: str) -> "Space":
        return dict(self.parts)[name]

    def without(self, name: str) -> "Dict":
        """The other parts."""
        return Dict(part for part in self.parts if part[0] != name)

    def sample(self, key: PRNGKeyArray) -> dict[str, PyTree]:
        """A draw of every part."""
        keys = jax.random.split(key, max(1, len(self.parts)))
        return {name: space.sample(key) for (name, space), key in zip(self.parts, keys)}

    def contains(self, value: Mapping[str, Any]) -> bool:
        """Whether a concrete `value` has these parts, and each lies in its space."""
        return set(value) == {name for name, _ in self.parts} and all(
            space.contains(value[name]) for name, space in self.parts
        )


@dataclass(frozen=True, init=False, repr=False)
class Tuple:
    """Observations of several parts in order: `Tuple((Box(-1.0, 1.0, (3,)), Discrete(4)))`.

    An observation is a `tuple` with an entry for every part, which may have parts itself.

    Attributes:
        parts: their spaces.
    """

    parts: tuple[Any, ...]

    def __init__(self, parts: Iterable[Any]) -> None:
        object.__setattr__(self, "parts", tuple(parts))

    def __repr__(self) -> str:
        return f"Tuple({self.parts!r})"

    def sample(self, key: PRNGKeyArray) -> tuple[PyTree, ...]:
        """A draw of every part."""
        keys = jax.random.split(key, max(1, len(self.parts)))
        return tuple(part.sample(key) for part, key in zip(self.parts, keys))

    def contains(self, value: Any) -> bool:
        """Whether a concrete `value` has as many parts, and each lies in its space."""
        return len(value) == len(self.parts) and all(part.contains(entry) for part, entry in zip(self.parts, value))


Space = Discrete | MultiDiscrete | Box | Dict | Tuple


def encode(space: Space, observation: PyTree, keep_image: bool = False) -> Float[Array, "..."]:
    """An observation as float32 features: integers one-hot, the rest flat unless an image is kept.

    Parts of a `Dict` or `Tuple` follow each other.
    """
    if isinstance(space, Dict):
        return jnp.concatenate([encode(part, observation[name]) for name, part in space.parts], axis=-1)
    if isinstance(space, Tuple):
        return jnp.concatenate([encode(part, entry) for part, entry in zip(space.parts, observation)], axis=-1)
    if isinstance(space, Discrete):
        return jax.nn.one_hot(observation, space.n)
    if isinstance(space, MultiDiscrete):
        parts = [jax.nn.one_hot(observation[..., i], n) for i, n in enumerate(space.sizes)]
        return jnp.concatenate(parts, axis=-1)
    features = observation.astype(jnp.float32)
    if keep_image:
        return features
    return features.reshape(*features.shape[: features.ndim - len(space.shape)], -1)


def _bound(value: ArrayLike) -> float | tuple:
    array = np.asarray(value, dtype=np.float64)
    if array.size == 0 or np.all(array == array.flat[0]):
        return float(array.flat[0]) if array.size else 0.0
    return _nested_tuple(array.tolist())


def _nested_tuple(value: list | float) -> tuple | float:
    return tuple(_nested_tuple(entry) for entry in value) if isinstance(value, list) else value
