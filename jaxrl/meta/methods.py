"""Meta-learning methods by name: an agent, the leaf that is learnt, and the outer loop of the paper."""

from dataclasses import dataclass, field, fields
from typing import Any

from jaxrl.environments.base import Environment
from jaxrl.environments.registry import make
from jaxrl.errors import require_name
from jaxrl.meta.curriculum_settings import CurriculumHyperparameters
from jaxrl.meta.evolution import EvolutionHyperparameters
from jaxrl.meta.evolve import EvolutionConfig, evolve
from jaxrl.meta.gradient import GradientConfig, GradientHyperparameters, differentiate
from jaxrl.meta.persistent import PersistentConfig, evolve_persistently
from jaxrl.meta.study import MetaStudy
from jaxrl.meta.tasks import check_horizon, make_tasks
from jaxrl.training.schedule import Default, TrainerConfig
from jaxrl.training.trainer import Trainer, trainer

__all__ = ["METHODS", "OUTER", "Method", "Outer", "learner", "meta_learner"]


@dataclass(frozen=True)
class Outer:
    """An outer loop: its builder, static settings and traced ones."""

    build: Any
    config: type
    hyperparameters: tuple[type, ...]


OUTER: dict[str, Outer] = {
    "evolution": Outer(evolve, EvolutionConfig, (EvolutionHyperparameters, CurriculumHyperparameters)),
    "persistent": Outer(evolve_persistently, PersistentConfig, (EvolutionHyperparameters,)),
    "gradient": Outer(differentiate, GradientConfig, (GradientHyperparameters, CurriculumHyperparameters)),
}


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        description: what is learnt, and the source.
        agent: name of the agent.
        outer: name of the outer loop.
        settings: of the agent.
        outer_settings: of the outer loop.
        leaf: the field of the agent's hyperparameters that is learnt.
    """

    description: str
    agent: str
    outer: str
    settings: dict[str, Any] = field(default_factory=dict)
    outer_settings: dict[str, Any] = field(default_factory=dict)
    leaf: str = "objective"


# Published settings of the outer loops: LPO's, TA-LPG's and OPEN's by evolution, LPG's and DiscoRL's by meta-gradient.
_LPG_REGULARISERS = {"output_entropy": -1e-3, "policy_target_square": 5e-3, "output_target_square": 1e-3}
# DiscoRL's; its regularisers are those of the authors' notebook.
_DISCO = {
    "unroll": 20,
    "learning_rate": 1e-3,
    "discount": 0.997,
    "gae_lambda": 0.95,
    "entropy_coefficient": 1e-2,
    "regularisers": {"prediction_entropy": -1e-3, "target_mean_square": 1e-3, "policy_target_divergence": 1e-2},
}
_DRIFT = {"shaping": "z_score", "learning_rate": 0.03, "deviation": 0.03}
_OPEN = {
    "shaping": "centred_rank",
    "learning_rate": 0.03,
    "learning_rate_decay": 0.999,
    "deviation": 0.03,
    "deviation_decay": 0.999,
    "momentum": 0.99,
}

METHODS: dict[str, Method] = {
    "lpg": Method(
        "the update rule, by meta-gradient (arXiv 2007.08794)",
        "lpg",
        "gradient",
        outer_settings={"entropy_coefficient": 0.05, "regularisers": _LPG_REGULARISERS},
    ),
    "groove": Method(
        "the update rule, by meta-gradient on a curriculum of algorithmic regret (arXiv 2310.02782)",
        "lpg",
        "gradient",
        outer_settings={
            "entropy_coefficient": 0.05,
            "regularisers": _LPG_REGULARISERS,
            "curriculum": "algorithmic_regret",
            "buffer_size": 4000,
        },
    ),
    "ta_lpg": Method(
        "an update rule that reads progress and horizon, by evolution (arXiv 2402.05828)", "ta_lpg", "evolution"
    ),
    "disco": Method(
        "an update rule with action-conditional predictions and a lifetime's memory, by meta-gradient (DiscoRL, 2025)",
        "disco",
        "gradient",
        outer_settings=_DISCO,
    ),
    "lpo": Method(
        "a drift, by evolution (arXiv 2210.05639)", "ppo", "evolution", {"surrogate": "learned_drift"}, _DRIFT
    ),
    "ta_lpo": Method(
        "a drift that reads progress, by evolution (arXiv 2402.05828)",
        "ppo",
        "evolution",
        {"surrogate": "time_aware_drift"},
        _DRIFT,
    ),
    "open": Method(
        "an optimiser that reads gradients, dormancy and progress, by evolution (arXiv 2407.07082)",
        "ppo",
        "evolution",
        {"optimiser": "open", "anneal_learning_rate": False},
        _OPEN,
        "optimiser",
    ),
    "open_dqn": Method(
        "the same optimiser, of a network of action values that learns from a buffer, by evolution",
        "dqn",
        "evolution",
        {"optimiser": "open", "learning_starts": 64},
        _OPEN,
        "optimiser",
    ),
}


def learner(
    method: str | Method, environment: str | Environment, horizon: int | tuple[int, int], **settings: Any
) -> Trainer:
    """The agent of a method, whose own run is as long as the longest life.

    Raises:
        UnknownNameError: for an unknown method or setting, with the nearest match.
        ValueError: for a setting that the horizon decides, or values that do not fit.
    """
    found = method if isinstance(method, Method) else METHODS[require_name("method", method, METHODS)]
    for name in ("total_steps", "num_evaluations"):
        if name in settings:
            raise ValueError(f"{name} is decided by the horizon of the tasks and cannot be set")
    environment = make(environment) if isinstance(environment, str) else environment
    settings = {**{name: Default(value) for name, value in found.settings.items()}, **settings}
    longest = check_horizon(horizon)[1]
    # One iteration first: it tells how many environment steps an iteration has.
    short = trainer(found.agent, environment, total_steps=2**31 - 1, num_evaluations=1, **settings)
    return short.rebuild(total_steps=longest * short.steps_per_iteration)


def meta_learner(
    method: str,
    environment: str | Environment,
    horizon: int | tuple[int, int] = 50,
    outer: str | None = None,
    outer_settings: dict[str, Any] | None = None,
    **settings: Any,
) -> MetaStudy:
    """Builds a meta-study by the name of its method.

    Args:
        method: a name of `METHODS`.
        environment: whose parameters are the tasks, or its name.
        horizon: iterations of every life, or bounds between which they are drawn log-uniformly.
        outer: evolution, persistent or gradient; default the paper's.
        outer_settings: of the outer loop, by name.
        settings: of the agent, by name.

    Raises:
        UnknownNameError: for an unknown method, outer loop or setting, with the nearest match.
        ValueError: for values that do not fit.
    """
    found = METHODS[require_name("method", method, METHODS)]
    chosen = OUTER[require_name("outer loop", outer or found.outer, OUTER)]
    own = found.outer_settings if (outer or found.outer) == found.outer else {}
    inner = learner(found, environment, horizon, **settings)
    tasks = make_tasks(inner.environment, horizon)
    return chosen.build(inner, tasks, found.leaf, **{**own, **(outer_settings or {})})


def schedule_names() -> set[str]:
    """Settings of a trainer's schedule that lives have no use for."""
    return {item.name for item in fields(TrainerConfig)} - {"auto_reset", "pool_size"}
