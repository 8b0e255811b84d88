"""Static settings and traced hyperparameters of MAML."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax.numpy as jnp

from jaxrl.configs import check_config
from jaxrl.environments.family import TaskFamily
from jaxrl.errors import require_name
from jaxrl.ranges import COUNT, LIMIT, NOT_NEGATIVE, NUMBER, POSITIVE, PROBABILITY, SOME
from jaxrl.types import Array, Float, PyTree

__all__ = ["MamlConfig", "MamlHyperparameters", "validate"]


@dataclass(frozen=True, kw_only=True)
class MamlConfig:
    """What is static."""

    adaptation_steps: Annotated[int, SOME] = 1
    """Inner gradient steps, each on a fresh rollout; 0 trains one policy for all tasks, without adapting."""
    order: str = "second"
    """second differentiates through inner gradients, first takes them for constants."""
    inner_surrogate: str = "clip"
    """Loss of inner steps: clip, whose curvature is that of the expected return at the acting policy (Rothfuss et al.,
    2019), or policy_gradient, that of log-probabilities, as in MAML's own code."""
    num_envs: Annotated[int, COUNT] = 16
    """Copies of each task that act side by side."""
    num_steps: Annotated[int, SOME] = 0
    """Steps of each copy per rollout; 0 takes the time limit."""
    tasks_per_iteration: Annotated[int, SOME] = 0
    """Tasks drawn without replacement for each outer step; 0 takes all."""
    num_epochs: Annotated[int, COUNT] = 4
    """Outer gradient steps on the same rollouts, with the clipped surrogate."""
    num_iterations: Annotated[int, COUNT] = 200
    """Iterations of a run."""
    num_evaluations: Annotated[int, COUNT] = 10
    """Evaluations at equal intervals, the last one at the end."""
    evaluation_adaptations: Annotated[int, SOME] = 3
    """Inner steps of an evaluation, which reports returns before and after each."""
    network: str = "auto"
    """auto (CNN for images, else MLP), mlp, cnn, gru or table."""
    hidden_sizes: Annotated[tuple[int, ...], COUNT] = (64, 64)
    """Widths of the dense layers."""
    activation: str = "tanh"
    """tanh, relu, swish, elu or gelu."""
    initial_log_std: float = 0.0
    """Initial log standard deviation of Gaussian policies."""

    __post_init__ = check_config


class MamlHyperparameters(NamedTuple):
    """What is traced.

    Attributes:
        learning_rate: of Adam on the meta-policy.
        inner_learning_rate: α of plain gradient descent, one for all inner steps or one each; evaluation goes on with
            the last.
        discount: γ.
        gae_lambda: λ.
        entropy_coefficient: bonus of the adapted policy's entropy in the outer loss.
        clip_epsilon: of the clipped surrogates.
        max_gradient_norm: global norm to which outer gradients are clipped.
        tasks: environment parameters to train on, leading axis `task`.
        evaluation_tasks: those of evaluations.
    """

    learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 1e-3
    inner_learning_rate: Annotated[Float[Array, "..."] | float, NUMBER] = 0.1
    discount: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.99
    gae_lambda: Annotated[Float[Array, ""] | float, PROBABILITY] = 1.0
    entropy_coefficient: Annotated[Float[Array, ""] | float, NUMBER] = 0.0
    clip_epsilon: Annotated[Float[Array, ""] | float, POSITIVE] = 0.2
    max_gradient_norm: Annotated[Float[Array, ""] | float, LIMIT] = 0.5
    tasks: PyTree = ()
    evaluation_tasks: PyTree = ()

    @property
    def weights(self) -> Float[Array, " objective"]:
        """Tasks have one objective."""
        return jnp.ones(1)


def validate(family: TaskFamily, config: MamlConfig) -> None:
    """Checks settings against each other and the tasks.

    Raises:
        ValueError: naming the setting, its value and what is allowed.
    """
    require_name("order", config.order, ("first", "second"))
    require_name("inner_surrogate", config.inner_surrogate, ("clip", "policy_gradient"))
    if not 0 <= config.tasks_per_iteration <= family.train.num_tasks:
        raise ValueError(
            f"tasks_per_iteration={config.tasks_per_iteration} must lie between 0 and {family.train.num_tasks}"
        )
    if not 1 <= config.num_evaluations <= config.num_iterations:
        raise ValueError(
            f"num_evaluations={config.num_evaluations} must lie between 1 and num_iterations={config.num_iterations}"
        )
    if not config.num_steps and family.environment.spec.time_limit is None:
        raise ValueError(f"{family.environment.spec.name} has no time limit: give num_steps")
