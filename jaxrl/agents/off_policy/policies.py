"""Policies of continuous actions: from a network's outputs to actions in [-1, 1]ⁿ."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from jaxrl.environments.spaces import Box
from jaxrl.numerics.distributions import categorical, flat_size, tanh_gaussian
from jaxrl.ranges import NOT_NEGATIVE, Range
from jaxrl.types import Array, Float

__all__ = ["POLICIES", "Experts", "Policy", "uniform_action"]

Leaves = Mapping[str, Any]
Parameters = Float[Array, "*batch parameter"]
Action = Float[Array, "*batch action"]
LogProbability = Float[Array, "*batch"]


class Experts(NamedTuple):
    """The components of a mixture, each of which is improved by samples of its own.

    Attributes:
        count: how many there are.
        sample: `(parameters, noise [expert, *batch, action]) -> (actions, log π(a|o))`: one of each, differentiable in
            all but the weights, with its density under the whole mixture.
        log_weights: `parameters -> [*batch, expert]`, of the gate.
    """

    count: int
    sample: Callable[[Parameters, Array], tuple[Array, Array]]
    log_weights: Callable[[Parameters], Array]


class Policy(NamedTuple):
    """A way to act. `noise` is standard normal, `[*batch, noise]`.

    Attributes:
        num_parameters: outputs of the network.
        num_noise: numbers of noise for each action; the first of them are as many as the action has.
        soft: whether actions have a log-probability, and with it an entropy.
        mode: `parameters -> action`, the best known.
        explore: `(parameters, noise, exploration leaves) -> action` in training.
        sample: `(parameters, noise) -> (action, log π(a|o))`, differentiable: what the policy is improved by. The
            logarithm of a policy without a density is 0.
        following: `(parameters, noise, backup leaves) -> (action, log π(a|o))` of the next step, in targets.
        exploration: traced defaults of exploration.
        backup: traced defaults of `following`.
        ranges: of both.
        kl: `(parameters, others) -> KL(π ‖ π')`; None where it has no closed form.
        experts: of a mixture.
    """

    num_parameters: int
    num_noise: int
    soft: bool
    mode: Callable[[Parameters], Action]
    explore: Callable[[Parameters, Array, Leaves], Action]
    sample: Callable[[Parameters, Array], tuple[Action, LogProbability]]
    following: Callable[[Parameters, Array, Leaves], tuple[Action, LogProbability]]
    exploration: Leaves = MappingProxyType({})
    backup: Leaves = MappingProxyType({})
    ranges: Mapping[str, Range] = MappingProxyType({})
    kl: Callable[[Parameters, Parameters], Array] | None = None
    experts: Experts | None = None


def uniform_action(noise: Action) -> Action:
    """Standard normal numbers as uniform ones on [-1, 1]: 2 Φ(x) - 1 = erf(x/√2)."""
    return jax.lax.erf(noise * 2.0**-0.5)


_LEAST_LOG_STD, _LARGEST_LOG_STD = -5.0, 2.0


def bounded_log_std(free: Float[Array, "..."]) -> Float[Array, "..."]:
    """log σ within [-5, 2]. It goes through tanh onto its bounds, where clipping would leave no slope."""
    return _LEAST_LOG_STD + 0.5 * (_LARGEST_LOG_STD - _LEAST_LOG_STD) * (jnp.tanh(free) + 1.0)


def squashed_gaussian(space: Box) -> Policy:
    """tanh(μ + σ x), x ~ N(0, I), log σ within [-5, 2] (Haarnoja et al., 2018, appendix C).

    log π(a|o) = log N(u) - Σ 2 (log 2 - u - softplus(-2u)) with a = tanh u, exact however close to ±1 a is. KL is that
    of the Gaussians, because a bijection leaves it unchanged.

    Args:
        space: of the actions.
    """
    size = flat_size(space)
    distribution = tanh_gaussian(Box(-1.0, 1.0, (size,)))

    def bounded(parameters: Parameters) -> Parameters:
        return jnp.concatenate([parameters[..., :size], bounded_log_std(parameters[..., size:])], axis=-1)

    def sample(parameters: Parameters, noise: Array) -> tuple[Action, LogProbability]:
        parameters = bounded(parameters)
        raw = distribution.sample(parameters, noise)
        return jnp.tanh(raw), distribution.log_prob(parameters, raw)

    return Policy(
        num_parameters=2 * size,
        num_noise=size,
        soft=True,
        mode=lambda parameters: jnp.tanh(parameters[..., :size]),
        explore=lambda parameters, noise, _: sample(parameters, noise)[0],
        sample=sample,
        following=lambda parameters, noise, _: sample(parameters, noise),
        kl=lambda parameters, others: distribution.kl(bounded(parameters), bounded(others)),
    )


# Experts' means start between minus and plus this before they are squashed, so that they differ.
_SPREAD = 0.5


def squashed_mixture(space: Box, num_experts: int) -> Policy:
    """tanh(μₖ + σₖ x), k ~ w: a mixture of experts with a gate (PMOE, Ren et al., 2021, section 4.1).

    log π(a|o) = log Σₖ wₖ N(u; μₖ, σₖ) - Σ log(1 - a²) with a = tanh u, exact. The best action is that of the expert
    with the largest weight. Of noise the last number chooses the expert: Φ of it is uniform.

    Args:
        space: of the actions.
        num_experts: components.
    """
    size = flat_size(space)
    distribution, choice = tanh_gaussian(Box(-1.0, 1.0, (size,))), categorical(num_experts)
    places = np.linspace(-_SPREAD, _SPREAD, num_experts, dtype=np.float32)[:, None]

    def split(parameters: Parameters) -> tuple[Array, Array]:
        """Log weights `[*batch, expert]`, and parameters of the experts' Gaussians `[*batch, expert, 2 action]`."""
        logits, rest = parameters[..., :num_experts], parameters[..., num_experts:]
        means, free = jnp.split(rest.reshape(*rest.shape[:-1], num_experts, 2 * size), 2, axis=-1)
        return jax.nn.log_softmax(logits), jnp.concatenate([means + places, bounded_log_std(free)], axis=-1)

    def density(log_weights: Array, gaussians: Array, raw: Action) -> LogProbability:
        return logsumexp(log_weights + distribution.log_prob(gaussians, raw[..., None, :]), axis=-1)

    def of_expert(values: Array, log_weights: Array, noise: Array) -> Array:
        chosen = choice.sample(log_weights, jax.scipy.stats.norm.cdf(noise[..., size]))
        return jnp.take_along_axis(values, chosen[..., None, None], axis=-2)[..., 0, :]

    def sample(parameters: Parameters, noise: Array) -> tuple[Action, LogProbability]:
        log_weights, gaussians = split(parameters)
        raw = distribution.sample(of_expert(gaussians, log_weights, noise), noise[..., :size])
        return jnp.tanh(raw), density(log_weights, gaussians, raw)

    def sample_each(parameters: Parameters, noise: Array) -> tuple[Array, Array]:
        log_weights, gaussians = split(parameters)
        log_weights = jax.lax.stop_gradient(log_weights)
        raw = distribution.sample(jnp.moveaxis(gaussians, -2, 0), noise)
        return jnp.tanh(raw), jax.vmap(partial(density, log_weights, gaussians))(raw)

    def mode(parameters: Parameters) -> Action:
        log_weights, gaussians = split(parameters)
        best = jnp.argmax(log_weights, axis=-1)[..., None, None]
        return jnp.tanh(jnp.take_along_axis(gaussians, best, axis=-2)[..., 0, :size])

    return Policy(
        num_parameters=num_experts * (1 + 2 * size),
        num_noise=size + 1,
        soft=True,
        mode=mode,
        explore=lambda parameters, noise, _: sample(parameters, noise)[0],
        sample=sample,
        following=lambda parameters, noise, _: sample(parameters, noise),
        experts=Experts(num_experts, sample_each, lambda parameters: split(parameters)[0]),
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
        num_noise=flat_size(space),
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


def _soft(space: Box, smooth: bool, num_experts: int) -> Policy:
    return squashed_gaussian(space) if num_experts == 1 else squashed_mixture(space, num_experts)


# `(action space, smooth, number of experts) -> Policy`, by name.
POLICIES: dict[str, Callable[[Box, bool, int], Policy]] = {
    "squashed_gaussian": _soft,
    "deterministic": lambda space, smooth, _: deterministic(space, smooth),
}
