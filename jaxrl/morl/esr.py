"""Expected scalarised returns: policies that are optimal for the utility of every single episode."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxrl.environments.base import Environment
from jaxrl.environments.registry import make
from jaxrl.environments.utility_transforms import accrued_reward, utility_reward
from jaxrl.training.trainer import Trainer, trainer
from jaxrl.types import Array

__all__ = ["esr_environment", "esr_trainer"]


def esr_environment(
    environment: str | Environment,
    utility: Callable[..., Array],
    discount: float = 1.0,
    parameters: Mapping[str, float | Sequence[float]] | None = None,
    scale: Sequence[float] | float = 1.0,
) -> Environment:
    """Shows the accrued return and pays the gain in utility: E[u(R)] becomes an ordinary objective.

    See `transforms.accrued_reward` and `transforms.utility_reward`, whose arguments these are; the
    accrued return and the one whose utility is paid have the same discount.
    """
    environment = make(environment) if isinstance(environment, str) else environment
    seeing = accrued_reward(environment, discount, scale)
    return utility_reward(seeing, utility, discount, parameters)


def esr_trainer(
    environment: str | Environment,
    utility: Callable[..., Array],
    agent: str | Callable = "reinforce",
    *,
    discount: float = 1.0,
    parameters: Mapping[str, float | Sequence[float]] | None = None,
    scale: Sequence[float] | float = 1.0,
    **settings: Any,
) -> Trainer:
    """Maximises E[u(Σ γᵗ rₜ)]: expected utility policy gradient with `reinforce`, or any other agent.

    ∇E[u(R)] = E[Σₜ ∇log π(aₜ | oₜ, R₀…ₜ₋₁, t) (u(R) - u(R₀…ₜ₋₁) - V)]: the utility of the whole return, minus a
    baseline that the observation determines (EUPG, Roijers et al., 2018). The agent's own discount
    is 1 and its weights choose the utility; evaluation reports u(R) - u(0) first, then the original
    objectives. With `num_steps` a multiple of the time limit no return of `reinforce` is cut.

    Args:
        environment: its name, or an environment.
        utility: `(returns [objective], **parameters) -> scalar`.
        agent: a name of `jaxrl list agents`, or a builder.
        discount: γ inside the utility.
        parameters: the utility's traced parameters.
        scale: what the accrued return is divided by in the observation.
        settings: of the trainer, as in `jaxrl.trainer`.

    Raises:
        ValueError: for `weights` among the settings, or values that do not fit.
    """
    if "weights" in settings:
        raise ValueError("esr_trainer sets the weights to the utility; put preferences into its parameters")
    built = esr_environment(environment, utility, discount, parameters, scale)
    weights = [1.0] + [0.0] * (built.spec.num_objectives - 1)
    # This is the agent's discount; the utility's own is a parameter of the environment.
    return trainer(agent, built, discount=1.0, weights=weights, **settings)
