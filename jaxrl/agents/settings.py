"""Static settings and traced hyperparameters of on-policy agents."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.agents.effects import BROUGHT_BY, require_effect
from jaxrl.agents.fitting import validate_minibatches
from jaxrl.aggregation import Aggregator, make_aggregator
from jaxrl.combination import Combination, make_combination
from jaxrl.configs import check_config
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.tasks import measured_parts
from jaxrl.errors import require_name
from jaxrl.networks import RECURRENT
from jaxrl.numerics.schedules import Schedule
from jaxrl.objectives.surrogate import Surrogate
from jaxrl.optimisers import OPTIMISERS
from jaxrl.optimisers.plain import PLAIN
from jaxrl.ranges import COUNT, LIMIT, NOT_NEGATIVE, NUMBER, PROBABILITY, SOME, Range
from jaxrl.types import Array, Float, PyTree

__all__ = ["OnPolicyConfig", "OnPolicyHyperparameters", "default_weights", "validate"]


@dataclass(frozen=True, kw_only=True)
class OnPolicyConfig:
    """What is static: shapes and the structure of the program."""

    num_envs: Annotated[int, COUNT] = 8
    """Copies of the environment that act side by side."""
    num_steps: Annotated[int, COUNT] = 128
    """Steps of each copy per iteration."""
    num_epochs: Annotated[int, COUNT] = 4
    """Passes over the experience of one iteration."""
    num_minibatches: Annotated[int, COUNT] = 4
    """Minibatches per pass; must divide num_envs * num_steps (num_envs if recurrent)."""
    surrogate: str | Surrogate = "clip"
    """Policy loss: clip, policy_gradient, kl_penalty, adaptive_kl_penalty, mirror_descent, drift, or a learned drift:
    learned_drift, time_aware_drift, and both with _from_clip, which start from PPO's."""
    aggregator: str | Aggregator = "linear"
    """From one advantage per objective to one: linear, chebyshev, smooth_chebyshev, utility_gradient, max_min, gini,
    owa, lorenz, lagrangian, log_barrier, lexicographic, hypervolume_guided or decoupled_normalisation."""
    group_size: Annotated[int, SOME] = 0
    """Copies that begin every iteration from the same start and whose returns are compared with each other, instead of
    with estimated values; 0 estimates values."""
    standardise_advantages: str = "minibatch"
    """Standardise the aggregated advantage over each minibatch, the whole batch, or not: minibatch, batch or none."""
    network: str | Callable[..., Any] = "auto"
    """auto (CNN for an image, parts where one of several parts is an image, else MLP of all of them), mlp, cnn, parts
    (an encoder for each part of an observation), with a memory gru, lstm or attention, table (one row per Discrete or
    MultiDiscrete observation), the name of one's own (`jaxrl.register_network`) or, from Python, a flax module or a
    builder."""
    hidden_sizes: Annotated[tuple[int, ...], COUNT] = (64, 64)
    """Widths of the dense layers."""
    activation: str = "tanh"
    """tanh, relu, swish, elu or gelu."""
    shared_torso: bool = False
    """Whether actor and critic share all but their heads."""
    recurrent_size: Annotated[int, COUNT] = 64
    """Width of the memory: of the GRU, the LSTM, or the layers of network="attention"."""
    attention_layers: Annotated[int, COUNT] = 1
    """Layers of network="attention"."""
    attention_heads: Annotated[int, COUNT] = 4
    """Heads of each of these layers; must divide recurrent_size."""
    context_length: Annotated[int, COUNT] = 64
    """Steps of the episode that each of these layers looks back on."""
    attention_sinks: Annotated[int, SOME] = 1
    """Learned entries of each of these layers that are always there to be attended to."""
    gated_residuals: bool = True
    """Whether what these layers add passes the gates of GTrXL, or is summed up as it is."""
    channels: Annotated[int, COUNT] = 16
    """Filters of the convolution."""
    condition_on_weights: bool = False
    """One network for all preference weights, which are drawn anew, uniformly from the simplex, for every copy and
    iteration."""
    conditioning: str = "input"
    """How that network depends on the weights: input (they join the features) or hypernetwork (all dense layers are
    generated from them)."""
    hyper_features: Annotated[int, COUNT] = 16
    """Features of the weights that generated layers mix."""
    hyper_hidden: Annotated[tuple[int, ...], COUNT] = (128, 128)
    """Widths of the layers between weights and those features."""
    num_preferences: Annotated[int, SOME] = 0
    """Different weights per iteration of a conditioned network, the corners of the simplex among them; 0 draws one
    for every copy."""
    scalarise: str = "after_estimation"
    """Where objectives become one: before_estimation (the reward, with a scalar critic), after_estimation (the
    advantage) or after_clipping (the surrogate of each objective)."""
    combination: str | Combination = "average"
    """How gradients of several tasks, or of several objectives under scalarise="after_clipping", become one: average,
    normalised_average, pcgrad, cagrad or min_norm."""
    multi_head: bool = False
    """One head of the policy per task, where objectives are tasks."""
    observe_task: bool = True
    """Whether the network's layers see which task an episode is about, where objectives are tasks. Heads and values
    are chosen by it all the same."""
    distribution: str = "auto"
    """auto (categorical or gaussian), categorical, gaussian, gaussian_mixture and, within bounds, tanh_gaussian or
    beta."""
    mixture_components: Annotated[int, COUNT] = 3
    """Components of distribution="gaussian_mixture", of every action."""
    initial_log_std: float = 0.0
    """Initial log standard deviation of Gaussian policies, in units where bounds are [-1, 1]."""
    normalise_observations: bool = False
    """Standardise observations by their running mean and deviation; of several parts, those that are numbers."""
    normalise_rewards: bool = False
    """Divide each objective's rewards by the running deviation of their discounted sums."""
    clip_observations: bool = False
    """Clip what the network sees to plus and minus observation_clip, a hyperparameter that comes with this setting:
    after normalisation, which by itself clips to 10, or the observation as it is."""
    clip_rewards: bool = False
    """Clip the rewards that are learned from to plus and minus reward_clip, likewise: after their division by a running
    deviation, or as they are. Reported returns are never clipped."""
    hidden_scale: Annotated[float, NOT_NEGATIVE] = math.sqrt(2.0)
    """Gain of the orthogonal kernels that hidden layers start with."""
    policy_scale: Annotated[float, NOT_NEGATIVE] = 0.01
    """Gain of the kernel that the head of the policy starts with."""
    value_scale: Annotated[float, NOT_NEGATIVE] = 1.0
    """Gain of the kernel that the head of the values starts with."""
    clip_values: bool = False
    """Clip the change of values as PPO's first code did; see value_clip."""
    anneal_learning_rate: bool = True
    """Anneal the learning rate linearly to zero over the run, unless it has a schedule by name."""
    learning_rate_schedule: str | Schedule = "auto"
    """How learning_rate moves over the run: auto (see anneal_learning_rate), constant, linear, cosine, polynomial,
    exponential, warmup_constant, warmup_linear, warmup_cosine, warmup_exponential, piecewise_constant,
    piecewise_linear, piecewise_cosine, sgdr, cosine_onecycle, linear_onecycle, or one's own
    (`jaxrl.register_schedule`). Its ends and times are hyperparameters that come with it, as learning_rate_end."""
    entropy_schedule: str | Schedule = "constant"
    """How entropy_coefficient moves over the run, likewise: entropy_coefficient_end, ..."""
    clip_schedule: str | Schedule = "constant"
    """How clip_epsilon moves over the run, likewise: clip_epsilon_end, ..."""
    schedule_pieces: Annotated[int, Range(2, integer=True)] = 3
    """Pieces of piecewise schedules, which have a boundary and a factor less."""
    optimiser: str = "adam"
    """After clipping by global norm adam, rmsprop or sgd, or one whose settings are hyperparameters that come with it
    (weight_decay, beta_1, beta_2, momentum): adamw, nadam, nadamw, radam, amsgrad, adabelief, adamax, yogi, adagrad,
    lion, momentum or nesterov; natural, which moves the actor along the natural gradient and the critic by Adam; or a
    learned one, open or open_large, which clips actor and critic apart. Natural and learned ones need actor and critic
    to share no layers."""
    conjugate_gradient_steps: Annotated[int, COUNT] = 10
    """Iterations of the solver of optimiser="natural"."""
    stop_at_kl: bool = False
    """Take no more minibatches in an iteration once one of them finds the policy further than 1.5 target_kl, a
    hyperparameter that comes with this setting, from the one that acted."""

    __post_init__ = check_config


