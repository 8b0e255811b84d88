"""Settings of agents that learn action values, static and traced, and what they need of each other."""

import math
from dataclasses import dataclass
from typing import Annotated

from jaxrl.agents.off_policy.backups import BACKUPS, Backup
from jaxrl.agents.off_policy.exploring import EPSILON
from jaxrl.agents.off_policy.heads import Head
from jaxrl.agents.off_policy.settings import BROUGHT_BY, OffPolicyConfig, OffPolicyHyperparameters
from jaxrl.errors import require_name
from jaxrl.ranges import COUNT, SOME, Range

__all__ = ["DEFAULTS", "HOMOTOPY", "IMPROVING", "ValueConfig", "ValueHyperparameters", "require_effect"]

_ATOMS = Range(2, integer=True)
# Squared errors bear a target that follows closely; values of 1/(1-γ) are reached in as many of its moves.
DEFAULTS = {"learning_rate": 5e-4, "target_rate": 0.02}
HOMOTOPY = {"homotopy_end": 1.0, "homotopy_fraction": 1.0}
IMPROVING = ("acting", "support")
"""Of the setting `policies`, what acts by the best of the policies of a support."""


@dataclass(frozen=True, kw_only=True)
class ValueConfig(OffPolicyConfig):
    """What is static of agents that learn the values of discrete actions."""

    head: str = "squared"
    """What the network's outputs mean and how they are fitted: a mean, by squared or huber errors; categorical (C51,
    between v_min and v_max, hyperparameters that come with it); quantile (QR-DQN) or implicit (IQN)."""
    num_atoms: Annotated[int, _ATOMS] = 51
    """Numbers of each value's distribution: atoms, quantiles, or fractions that are drawn of an implicit one."""
    backup: str = "double"
    """What values of the next step are backed up: max (of the target network), double (of the target network for the
    action that is best by the other), soft or munchausen, with hyperparameters of their own."""
    num_critics: Annotated[int, COUNT] = 1
    """Networks of action values; for every action the one counts whose weighted value is smallest."""
    dueling: bool = False
    """Whether values and advantages have a last layer of their own each."""
    noisy: bool = False
    """Explore by noise on the network's parameters instead of by ε."""
    cosines: Annotated[int, COUNT] = 64
    """Features of a fraction in an implicit network."""
    conditioning: str = "input"
    """How preferences enter a conditioned network: input, beside the observation, or product, by what they make of its
    features (GPI-PD)."""
    policies: str = "own"
    """Under which preferences' policies the best action is sought: own, the sample's; sampled, those of
    `num_candidates` other samples of the minibatch while learning (envelope Q-learning); acting, those of the
    hyperparameter `support`, from which every copy and sample then has its own (generalised policy improvement); or
    support, the same, in learning too."""
    num_candidates: Annotated[int, COUNT] = 8
    """How many preferences these are."""
    improved_priorities: bool = False
    """With policies=acting and prioritised replay: priorities of the error towards the best of all policies of the
    support (GPI-PD), not towards the sample's own."""
    homotopy: bool = False
    """Move the loss from the errors of all objectives to the error of their weighted sum, by homotopy_end and
    homotopy_fraction, hyperparameters that come with it."""
    recurrent_size: Annotated[int, COUNT] = 64
    """Width of the memory of network=gru or lstm."""
    sequence_length: Annotated[int, COUNT] = 20
    """Consecutive steps that a network with a memory learns from together."""
    burn_in: Annotated[int, SOME] = 10
    """Steps before these through which the memory only runs, from what it was when it acted."""


class ValueHyperparameters(OffPolicyHyperparameters):
    """As `OffPolicyHyperparameters`."""

    brought_by = {  # noqa: RUF012
        **BROUGHT_BY,
        **dict.fromkeys(EPSILON, "noisy=False"),
        **dict.fromkeys(("v_min", "v_max"), "head=categorical"),
        "soft_temperature": "backup=soft or munchausen",
        **dict.fromkeys(("munchausen_weight", "munchausen_floor"), "backup=munchausen"),
        **dict.fromkeys(("homotopy_end", "homotopy_fraction"), "homotopy=True"),
        "support": "policies=acting or support",
    }


def require_effect(config: ValueConfig, head: Head, backup: Backup, recurrent: bool, num_objectives: int) -> None:
    """Raises ValueError for settings that contradict each other, or change nothing beside the others."""
    if backup.soft and not head.averages:
        raise ValueError(
            f"backup={config.backup!r} mixes the values of all actions, and logits of head={config.head!r} cannot be "
            "mixed; use head='squared', 'huber', 'quantile' or 'implicit'"
        )
    if recurrent and config.return_steps > 1 and not head.averages:
        raise ValueError(
            f"head={config.head!r} of a network with a memory learns from single steps: it needs return_steps=1, got "
            f"{config.return_steps}"
        )
    require_name("policies", config.policies, ("own", "sampled", *IMPROVING))
    require_name("conditioning", config.conditioning, ("input", "product"))
    _require_preferences(config, num_objectives, recurrent)
    if recurrent and config.num_critics > 1:
        raise ValueError(
            f"num_critics={config.num_critics} needs a network without a memory, got network={config.network!r}"
        )
    only_with = (
        ("conditioning", config.condition_on_weights, "condition_on_weights=True"),
        ("num_candidates", config.policies != "own", "policies='sampled', 'acting' or 'support'"),
        ("num_atoms", head.num_atoms > 1, "head='categorical', 'quantile' or 'implicit'"),
        ("cosines", head.taus is not None, "head='implicit'"),
        *[(name, recurrent, "network='gru' or 'lstm'") for name in ("recurrent_size", "sequence_length", "burn_in")],
    )
    for name, fits, needed in only_with:
        found = getattr(config, name)
        if not fits and found != getattr(ValueConfig, name):
            raise ValueError(f"{name}={found!r} would have no effect here: it needs {needed}")


def _require_preferences(config: ValueConfig, num_objectives: int, recurrent: bool) -> None:
    """What policies of other preferences need."""
    if config.homotopy and (num_objectives == 1 or config.head not in ("squared", "huber")):
        raise ValueError(
            "homotopy=True moves between errors of means of several objectives: it needs head='squared' or 'huber' and "
            f"an environment with several, got head={config.head!r} and {num_objectives}"
        )
    fits = config.policies == "acting" and config.replay == "prioritised" and config.head in ("squared", "huber")
    if config.improved_priorities and not fits:
        raise ValueError(
            "improved_priorities=True needs policies='acting', replay='prioritised' and head='squared' or 'huber'; got "
            f"policies={config.policies!r}, replay={config.replay!r} and head={config.head!r}"
        )
    if config.policies == "own":
        return
    if not config.condition_on_weights or recurrent or BACKUPS[config.backup].soft:
        raise ValueError(
            f"policies={config.policies!r} needs condition_on_weights=True, a network without a memory, and "
            f"backup='max' or 'double'; got condition_on_weights={config.condition_on_weights}, "
            f"network={config.network!r} and backup={config.backup!r}"
        )
    most = config.batch_size if config.policies == "sampled" else math.inf
    least = 1 if config.policies == "sampled" else num_objectives
    if not least <= config.num_candidates <= most:
        raise ValueError(
            f"num_candidates={config.num_candidates} must be at least {least}"
            + (f" and at most batch_size={config.batch_size}" if config.policies == "sampled" else " (the corners)")
        )
