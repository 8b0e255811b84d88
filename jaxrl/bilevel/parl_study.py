"""The contract of learning a reward from preferences: settings, state, and one bilevel program as pure functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from jaxrl.bilevel.contract import BilevelEvaluation, bilevel_program
from jaxrl.bilevel.soft_policies import LOWER_FIELDS
from jaxrl.configs import check_config
from jaxrl.environments.base import Environment
from jaxrl.errors import require_name
from jaxrl.morl.tabular.model import Model
from jaxrl.numerics.linear_solve import SOLVERS
from jaxrl.ranges import COUNT, NOT_NEGATIVE, NUMBER, POSITIVE, PROBABILITY, Range
from jaxrl.training.loop import Result
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray, PyTree

__all__ = ["Pairs", "ParlConfig", "ParlHyperparameters", "ParlState", "ParlStudy"]

_UPPER = ("likelihood", "preference")


@dataclass(frozen=True, kw_only=True)
class ParlConfig:
    """Static settings."""

    num_rounds: Annotated[int, COUNT] = 40
    """Rounds of labelling."""
    num_pairs: Annotated[int, COUNT] = 8
    """Pairs of trajectories labelled in each, both of the current policy."""
    num_fits: Annotated[int, COUNT] = 20
    """Steps of Adam on the reward in each round."""
    lower_iterations: Annotated[int, COUNT] = 100
    """Soft value iterations by which the policy follows the reward, from where it was."""
    upper: str = "likelihood"
    """What θ is to raise: likelihood (of the labels, the paper's) or preference (the chance of being preferred)."""
    lower_field: str = "bellman"
    """Whose zero the policy is for the implicit function theorem: bellman or policy_gradient (the paper's Hessian)."""
    solver: str = "neumann"
    """Of the implicit system: neumann (bellman), conjugate_gradient (policy_gradient), gmres, normal_equations."""
    solver_iterations: Annotated[int, COUNT] = 60
    """Its iterations at most; n terms of Neumann's series leave an error of order γⁿ."""
    evaluation_episodes: Annotated[int, COUNT] = 64
    """Episodes of the measured return in each round."""

    def __post_init__(self) -> None:
        check_config(self)
        require_name("upper objective", self.upper, _UPPER)
        require_name("lower field", self.lower_field, LOWER_FIELDS)
        require_name("linear solver", self.solver, SOLVERS)
        if self.solver == "conjugate_gradient" and self.lower_field == "bellman":
            raise ValueError("the bellman field's Jacobian is not symmetric: conjugate_gradient cannot solve it")
        if self.solver == "neumann" and self.lower_field == "policy_gradient":
            raise ValueError("neumann's steps of size 1 suit the bellman field; take another solver")


class ParlHyperparameters(NamedTuple):
    """Everything traced; any of them may be swept.

    Attributes:
        weights: w of the hidden reward w·r, which only labels and measured returns see.
        environment: its parameters; they may change rewards, not what actions do.
        precision: β of the labels.
        discount: γ of the policy.
        temperature: τ > 0 of its entropy.
        learning_rate: of Adam on the reward.
        penalty: λ of −λ/2 ‖ν‖² in the upper objective.
        distribution_coefficient: 1 for the whole hypergradient; 0 leaves out how the reward moves the trajectories,
            which is alternating reward fits and policy optimisation.
        damping: δ of the implicit system.
    """

    weights: Float[Array, " objective"]
    environment: PyTree
    precision: Annotated[Float[Array, ""] | float, Range(0, finite=False)] = 1.0
    discount: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.9
    temperature: Annotated[Float[Array, ""] | float, POSITIVE] = 0.2
    learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.05
    penalty: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.01
    distribution_coefficient: Annotated[Float[Array, ""] | float, NUMBER] = 1.0
    damping: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 0.0


class Pairs(NamedTuple):
    """Labelled pairs of trajectories.

    Attributes:
        difference: summed features of the second trajectory minus those of the first.
        label: whether the second was preferred.
        number: numbers of the observations along both, first the first, `[2, time, batch]`.
        action: likewise.
        alive: which steps belong to the episodes, likewise.
    """

    difference: Float[Array, "batch feature"]
    label: Bool[Array, " batch"]
    number: Int[Array, "2 time batch"]
    action: Int[Array, "2 time batch"]
    alive: Bool[Array, "2 time batch"]


class ParlState(NamedTuple):
    """The complete state.

    Attributes:
        reward: ν, the weights of the features.
        logits: θ, the policy's table.
        optimiser: of ν.
        difference: of all pairs labelled so far, zeros where there are none yet.
        label: of them.
        key: base key; round i uses fold_in(key, i).
    """

    reward: Float[Array, " feature"]
    logits: Float[Array, "state action"]
    optimiser: PyTree
    difference: Float[Array, "pair feature"]
    label: Bool[Array, " pair"]
    key: PRNGKeyArray


@bilevel_program
class ParlStudy(NamedTuple):
    """One program of learning from preferences, a `LearnedProgram`.

    Attributes:
        step: one round; `metrics["hidden_return"]` is the mean undiscounted hidden return of the policy after it,
            `metrics["labels"]` the labels until then.
        label: `(key, logits, hyperparameters) -> Pairs`: fresh pairs of a policy.
        gradient: `(ν, θ, pairs, hyperparameters) -> dF/dν`, the hypergradient that those pairs estimate.
        model: what actions do.
        features: of states and actions.
        steps_per_iteration: environment steps of one round's pairs at most.
    """

    init: Callable[[PRNGKeyArray, ParlHyperparameters], ParlState]
    step: Callable[
        [ParlState, ParlHyperparameters, Int[Array, ""]], tuple[ParlState, tuple[dict[str, Array], BilevelEvaluation]]
    ]
    run: Callable[[PRNGKeyArray, ParlHyperparameters], Result]
    label: Callable[[PRNGKeyArray, Array, ParlHyperparameters], Pairs]
    gradient: Callable[[Array, Array, Pairs, ParlHyperparameters], Array]
    hyperparameters: ParlHyperparameters
    environment: Environment
    model: Model
    features: Float[Array, "state action feature"]
    config: ParlConfig
    settings: dict[str, Any]
    rebuild: Callable[..., "ParlStudy"]
    steps_per_iteration: int

    @property
    def num_iterations(self) -> int:
        """Rounds of a run."""
        return self.config.num_rounds

    @staticmethod
    def value(state: ParlState) -> Float[Array, " feature"]:
        """What a run has learned: the reward's weights."""
        return state.reward
