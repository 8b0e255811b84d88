"""Settings of agents with continuous actions, static and traced, and what they need of each other."""

from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

from jaxrl.agents.off_policy.ensembles import IMPROVEMENTS, REDUCTIONS, Reduction
from jaxrl.agents.off_policy.heads import HEADS, Head
from jaxrl.agents.off_policy.policies import POLICIES, Policy
from jaxrl.agents.off_policy.settings import BROUGHT_BY, OffPolicyConfig, OffPolicyHyperparameters
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.environments.spaces import Box
from jaxrl.errors import require_name
from jaxrl.networks.critics import Network
from jaxrl.ranges import COUNT, SOME, Range

__all__ = ["ActorCriticConfig", "ActorCriticHyperparameters", "Choices", "Parts", "choices", "fit_updates"]

_ATOMS = Range(2, integer=True)


@dataclass(frozen=True, kw_only=True)
class ActorCriticConfig(OffPolicyConfig):
    """What is static of agents that learn a policy of continuous actions by critics of an observation and an action."""

    num_envs: Annotated[int, COUNT] = 4
    """Copies of the environment that act side by side."""
    num_updates: Annotated[int, COUNT] = 32
    """Gradient steps per iteration. Where num_envs or num_steps change and it does not, it follows them, so that there
    are as many for each environment step."""
    batch_size: Annotated[int, COUNT] = 256
    """Samples of a gradient step: windows of `return_steps` steps."""
    hidden_sizes: Annotated[tuple[int, ...], COUNT] = (256, 256)
    """Widths of the dense layers of the actor, or of its residual blocks; of the critics, too, unless critic_sizes."""
    critic_sizes: Annotated[tuple[int, ...], COUNT] = ()
    """Widths of the critics' layers, where they are others than the actor's."""
    policy: str = "squashed_gaussian"
    """squashed_gaussian (tanh of a normal distribution, with an entropy that counts beside the rewards) or
    deterministic (with noise of exploration_noise added in training)."""
    num_experts: Annotated[int, COUNT] = 1
    """Components of the squashed Gaussian: experts that each learn from samples of their own, and a gate that learns
    which of these are best (PMOE)."""
    mirror_steps: Annotated[int, SOME] = 0
    """Gradient steps of the policy that stay close to one previous policy, by a divergence that step_size, a
    hyperparameter that comes with it, makes cheap (MDPO); 0 leaves it out. Of a squashed Gaussian with one expert."""
    tune_temperature: bool = True
    """Whether the worth of entropy is tuned so that it becomes target_entropy, from initial_temperature on; otherwise
    it is temperature, a hyperparameter, in which 0 leaves entropy out."""
    smooth_targets: bool = False
    """Whether the action of a target has noise of target_noise, clipped at target_noise_clip (TD3); of a deterministic
    policy."""
    policy_delay: Annotated[int, COUNT] = 1
    """Gradient steps of the critics for each of the policy and the temperature. The target networks have a period of
    their own, target_period; of td3 it follows this one."""
    target_network: bool = True
    """Whether targets come from networks that follow those that learn at target_rate; CrossQ has none."""
    num_critics: Annotated[int, COUNT] = 2
    """Critics, each with parameters and targets of its own."""
    target_critics: str = "minimum"
    """What critics make of a target: minimum (the vector of the one whose aggregate is smallest), subset_minimum (of
    subset_size random ones, drawn for every gradient step), mean, or truncation (all of their quantiles but the
    num_critics * dropped_atoms largest)."""
    policy_critics: str = "minimum"
    """What critics the policy is improved by: minimum, mean or first."""
    subset_size: Annotated[int, COUNT] = 2
    """Critics among which subset_minimum takes the smallest."""
    head: str = "squared"
    """What critics' outputs mean and how they are fitted: a mean, by squared or huber errors; categorical (between
    v_min and v_max, hyperparameters that come with it) or quantile."""
    num_atoms: Annotated[int, _ATOMS] = 25
    """Numbers of each value's distribution: atoms or quantiles."""
    dropped_atoms: Annotated[int, SOME] = 2
    """Quantiles of each critic that truncation leaves out."""
    batch_norm: str = "none"
    """Batch normalisation of actor and critics, before and after every layer: none, batch, or renorm (renormalised once
    there were 100,000 gradient steps). Critics then see both steps of a transition in one batch; it needs
    target_network=False."""


class ActorCriticHyperparameters(OffPolicyHyperparameters):
    """As `OffPolicyHyperparameters`."""

    brought_by = {  # noqa: RUF012
        **BROUGHT_BY,
        "target_rate": "target_network=True",
        "exploration_noise": "policy=deterministic",
        **dict.fromkeys(("target_noise", "target_noise_clip"), "smooth_targets=True"),
        **dict.fromkeys(("target_entropy", "initial_temperature"), "policy=squashed_gaussian, tune_temperature=True"),
        "temperature": "policy=squashed_gaussian, tune_temperature=False",
        "step_size": "mirror_steps above 0",
        **dict.fromkeys(("v_min", "v_max"), "head=categorical"),
    }