class OnPolicyHyperparameters(NamedTuple):
    """What is traced: every leaf can be swept, evolved or differentiated.

    Attributes:
        learning_rate: step size of the optimiser.
        discount: γ, a scalar or one entry per objective.
        gae_lambda: λ of generalised advantage estimation.
        entropy_coefficient: weight of the entropy bonus, in nats.
        value_coefficient: weight of the value loss.
        value_clip: largest change of a value per iteration, where `clip_values` is set.
        max_gradient_norm: global norm to which gradients are clipped.
        weights: preference weights over objectives, non-negative.
        objective: parameters of the surrogate.
        optimiser: parameters of the optimiser, if it has any.
        aggregator: parameters of the aggregator.
        combination: parameters of the combination of gradients.
        schedules: ends and times of what moves over the run, where a schedule has them.
        limits: of the divergence, observations and rewards, where `stop_at_kl`, `clip_observations` and `clip_rewards`
            are set.
        environment: parameters of the environment.
    """

    learning_rate: Annotated[Float[Array, ""] | float, NOT_NEGATIVE] = 2.5e-4
    discount: Annotated[Float[Array, "..."] | float, PROBABILITY] = 0.99
    gae_lambda: Annotated[Float[Array, ""] | float, PROBABILITY] = 0.95
    entropy_coefficient: Annotated[Float[Array, ""] | float, NUMBER] = 0.01
    value_coefficient: Annotated[Float[Array, ""] | float, NUMBER] = 0.5
    value_clip: Annotated[Float[Array, ""] | float, LIMIT] = 0.2
    max_gradient_norm: Annotated[Float[Array, ""] | float, LIMIT] = 0.5
    weights: Float[Array, " objective"] | None = None
    objective: dict[str, Array] = {}  # noqa: RUF012
    optimiser: PyTree = ()
    aggregator: dict[str, Array] = {}  # noqa: RUF012
    combination: dict[str, Array] = {}  # noqa: RUF012
    schedules: dict[str, Array] = {}  # noqa: RUF012
    limits: dict[str, Array] = {}  # noqa: RUF012
    environment: PyTree = ()

    brought_by = BROUGHT_BY


