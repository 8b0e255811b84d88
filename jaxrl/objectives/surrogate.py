"""Hand-written surrogates, and all of them by name."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jaxrl.objectives.base import Surrogate, SurrogateInputs
from jaxrl.objectives.learned_drift import LEARNED
from jaxrl.ranges import LIMIT, NOT_NEGATIVE, POSITIVE
from jaxrl.registry import Registry
from jaxrl.types import Array, PyTree

__all__ = ["SURROGATES", "Surrogate", "SurrogateInputs", "make_surrogate"]


def _defaults(**values: float) -> Callable[[Array | None], dict[str, Array]]:
    return lambda key: {name: jnp.asarray(value) for name, value in values.items()}


def clip() -> Surrogate:
    """-min(r A, clip(r, 1-ε, 1+ε) A) (PPO, Schulman et al., 2017, equation 7)."""

    def apply(inputs: SurrogateInputs, parameters: Mapping[str, Array], state: PyTree) -> Array:
        ratio, epsilon = jnp.exp(inputs.log_ratio), parameters["clip_epsilon"]
        clipped = jnp.clip(ratio, 1.0 - epsilon, 1.0 + epsilon)
        return -jnp.minimum(ratio * inputs.advantage, clipped * inputs.advantage)

    return Surrogate(_defaults(clip_epsilon=0.2), apply, ranges={"clip_epsilon": LIMIT})


def policy_gradient() -> Surrogate:
    """-A log π, written with log r so that its value is 0 at the old policy (Williams, 1992)."""

    def apply(inputs: SurrogateInputs, parameters: Mapping[str, Array], state: PyTree) -> Array:
        return -inputs.log_ratio * inputs.advantage

    return Surrogate(_defaults(), apply)


def kl_penalty() -> Surrogate:
    """-(r A - β KL(π_old ‖ π)) with a fixed β (Schulman et al., 2017, equation 8)."""

    def apply(inputs: SurrogateInputs, parameters: Mapping[str, Array], state: PyTree) -> Array:
        return parameters["kl_coefficient"] * inputs.kl_from_old - jnp.exp(inputs.log_ratio) * inputs.advantage

    ranges = {"kl_coefficient": NOT_NEGATIVE}
    return Surrogate(_defaults(kl_coefficient=1.0), apply, uses_divergence=True, ranges=ranges)


def adaptive_kl_penalty() -> Surrogate:
    """As `kl_penalty`, β halved below target/1.5, doubled above 1.5 target (Schulman et al., 2017, section 4)."""

    def apply(inputs: SurrogateInputs, parameters: Mapping[str, Array], state: Array) -> Array:
        return state * inputs.kl_from_old - jnp.exp(inputs.log_ratio) * inputs.advantage

    def update(state: Array, kl: Array, parameters: Mapping[str, Array]) -> Array:
        target = parameters["kl_target"]
        factor = jnp.where(kl < target / 1.5, 0.5, jnp.where(kl > target * 1.5, 2.0, 1.0))
        return jnp.clip(state * factor, 1e-6, 1e6)

    return Surrogate(
        _defaults(kl_coefficient=1.0, kl_target=0.01),
        apply,
        lambda parameters: jnp.asarray(parameters["kl_coefficient"], jnp.float32),
        update,
        uses_divergence=True,
        ranges={"kl_coefficient": NOT_NEGATIVE, "kl_target": POSITIVE},
    )


def mirror_descent() -> Surrogate:
    """-(r A - KL(π ‖ π_old)/tₖ), tₖ = t₀ (1 - progress) (MDPO, arXiv 2005.09814, section 4.1 and appendix)."""

    def apply(inputs: SurrogateInputs, parameters: Mapping[str, Array], state: PyTree) -> Array:
        step_size = parameters["step_size"] * jnp.maximum(1.0 - inputs.progress, 1e-3)
        return inputs.kl_to_old / step_size - jnp.exp(inputs.log_ratio) * inputs.advantage

    ranges = {"step_size": POSITIVE}
    return Surrogate(_defaults(step_size=1.0), apply, uses_divergence=True, ranges=ranges)


def drift() -> Surrogate:
    """-(r A - f(r, A)) with the closed-form drift of DPO (arXiv 2210.05639, equation 9).

    f = relu((r-1)A - α tanh((r-1)A/α)) for A ≥ 0 and relu(A log r - β tanh(A log r/β)) for A < 0.
    f ≥ 0, and f and its gradient vanish at r = 1.
    """

    def apply(inputs: SurrogateInputs, parameters: Mapping[str, Array], state: PyTree) -> Array:
        ratio, advantage = jnp.exp(inputs.log_ratio), inputs.advantage
        alpha, beta = parameters["alpha"], parameters["beta"]
        positive = (ratio - 1.0) * advantage
        negative = inputs.log_ratio * advantage
        penalty = jnp.where(
            advantage >= 0.0,
            jax.nn.relu(positive - alpha * jnp.tanh(positive / alpha)),
            jax.nn.relu(negative - beta * jnp.tanh(negative / beta)),
        )
        return penalty - ratio * advantage

    return Surrogate(_defaults(alpha=2.0, beta=0.6), apply, ranges={"alpha": POSITIVE, "beta": POSITIVE})


SURROGATES = Registry(
    "surrogate",
    {
        "clip": clip,
        "policy_gradient": policy_gradient,
        "kl_penalty": kl_penalty,
        "adaptive_kl_penalty": adaptive_kl_penalty,
        "mirror_descent": mirror_descent,
        "drift": drift,
        **LEARNED,
    },
    Surrogate,
)
make_surrogate = SURROGATES.make
