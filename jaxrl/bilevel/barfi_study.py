"""The contract of behaviour alignment: settings, state, and one bilevel program as pure functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp

from jaxrl.bilevel.contract import BilevelEvaluation, bilevel_program
from jaxrl.bilevel.episodes import JACOBIANS
from jaxrl.bilevel.hypergradient import HypergradientConfig
from jaxrl.bilevel.reward import Alignment
from jaxrl.environments.base import Environment
from jaxrl.errors import require_name
from jaxrl.ranges import COUNT, NOT_NEGATIVE, NUMBER, PROBABILITY
from jaxrl.training.loop import Result
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = ["MODES", "BarfiConfig", "BarfiHyperparameters", "BarfiState", "BarfiStudy"]

MODES = ("bilevel", "potential", "primary", "sum")


@dataclass(frozen=True, kw_only=True)
class BarfiConfig(HypergradientConfig):
    """Static settings."""

    mode: str = "bilevel"
    """bilevel (the blend learns, from the plain sum on), sum (that sum stays), primary (the first reward alone) or
    potential (the others added to it as potentials)."""
    num_outer_steps: Annotated[int, COUNT] = 100
    """Steps of the outer loop."""
    num_inner_steps: Annotated[int, COUNT] = 1
    """K: policy-gradient steps under r_φ in each of them, each on fresh episodes."""
    num_episodes: Annotated[int, COUNT] = 32
    """Episodes of every estimate: of each inner step, of the implicit system and of the outer objective."""
    jacobian: str = "actions"
    """What ∂g/∂θ holds fixed: actions (states and advantages, as off-policy data do) or trajectories (nothing)."""
    network: str = "auto"
    """Of the policy: auto, mlp, cnn or table."""
    residual_network: str = "auto"
    """Of f(s, ·), the part of φ that depends on states and actions: auto, mlp, cnn or table."""
    hidden_sizes: Annotated[tuple[int, ...], COUNT] = (64, 64)
    """Widths of their dense layers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_name("mode", self.mode, MODES)
        require_name("jacobian", self.jacobian, JACOBIANS)


class BarfiHyperparameters(NamedTuple):
    """Everything traced; any of them may be swept.

    Attributes:
        weights: w of the outer objective w·r: 1 for the primary reward, 0 for auxiliary ones.
        environment: its parameters.
        coefficients: initial c: of a constant reward, then of each objective.
        potential: p of potential-based shaping Φ = p·r; zeros for none.
        discount: γ of the outer objective.
        inner_discount: initial γ_φ, in (0, 1).
        inner_learning_rate: α of the policy gradient.
        entropy_coefficient: τ of the policy's entropy, summed over an episode, in the inner objective.
        damping: δ of the implicit system.
        coefficient_learning_rate: of Adam on c; with the next two at 0, φ stays as it is.
        residual_learning_rate: of Adam on f.
        discount_learning_rate: of Adam on the logit of γ_φ.
        discount_penalty: λ_γ of the penalty −λ_γ γ_φ in the outer objective.
    """

    weights: Float[Array, " objective"]
    environment: PyTree
    coefficients: Float[Array, " term"]
    potential: Float[Array, " objective"]
    discount: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.99
    inner_discount: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.95
    inner_learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.1
    entropy_coefficient: Annotated[Float[Array, ""] | float, NUMBER] = 0.03
    damping: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.1
    coefficient_learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.3
    residual_learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.01
    discount_learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.01
    discount_penalty: Annotated[Float[Array, ""] | float, NUMBER] = 0.0


class BarfiState(NamedTuple):
    """The complete state: policy θ, φ, the optimiser of φ, and a base key (step i uses fold_in(key, i))."""

    policy: PyTree
    alignment: Alignment
    optimiser: PyTree
    key: PRNGKeyArray


@bilevel_program
class BarfiStudy(NamedTuple):
    """One bilevel program, a `LearnedProgram`.

    Attributes:
        step: the evaluation is of the policy after its inner steps.
        field: `(θ, φ, hyperparameters, key) -> g`, the policy gradient under r_φ.
        objective: `(θ, φ, hyperparameters, key) -> F`, what the outer problem maximises.
        steps_per_iteration: environment steps of one outer step at most.
    """

    init: Callable[[PRNGKeyArray, BarfiHyperparameters], BarfiState]
    step: Callable[
        [BarfiState, BarfiHyperparameters, Int[Array, ""]],
        tuple[BarfiState, tuple[dict[str, Array], BilevelEvaluation]],
    ]
    run: Callable[[PRNGKeyArray, BarfiHyperparameters], Result]
    field: Callable[[PyTree, Alignment, BarfiHyperparameters, PRNGKeyArray], PyTree]
    objective: Callable[[PyTree, Alignment, BarfiHyperparameters, PRNGKeyArray], Float[Array, ""]]
    hyperparameters: BarfiHyperparameters
    environment: Environment
    config: BarfiConfig
    settings: dict[str, Any]
    rebuild: Callable[..., "BarfiStudy"]
    steps_per_iteration: int

    @property
    def num_iterations(self) -> int:
        """Outer steps of a run."""
        return self.config.num_outer_steps

    @staticmethod
    def value(state: BarfiState) -> Alignment:
        """What a run has learned: the blend of rewards and its discount."""
        return state.alignment

    def mode(self, name: str) -> BarfiHyperparameters:
        """The settings with which the same program is the method or one of its baselines.

        `bilevel` is BARFI from the plain sum on; `sum` keeps that sum, `primary` the first reward alone; `potential`
        adds the other rewards to it as potentials (Ng et al., 1999). They differ in traced leaves only, so that all
        of them are members of one vmapped run.

        Raises:
            UnknownNameError: for an unknown mode.
            ValueError: for a study whose config fixes another mode.
        """
        if self.config.mode not in ("bilevel", require_name("mode", name, MODES)):
            raise ValueError(f"this study is fixed in mode {self.config.mode!r}: build one without mode=")
        return in_mode(self.hyperparameters, name)


_RATES = ("coefficient_learning_rate", "residual_learning_rate", "discount_learning_rate")
# What each mode decides, so that it cannot be set beside it.
DECIDED: dict[str, tuple[str, ...]] = {
    "bilevel": (),
    "sum": _RATES,
    "primary": (*_RATES, "coefficients"),
    "potential": (*_RATES, "coefficients", "potential"),
}


def in_mode(hp: BarfiHyperparameters, name: str) -> BarfiHyperparameters:
    """`BarfiStudy.mode` of given settings."""
    if name == "bilevel":
        return hp
    frozen = {rate: jnp.zeros_like(getattr(hp, rate)) for rate in _RATES}
    alone = jnp.concatenate([jnp.zeros(1), hp.weights])
    coefficients = hp.coefficients if name == "sum" else alone
    potential = (hp.weights == 0.0).astype(jnp.float32) if name == "potential" else hp.potential
    return hp._replace(coefficients=coefficients, potential=potential, **frozen)
