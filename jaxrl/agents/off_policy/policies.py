"""Policies of continuous actions: from a network's outputs to actions in [-1, 1]ⁿ."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.spaces import Box
from jaxrl.numerics.distributions import flat_size, tanh_gaussian
from jaxrl.ranges import NOT_NEGATIVE, Range
from jaxrl.types import Array, Float

__all__ = ["POLICIES", "Policy", "uniform_action"]

Leaves = Mapping[str, Any]
Parameters = Float[Array, "*batch parameter"]
Action = Float[Array, "*batch action"]
LogProbability = Float[Array, "*batch"]


class Policy(NamedTuple):
    """A way to act. `noise` is standard normal, `[*batch, action]`.

    Attributes:
        num_parameters: outputs of the network.
        soft: whether actions have a log-probability, and with it an entropy.
        mode: `parameters -> action`, the best known.
        explore: `(parameters, noise, exploration leaves) -> action` in training.
        sample: `(parameters, noise) -> (action, log π(a|o))`, differentiable: what the policy is improved by. The
            logarithm of a policy without a density is 0.
        following: `(parameters, noise, backup leaves) -> (action, log π(a|o))` of the next step, in targets.
        exploration: traced defaults of exploration.
        backup: traced defaults of `following`.
        ranges: of both.
    """

    num_parameters: int
    soft: bool
    mode: Callable[[Parameters], Action]
    explore: Callable[[Parameters, Array, Leaves], Action]
    sample: Callable[[Parameters, Array], tuple[Action, LogProbability]]
    following: Callable[[Parameters, Array, Leaves], tuple[Action, LogProbability]]
    exploration: Leaves = MappingProxyType({})
    backup: Leaves = MappingProxyType({})
    ranges: Mapping[str, Range] = MappingProxyType({})


def uniform_action(noise: Action) -> Action:
    """Standard normal numbers as uniform ones on [-1, 1]: 2 Φ(x) - 1 = erf(x/√2)."""
    return jax.lax.erf(noise * 2.0**-0.5)


_LEAST_LOG_STD, _LARGEST_LOG_STD = -5.0, 2.0


def squashed_gaussian(space: Box, smooth: bool) -> Policy:
    """tanh(μ + σ x), x ~ N(0, I), log σ within [-5, 2] (Haarnoja et al., 2018, appendix C).

    log π(a|o) = log N(u) - Σ 2 (log 2 - u - softplus(-2u)) with a = tanh u, exact however close to ±1 a is. log σ goes
    through tanh onto its bounds, where clipping would leave no slope.

    Args:
        space: of the actions.
        smooth: of no effect.
    """
    size = flat_size(space)
    distribution = tanh_gaussian(Box(-1.0, 1.0, (size,)))

    def bounded(parameters: Parameters) -> Parameters:
        mean, free = parameters[..., :size], parameters[..., size:]
        log_std = _LEAST_LOG_STD + 0.5 * (_LARGEST_LOG_STD - _LEAST_LOG_STD) * (jnp.tanh(free) + 1.0)
        return jnp.concatenate([mean, log_std], axis=-1)

    def sample(parameters: Parameters, noise: Array) -> tuple[Action, LogProbability]:
        parameters = bounded(parameters)
        raw = distribution.sample(parameters, noise)
        return jnp.tanh(raw), distribution.log_prob(parameters, raw)

    return Policy(
        num_parameters=2 * size,
        soft=True,
        mode=lambda parameters: jnp.tanh(parameters[..., :size]),
        explore=lambda parameters, noise, _: sample(parameters, noise)[0],
        sample=sample,
        following=lambda parameters, noise, _: sample(parameters, noise),
    )


def deterministic(space: Box, smooth: bool) -> Policy:
    """tanh μ, explored by Gaussian noise that is added to it (Fujimoto et al., 2018, section 5.3).

    Args:
        space: of the actions.
        smooth: whether the action of a target has noise, too, ε = clip(σ x, ±c), so that similar actions have similar
            values.
    """

    def following(parameters: Parameters, noise: Array, leaves: Leaves) -> tuple[Action, LogProbability]:
        action = jnp.tanh(parameters)
        if smooth:
            limit = leaves["target_noise_clip"]
            action = jnp.clip(action + jnp.clip(leaves["target_noise"] * noise, -limit, limit), -1.0, 1.0)
        return action, jnp.zeros(action.shape[:-1])

    names = ("exploration.exploration_noise", "backup.target_noise", "backup.target_noise_clip")
    return Policy(
        num_parameters=flat_size(space),
        soft=False,
        mode=jnp.tanh,
        explore=lambda parameters, noise, leaves: jnp.clip(
            jnp.tanh(parameters) + leaves["exploration_noise"] * noise, -1.0, 1.0
        ),
        sample=lambda parameters, _: (jnp.tanh(parameters), jnp.zeros(parameters.shape[:-1])),
        following=following,
        exploration={"exploration_noise": 0.1},
        backup={"target_noise": 0.2, "target_noise_clip": 0.5} if smooth else {},
        ranges=dict.fromkeys(names[: 3 if smooth else 1], NOT_NEGATIVE),
    )


# `(action space, smooth) -> Policy`, by name.
POLICIES: dict[str, Callable[[Box, bool], Policy]] = {
    "squashed_gaussian": squashed_gaussian,
    "deterministic": deterministic,
}
