"""OPEN: an optimiser for reinforcement learning, one small recurrent network applied to every parameter."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from jaxrl.networks.activity import Place
from jaxrl.optimisers.base import LearnedOptimiser, Signals
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["DECAYS", "NUM_FEATURES", "OpenState", "open_features", "open_optimiser", "open_optimiser_large"]

DECAYS = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
NUM_FEATURES = 1 + 2 * len(DECAYS) + 2 + 4
# Constants of the authors' code.
_SMALLEST, _EPSILON, _NORM_EPSILON, _DORMANCY_EPSILON = 1e-13, 1e-5, 1e-6, 1e-11
_EXPONENT_SCALE, _STEP_SCALE = 1e-3, 1e-3


class OpenState(NamedTuple):
    """What OPEN remembers of every parameter of the agent, all tensors as one vector.

    Attributes:
        momenta: running means of the gradient, one for each of `DECAYS`.
        memory: of the recurrent network.
    """

    momenta: Float[Array, "parameter decay"]
    memory: Float[Array, "parameter memory"]


def open_optimiser(memory_size: int = 8, hidden_size: int = 16) -> LearnedOptimiser:
    """OPEN (Goldie et al., 2024, arXiv 2407.07082, section 5), as in the authors' code.

    For every parameter a GRU and two dense layers with LayerNorm and ReLU put 19 features (`open_features`) into
    three outputs o, and the parameter descends û - mean(û) over all parameters, where

        û = α o₀ exp(10⁻³ o₁) + α o₂ ε,  ε ~ N(0, 1) for the actor, 0 for the critic,  α = 10⁻³.

    α is the agent's learning rate. The output layer starts at zero, so that an untrained optimiser changes nothing;
    the authors start all 1,211 parameters (3,571 if large) at zero.

    Args:
        memory_size: width of the GRU.
        hidden_size: width of the dense layers.

    Raises:
        ValueError: for a size below 1.
    """
    for name, size in (("memory_size", memory_size), ("hidden_size", hidden_size)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    return LearnedOptimiser(partial(_init, memory_size, hidden_size), _transformation, _STEP_SCALE)


def open_optimiser_large() -> LearnedOptimiser:
    """OPEN at twice the widths, as the authors train it on several environments at once."""
    return open_optimiser(16, 32)


def _init(memory_size: int, hidden_size: int, key: PRNGKeyArray | None) -> dict[str, Array]:
    shapes = {
        "input": (NUM_FEATURES, 3 * memory_size),
        "hidden": (memory_size, 3 * memory_size),
        "dense_0": (memory_size, hidden_size),
        "dense_1": (hidden_size, hidden_size),
    }
    keys = jax.random.split(jax.random.key(0) if key is None else key, len(shapes))
    drawn = {name: jax.random.normal(k, shape) / np.sqrt(shape[0]) for k, (name, shape) in zip(keys, shapes.items())}
    norms = {f"norm_{i}_scale": jnp.ones(hidden_size) for i in range(2)}
    biases = ("dense_0_bias", "dense_1_bias", "norm_0_bias", "norm_1_bias")
    return {
        **drawn,
        **norms,
        **{name: jnp.zeros(hidden_size) for name in biases},
        "input_bias": jnp.zeros(3 * memory_size),
        "hidden_bias": jnp.zeros(memory_size),
        "output": jnp.zeros((hidden_size, 3)),
        "output_bias": jnp.zeros(3),
    }


def _transformation(
    parameters: dict[str, Array], places: Sequence[Place], learning_rate: Float[Array, ""] | float = _STEP_SCALE
) -> optax.GradientTransformationExtraArgs:
    """OPEN as an optax transformation, for tensors at `places`, in the order of `jax.tree.leaves`."""

    def init(params: PyTree) -> OpenState:
        size = sum(leaf.size for leaf in jax.tree.leaves(params))
        return OpenState(jnp.zeros((size, len(DECAYS))), jnp.zeros((size, parameters["hidden"].shape[0])))

    def update(
        updates: PyTree, state: OpenState, params: PyTree = None, *, signals: Signals
    ) -> tuple[PyTree, OpenState]:
        gradient, unravel = ravel_pytree(updates)
        momenta = _moving_means(state.momenta, gradient)
        features = open_features(params, updates, momenta, places, signals)
        memory = _remember(features, state.memory, parameters)
        output = _head(memory, parameters)
        sizes = [leaf.size for leaf in jax.tree.leaves(params)]
        actor = np.repeat([float(place.actor) for place in places], sizes)
        noise = actor * jax.random.normal(signals.key, gradient.shape)
        step = learning_rate * (output[:, 0] * jnp.exp(_EXPONENT_SCALE * output[:, 1]) + output[:, 2] * noise)
        return unravel(step.mean() - step), OpenState(momenta, memory)

    return optax.GradientTransformationExtraArgs(init, update)


def _moving_means(
    momenta: Float[Array, "parameter decay"], gradient: Float[Array, " parameter"]
) -> Float[Array, "parameter decay"]:
    decays = jnp.asarray(DECAYS)
    return decays * momenta + (1.0 - decays) * gradient[:, None]


def open_features(
    params: PyTree, gradient: PyTree, momenta: Float[Array, "parameter 6"], places: Sequence[Place], signals: Signals
) -> Float[Array, "parameter 19"]:
    """What OPEN sees of every parameter.

    Its value p, sign and log(|m| + 10⁻¹³) of six momenta, the same of the gradient, each divided by the root of
    10⁻⁵ + its second moment over the tensor; then the shares of training, of the layers below and of the passes that
    are over; and its neuron's dormancy, mean |activation| over that of its layer.

    Args:
        params: of the agent.
        gradient: of its loss.
        momenta: running means of the gradient, this one included, all tensors as one vector.
        places: of the tensors.
        signals: the rest.
    """
    tensors, activity = jax.tree.leaves(params), jax.tree.leaves(signals.activity)
    flat = ravel_pytree(gradient)[0][:, None]
    parts = [ravel_pytree(params)[0][:, None]]
    for values in (momenta, flat):
        parts += [jnp.sign(values), jnp.log(jnp.abs(values) + _SMALLEST)]
    sizes = [leaf.size for leaf in tensors]
    normalised = _normalise(jnp.concatenate(parts, axis=1), sizes)
    proportion = jnp.asarray(np.repeat([place.proportion for place in places], sizes), flat.dtype)
    dormancy = [_dormancy(mean, leaf.shape) for mean, leaf in zip(activity, tensors, strict=True)]
    same = (signals.training, proportion, signals.epoch, jnp.concatenate(dormancy))
    rest = [jnp.broadcast_to(entry, proportion.shape) for entry in same]
    return jnp.concatenate([normalised, jnp.stack(rest, axis=1)], axis=1)


def _normalise(features: Float[Array, "parameter feature"], sizes: list[int]) -> Float[Array, "parameter feature"]:
    """Each feature over the root of its second moment in each tensor."""
    squares = jnp.split(jnp.square(features), np.cumsum(sizes)[:-1])
    moments = jnp.stack([part.mean(axis=0) for part in squares])
    scale = jax.lax.rsqrt(_EPSILON + moments)
    return features * jnp.repeat(scale, np.asarray(sizes), axis=0, total_repeat_length=sum(sizes))


def _dormancy(activity: Float[Array, " neuron"], shape: tuple[int, ...]) -> Float[Array, " parameter"]:
    activity = activity + _DORMANCY_EPSILON
    return jnp.broadcast_to(activity / activity.mean(), shape).reshape(-1)


def _remember(
    features: Float[Array, "parameter feature"], memory: Float[Array, "parameter memory"], weights: dict[str, Array]
) -> Float[Array, "parameter memory"]:
    """One step of a GRU with gates (reset, update, new), as Flax's."""
    size = memory.shape[-1]
    seen = features @ weights["input"] + weights["input_bias"]
    kept = memory @ weights["hidden"]
    gates = jax.nn.sigmoid(seen[:, : 2 * size] + kept[:, : 2 * size])
    reset, update = gates[:, :size], gates[:, size:]
    new = jnp.tanh(seen[:, 2 * size :] + reset * (kept[:, 2 * size :] + weights["hidden_bias"]))
    return (1.0 - update) * new + update * memory


def _head(memory: Float[Array, "parameter memory"], weights: dict[str, Array]) -> Float[Array, "parameter 3"]:
    values = memory
    for i in range(2):
        values = values @ weights[f"dense_{i}"] + weights[f"dense_{i}_bias"]
        values = values - values.mean(axis=-1, keepdims=True)
        values = values * jax.lax.rsqrt(jnp.square(values).mean(axis=-1, keepdims=True) + _NORM_EPSILON)
        values = jax.nn.relu(values * weights[f"norm_{i}_scale"] + weights[f"norm_{i}_bias"])
    return values @ weights["output"] + weights["output_bias"]