class Choices(NamedTuple):
    """What names in a config stand for."""

    policy: Policy
    head: Head
    reduction: Reduction


class Parts(NamedTuple):
    """What an agent is put together of; static."""

    spec: EnvironmentSpec
    config: ActorCriticConfig
    choices: Choices
    actor: Network
    critics: Network


def choices(spec: EnvironmentSpec, config: ActorCriticConfig) -> Choices:
    """What a config chooses, checked against the environment and against itself.

    Raises:
        UnknownNameError: for an unknown name, with the nearest match.
        ValueError: naming the setting, its value and what it needs.
    """
    _require_bounded(spec)
    for name, known in (
        ("policy", POLICIES),
        ("target_critics", REDUCTIONS),
        ("policy_critics", IMPROVEMENTS),
        ("head", ("squared", "huber", "categorical", "quantile")),
        ("batch_norm", ("none", "batch", "renorm")),
        ("network", ("auto", "mlp", "cnn", "parts")),
    ):
        require_name(name, getattr(config, name), known)
    found = Choices(
        POLICIES[config.policy](spec.action, config.smooth_targets, config.num_experts),
        HEADS[config.head](config.num_atoms),
        REDUCTIONS[config.target_critics](config.dropped_atoms),
    )
    _require_effect(config, found)
    _require_fit(config, found)
    return found


def _require_bounded(spec: EnvironmentSpec) -> None:
    if not isinstance(spec.action, Box):
        raise ValueError(
            f"this agent needs continuous actions, {spec.name} takes {spec.action}; agents for discrete actions: "
            "discrete_sac, dqn, rainbow; for either: ppo"
        )
    if not spec.action.bounded:
        raise ValueError(f"this agent acts within finite bounds, and {spec.action} of {spec.name} has none")


def _require_effect(config: ActorCriticConfig, found: Choices) -> None:
    """Refuses settings that change nothing beside the others."""
    soft, several = found.policy.soft, config.num_critics > 1
    defaults = ActorCriticConfig.__dataclass_fields__
    for name, fits, needed in (
        ("tune_temperature", soft, "policy='squashed_gaussian'"),
        ("num_experts", soft, "policy='squashed_gaussian'"),
        ("mirror_steps", found.policy.kl is not None, "policy='squashed_gaussian' and num_experts=1"),
        ("smooth_targets", not soft, "policy='deterministic'"),
        ("target_period", config.target_network, "target_network=True"),
        ("target_critics", several or found.reduction.compares, "num_critics above 1"),
        ("policy_critics", several, "num_critics above 1"),
        ("subset_size", found.reduction.subset, "target_critics='subset_minimum'"),
        ("num_atoms", found.head.num_atoms > 1, "head='categorical' or 'quantile'"),
        ("dropped_atoms", found.reduction.compares, "target_critics='truncation'"),
        ("layer_norm", not config.residual, "residual=False"),
        ("batch_norm", not config.residual, "residual=False"),
    ):
        value, default = getattr(config, name), defaults[name].default
        if not fits and value != default:
            raise ValueError(f"{name}={value!r} would have no effect here: it needs {needed}")


def _require_fit(config: ActorCriticConfig, found: Choices) -> None:
    """Refuses settings that contradict each other."""
    if config.batch_norm != "none" and config.target_network:
        raise ValueError(
            f"batch_norm={config.batch_norm!r} needs target_network=False: statistics of a target network would not be "
            "those of its parameters"
        )
    if found.reduction.compares and config.head != "quantile":
        raise ValueError(f"target_critics={config.target_critics!r} leaves out quantiles: it needs head='quantile'")
    if found.reduction.averages and not found.head.averages:
        raise ValueError(
            f"target_critics={config.target_critics!r} averages critics' outputs, and logits of head={config.head!r} "
            "cannot be averaged"
        )
    if found.reduction.compares and config.dropped_atoms >= config.num_atoms:
        raise ValueError(f"dropped_atoms={config.dropped_atoms} must be less than num_atoms={config.num_atoms}")
    if found.reduction.subset and config.subset_size >= config.num_critics:
        raise ValueError(
            f"subset_size={config.subset_size} must be less than num_critics={config.num_critics}; "
            "target_critics='minimum' takes the smallest of all"
        )


def fit_updates(
    defaults: ActorCriticConfig, config: ActorCriticConfig, given: frozenset[str], spec: EnvironmentSpec
) -> ActorCriticConfig:
    """As many gradient steps for each environment step as by default, in iterations that are longer or shorter.

    Target networks that move when the policy does by default do so under another `policy_delay`, too.
    """
    if "num_updates" not in given:
        ratio = defaults.num_updates / (defaults.num_envs * defaults.num_steps)
        config = replace(config, num_updates=max(1, round(ratio * config.num_envs * config.num_steps)))
    if "target_period" not in given and defaults.target_period == defaults.policy_delay > 1:
        config = replace(config, target_period=config.policy_delay)
    return config
