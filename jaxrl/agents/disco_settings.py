"""Static settings and traced hyperparameters of DiscoRL's agent."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from jaxrl.configs import check_config
from jaxrl.ranges import COUNT, LIMIT, NOT_NEGATIVE, NUMBER, POSITIVE, PROBABILITY, Range
from jaxrl.types import Array, Float, PyTree

__all__ = ["DiscoConfig", "DiscoHyperparameters"]


@dataclass(frozen=True, kw_only=True)
class DiscoConfig:
    """What is static: shapes and the structure of the program. Sizes of the rule are the published ones."""

    num_envs: Annotated[int, COUNT] = 16
    """Copies of the environment that act side by side."""
    num_steps: Annotated[int, COUNT] = 29
    """Steps of each copy per iteration: the stretch that the rule sees."""
    num_predictions: Annotated[int, COUNT] = 600
    """Categories of the predictions y and z."""
    num_bins: Annotated[int, Range(2, integer=True)] = 601
    """Bins of action values."""
    max_value: Annotated[float, POSITIVE] = 300.0
    """Largest value of the bins, after values are squashed to about the root."""
    trajectory_size: Annotated[int, COUNT] = 256
    """Width of the rule's LSTM along trajectories."""
    lifetime_size: Annotated[int, COUNT] = 128
    """Width of the rule's LSTM along updates."""
    parameters: str = ""
    """File of published parameters of the rule, your own copy of disco_103.npz, which meta-training then starts from;
    without it, the rule is random."""
    network: str = "auto"
    """auto (CNN for an image, parts where one of several parts is an image, else MLP of all of them), mlp, cnn, parts
    (an encoder for each part of an observation) or table (one row per Discrete observation)."""
    hidden_sizes: Annotated[tuple[int, ...], COUNT] = (64, 64)
    """Widths of the dense layers."""
    model_size: Annotated[int, COUNT] = 64
    """Width of the step per action, an LSTM's, and of its heads' hidden layers."""
    activation: str = "relu"
    """tanh, relu, swish, elu or gelu."""
    channels: Annotated[int, COUNT] = 16
    """Filters of the convolution."""
    anneal_learning_rate: bool = False
    """Anneal the learning rate linearly to zero over the run."""

    __post_init__ = check_config


class DiscoHyperparameters(NamedTuple):
    """What is traced.

    Attributes:
        learning_rate: step size of Adam.
        max_update: bound on every entry of Adam's direction, before the learning rate.
        discount: γ.
        retrace_lambda: λ of the targets of action values.
        target_decay: how much of the target network's parameters an update keeps.
        policy_coefficient: weight of KL(π̂ ‖ π).
        prediction_coefficient: weight of KL(ŷ ‖ y).
        action_prediction_coefficient: weight of KL(ẑ ‖ z) of the action taken.
        next_policy_coefficient: weight of the loss of predicting the next policy.
        value_coefficient: weight of the loss of action values.
        weights: preference weights over objectives; rewards are summed under them.
        objective: parameters of the rule.
        environment: parameters of the environment.
    """

    learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 3e-4
    max_update: Annotated[Float[Array, ""] | float, LIMIT] = 1.0
    discount: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.997
    retrace_lambda: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.95
    target_decay: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.9
    policy_coefficient: Annotated[Float[Array, ""] | float, NUMBER] = 1.0
    prediction_coefficient: Annotated[Float[Array, ""] | float, NUMBER] = 1.0
    action_prediction_coefficient: Annotated[Float[Array, ""] | float, NUMBER] = 1.0
    next_policy_coefficient: Annotated[Float[Array, ""] | float, NUMBER] = 1.0
    value_coefficient: Annotated[Float[Array, ""] | float, NUMBER] = 0.2
    weights: Float[Array, " objective"] | None = None
    objective: PyTree = ()
    environment: PyTree = ()
