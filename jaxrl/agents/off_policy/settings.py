"""Static settings and traced hyperparameters that all off-policy agents share."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax

from jaxrl.configs import check_config
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.tasks import measured_parts
from jaxrl.errors import require_name
from jaxrl.optimisers import OPTIMISERS
from jaxrl.optimisers.plain import PLAIN
from jaxrl.ranges import COUNT, LIMIT, NOT_NEGATIVE, PROBABILITY, SOME, Range
from jaxrl.types import Array, Float, PyTree

__all__ = [
    "BROUGHT_BY",
    "RANGES",
    "OffPolicyConfig",
    "OffPolicyHyperparameters",
    "replay_leaves",
    "validate",
]

_SHARE = Range(0, 1, high_open=True)


@dataclass(frozen=True, kw_only=True)
class OffPolicyConfig:
    """What is static: shapes and the structure of the program."""

    num_envs: Annotated[int, COUNT] = 8
    """Copies of the environment that act side by side."""
    num_steps: Annotated[int, COUNT] = 8
    """Steps of each copy per iteration, under one set of parameters."""
    num_updates: Annotated[int, COUNT] = 16
    """Gradient steps per iteration."""
    batch_size: Annotated[int, COUNT] = 128
    """Samples of a gradient step: windows of `return_steps` steps, or sequences of a network with a memory."""
    buffer_size: Annotated[int, COUNT] = 100_000
    """Environment steps that are kept, of all copies together; rounded up to whole iterations."""
    learning_starts: Annotated[int, SOME] = 1_000
    """Environment steps before the first gradient step, taken by actions that are all equally likely."""
    replay: str = "uniform"
    """How samples are drawn: uniform, or prioritised by their temporal-difference errors, with priority_exponent and
    importance_exponent, hyperparameters that come with it."""
    return_steps: Annotated[int, COUNT] = 1
    """Rewards that are summed up before the critic stands for the rest: n of n-step returns."""
    target_period: Annotated[int, COUNT] = 1
    """Gradient steps between two moves of the target network, each by target_rate."""
    network: str = "auto"
    """auto (CNN for an image, parts where one of several parts is an image, else MLP of all of them), mlp, cnn, parts
    (an encoder for each part of an observation) or, where actions are discrete, with a memory gru or lstm."""
    hidden_sizes: Annotated[tuple[int, ...], COUNT] = (128, 128)
    """Widths of the dense layers, or of the blocks of residual ones."""
    activation: str = "relu"
    """tanh, relu, swish, elu or gelu."""
    channels: Annotated[int, COUNT] = 16
    """Filters of the convolution."""
    layer_norm: bool = False
    """Whether every dense layer of a critic is normalised."""
    dropout: Annotated[float, _SHARE] = 0.0
    """Share of a critic's features that are dropped while it learns."""
    residual: bool = False
    """Whether layers are the residual blocks of SimBa."""
    normalise_observations: bool = False
    """Standardise observations by their running mean and deviation; of several parts, those that are numbers. What is
    replayed is standardised as what is acted on."""
    condition_on_weights: bool = False
    """One network for all preference weights: every copy acts under weights of its own until its episode ends,
    and every sample is learned from under weights of its own."""
    num_preferences: Annotated[int, SOME] = 0
    """Different weights that a conditioned network acts under at once, the corners of the simplex among them; 0 draws
    one for every copy."""
    optimiser: str = "adam"
    """After clipping by global norm adam, rmsprop or sgd, or one whose settings are hyperparameters that come with it
    (weight_decay, beta_1, beta_2, momentum): adamw, nadam, nadamw, radam, amsgrad, adabelief, adamax, yogi, adagrad,
    lion, momentum or nesterov; or a learned one: open or open_large (for values of discrete actions)."""
    anneal_learning_rate: bool = False
    """Anneal the learning rate linearly to zero over the run."""

    __post_init__ = check_config


