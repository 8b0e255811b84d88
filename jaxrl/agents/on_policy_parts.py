"""What an on-policy agent is put together of, and what it carries along."""

from typing import NamedTuple

from jaxrl.agents.acting import make_acting
from jaxrl.agents.settings import OnPolicyConfig
from jaxrl.aggregation import Aggregator, make_aggregator
from jaxrl.combination import Combination, make_combination
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.networks import ActorCritic, Attention, Heads, Scales, first_head, split_heads
from jaxrl.numerics import distributions
from jaxrl.numerics.distributions import Distribution
from jaxrl.numerics.normalisation import RewardScale
from jaxrl.objectives.surrogate import Surrogate, make_surrogate
from jaxrl.optimisers import OPTIMISERS, LearnedOptimiser
from jaxrl.types import PyTree

__all__ = ["OnPolicyState", "Parts", "make_parts"]


class OnPolicyState(NamedTuple):
    """Everything the agent carries from one update to the next.

    Attributes:
        params: network parameters.
        optimiser: optax state.
        observations: running statistics of observations, of each `Box` among their parts, or None.
        rewards: running scale of rewards, or None.
        aggregator: the aggregator's state, such as multipliers.
        surrogate: the surrogate's state, such as an adaptive coefficient.
    """

    params: PyTree
    optimiser: PyTree
    observations: PyTree
    rewards: RewardScale | None
    aggregator: PyTree
    surrogate: PyTree


class Parts(NamedTuple):
    """What the builder put together; static."""

    spec: EnvironmentSpec
    config: OnPolicyConfig
    distribution: Distribution
    network: ActorCritic
    aggregator: Aggregator
    surrogate: Surrogate
    optimiser: LearnedOptimiser | None
    combination: Combination
    heads: Heads | None = None


def make_parts(spec: EnvironmentSpec, config: OnPolicyConfig, auxiliary_heads: int = 0) -> Parts:
    """Distribution, network, aggregator, surrogate and, if it is learned, optimiser for an environment.

    Args:
        spec: the environment's spec.
        config: static settings.
        auxiliary_heads: policies and values on the same layers besides those that act, all of them in `heads`.

    Raises:
        ValueError: for a learned optimiser of a network whose actor and critic share layers.
    """
    distribution = distributions.for_space(
        spec.action,
        config.distribution,
        config.initial_log_std,
        config.mixture_components,
        masked=spec.action_mask is not None,
    )
    acting = make_acting(
        spec,
        config,
        distribution,
        1 if config.scalarise == "before_estimation" else spec.num_objectives,
        copies=1 + auxiliary_heads,
        scales=Scales(config.hidden_scale, config.policy_scale, config.value_scale),
        recurrent_size=config.recurrent_size,
        attention=Attention(
            layers=config.attention_layers,
            heads=config.attention_heads,
            context=config.context_length,
            sinks=config.attention_sinks,
            gated=config.gated_residuals,
        ),
        conditioning=config.conditioning if config.condition_on_weights else "none",
        hyper_features=config.hyper_features,
        hyper_hidden=config.hyper_hidden,
        num_heads=spec.num_tasks if config.multi_head else 0,
        unseen=0 if config.observe_task else spec.num_tasks,
    )
    aggregator, surrogate = make_aggregator(config.aggregator), make_surrogate(config.surrogate)
    optimiser = OPTIMISERS.make(config.optimiser) if config.optimiser in OPTIMISERS else None
    if (optimiser is not None or config.optimiser == "natural") and acting.network.activity is None:
        conditioning = f" and conditioning={config.conditioning!r}" if config.condition_on_weights else ""
        raise ValueError(
            f"optimiser={config.optimiser!r} tells actor from critic: it needs "
            f"network='mlp', 'cnn' or 'table', shared_torso=False and no hypernetwork, got network={config.network!r}, "
            f"shared_torso={config.shared_torso}{conditioning}"
        )
    combination, network, heads = make_combination(config.combination), acting.network, None
    if auxiliary_heads:
        heads = split_heads(network, 1 + auxiliary_heads, distribution.shared_parameters)
        network = first_head(network, 1 + auxiliary_heads, distribution.shared_parameters)
    return Parts(spec, config, distribution, network, aggregator, surrogate, optimiser, combination, heads)