def validate(config: OnPolicyConfig, spec: EnvironmentSpec) -> None:
    """Checks settings against each other and the environment.

    Raises:
        ValueError: naming the setting, its value and what is allowed.
    """
    require_name("standardise_advantages", config.standardise_advantages, ("minibatch", "batch", "none"))
    require_name("optimiser", config.optimiser, (*PLAIN, "natural", *OPTIMISERS))
    validate_minibatches(config, config.network in RECURRENT)
    require_effect(config, spec)
    if config.normalise_observations and not jax.tree.leaves(measured_parts(spec)):
        raise ValueError(
            f"normalise_observations needs a Box observation, or a part that is one, {spec.name} has {spec.observation}"
        )
    _validate_scalarisation(config, spec)
    _validate_tasks(config, spec)
    if config.group_size:
        _validate_groups(config, spec)
    if config.condition_on_weights and make_aggregator(config.aggregator).needs_estimate:
        raise ValueError(
            f"aggregator {config.aggregator!r} estimates the returns of one policy and cannot be combined with "
            "condition_on_weights=True; allowed: linear, decoupled_normalisation"
        )


def _validate_groups(config: OnPolicyConfig, spec: EnvironmentSpec) -> None:
    if config.condition_on_weights:
        raise ValueError("groups compare returns under one preference: group_size needs condition_on_weights=False")
    if config.group_size < 2 or config.num_envs % config.group_size:
        raise ValueError(
            f"group_size={config.group_size} must be at least 2 and divide num_envs={config.num_envs}, or be 0"
        )
    if spec.time_limit is None or config.num_steps < spec.time_limit:
        raise ValueError(
            f"groups compare whole episodes: num_steps={config.num_steps} must cover the time limit "
            f"{spec.time_limit} of {spec.name}"
        )


def _validate_tasks(config: OnPolicyConfig, spec: EnvironmentSpec) -> None:
    if config.multi_head and not spec.num_tasks:
        raise ValueError(f"multi_head=True needs an environment whose objectives are tasks, {spec.name} has none")
    if not config.observe_task and not spec.num_tasks:
        raise ValueError(f"observe_task=False needs an environment whose objectives are tasks, {spec.name} has none")
    if config.network == "table" and not config.observe_task:
        raise ValueError("a table has a row per task and state: observe_task=False needs another network than 'table'")
    if config.multi_head and config.network == "table":
        raise ValueError("a table has rows for every task: multi_head=True needs another network than 'table'")
    if make_combination(config.combination).combine is None or spec.num_tasks:
        return
    if config.scalarise != "after_clipping":
        raise ValueError(
            f"combination={config.combination!r} needs a loss per task or per objective: an environment whose "
            f"objectives are tasks, or scalarise='after_clipping', got scalarise={config.scalarise!r}"
        )


def _validate_scalarisation(config: OnPolicyConfig, spec: EnvironmentSpec) -> None:
    require_name("scalarise", config.scalarise, ("before_estimation", "after_estimation", "after_clipping"))
    require_name("conditioning", config.conditioning, ("input", "hypernetwork"))
    if config.scalarise == "before_estimation" and config.aggregator != "linear":
        raise ValueError(
            f"scalarise='before_estimation' sums rewards by their weights and needs aggregator='linear', "
            f"got {config.aggregator!r}"
        )
    if config.scalarise == "after_clipping" and make_aggregator(config.aggregator).coefficients_of is not None:
        raise ValueError(
            f"aggregator {config.aggregator!r} reads advantages and needs scalarise='after_estimation', got "
            "'after_clipping'"
        )
    if not config.num_preferences:
        return
    if not config.condition_on_weights:
        raise ValueError(f"num_preferences={config.num_preferences} needs condition_on_weights=True")
    if config.num_preferences < spec.num_objectives or config.num_envs % config.num_preferences:
        raise ValueError(
            f"num_preferences={config.num_preferences} must be 0, or at least {spec.num_objectives} (one per "
            f"objective) and divide num_envs={config.num_envs}"
        )


def default_weights(spec: EnvironmentSpec) -> Float[Array, " objective"]:
    """Equal weights that sum to 1; of tasks, which never meet in one sample, 1 each."""
    return jnp.full(spec.num_objectives, 1.0 if spec.num_tasks else 1.0 / spec.num_objectives)