class OffPolicyHyperparameters(NamedTuple):
    """What is traced: every leaf can be swept, evolved or differentiated.

    Attributes:
        learning_rate: step size of the optimiser.
        discount: γ, a scalar or one entry per objective.
        target_rate: share of the network that the target network moves towards it, every `target_period` steps; 1
            replaces it.
        max_gradient_norm: global norm to which gradients are clipped.
        weights: preference weights over objectives, non-negative.
        support: preference weights of the policies that are improved on together, where `policies` is support; else ().
        exploration: of how the agent explores.
        replay: of prioritised replay.
        head: of what the critic's outputs mean.
        backup: of how values are backed up.
        objective: of how a policy is improved.
        optimiser: parameters of the optimiser, if it has any.
        environment: parameters of the environment.
    """

    learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 3e-4
    discount: Annotated[Float[Array, "..."] | float, PROBABILITY] = 0.99
    target_rate: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.005
    max_gradient_norm: Annotated[Float[Array, ""] | float, LIMIT] = 10.0
    weights: Float[Array, " objective"] | None = None
    support: Float[Array, "policy objective"] | tuple[()] = ()
    exploration: dict[str, Array] = {}  # noqa: RUF012
    replay: dict[str, Array] = {}  # noqa: RUF012
    head: dict[str, Array] = {}  # noqa: RUF012
    backup: dict[str, Array] = {}  # noqa: RUF012
    objective: dict[str, Array] = {}  # noqa: RUF012
    optimiser: PyTree = ()
    environment: PyTree = ()


_PRIORITISED = {"priority_exponent": 0.6, "importance_exponent": 0.4}
# Traced leaves that exist under some static settings alone, and which.
BROUGHT_BY: dict[str, str] = {
    **dict.fromkeys(_PRIORITISED, "replay=prioritised"),
    **{
        leaf: f"optimiser={' or '.join(name for name, plain in PLAIN.items() if leaf in plain.settings)}"
        for leaf in ("weight_decay", "beta_1", "beta_2", "momentum")
    },
}
RANGES: dict[str, Range] = {
    "replay.priority_exponent": NOT_NEGATIVE,
    "replay.importance_exponent": PROBABILITY,
}


def replay_leaves(config: OffPolicyConfig) -> dict[str, float]:
    """The leaf `hyperparameters.replay`."""
    return dict(_PRIORITISED) if config.replay == "prioritised" else {}


def validate(config: OffPolicyConfig, spec: EnvironmentSpec, learned: bool = False) -> None:
    """Checks settings against each other and the environment; `learned` says that the optimiser is, and was checked.

    Raises:
        UnknownNameError: for an unknown replay or optimiser, with the nearest match.
        ValueError: naming the setting, its value and what is allowed.
    """
    require_name("replay", config.replay, ("uniform", "prioritised"))
    if config.optimiser in OPTIMISERS and not learned:
        raise ValueError(
            f"optimiser={config.optimiser!r} is learned, and among off-policy agents those of action values take one"
        )
    require_name("optimiser", config.optimiser, (*PLAIN, *OPTIMISERS))
    if spec.num_tasks:
        raise ValueError(f"off-policy agents do not learn several tasks at once, {spec.name} has {spec.num_tasks}")
    if config.buffer_size < config.batch_size:
        raise ValueError(f"buffer_size={config.buffer_size} is less than a minibatch of batch_size={config.batch_size}")
    if config.learning_starts > config.buffer_size:
        raise ValueError(
            f"learning_starts={config.learning_starts} is more than a buffer of buffer_size={config.buffer_size} holds"
        )
    if config.residual and config.dropout:
        raise ValueError(f"dropout={config.dropout} would have no effect here: it needs residual=False")
    if config.normalise_observations and not _has_numbers(spec):
        raise ValueError(
            f"normalise_observations needs a Box observation, or a part that is one, {spec.name} has {spec.observation}"
        )
    _validate_preferences(config, spec)


def _has_numbers(spec: EnvironmentSpec) -> bool:
    return bool(jax.tree.leaves(measured_parts(spec)))


def _validate_preferences(config: OffPolicyConfig, spec: EnvironmentSpec) -> None:
    if not config.num_preferences:
        return
    if not config.condition_on_weights:
        raise ValueError(f"num_preferences={config.num_preferences} needs condition_on_weights=True")
    if config.num_preferences < spec.num_objectives or config.num_envs % config.num_preferences:
        raise ValueError(
            f"num_preferences={config.num_preferences} must be 0, or at least {spec.num_objectives} (one per "
            f"objective) and divide num_envs={config.num_envs}"
        )
