"""Algorithms that find a front: `study("c_morl", "mo/minecart", total_steps=...)`."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxrl import hyperparameters as named
from jaxrl.environments.base import Environment
from jaxrl.environments.registry import make
from jaxrl.errors import require_name
from jaxrl.morl import tabular
from jaxrl.morl.algorithms import c_morl, conditioned, decomposition, gpi_ls, pgmorl, tables
from jaxrl.morl.problem import apply_problem, make_problem
from jaxrl.morl.study import Study
from jaxrl.training.schedule import Default

__all__ = ["ALGORITHMS", "AlgorithmEntry", "study"]

# Settings of the protocol, by the names under which a study takes them.
_PROTOCOL = {
    "evaluation_discount": "discount",
    "horizon": "horizon",
    "reference_point": "reference_point",
    "front_episodes": "num_episodes",
}


class AlgorithmEntry(NamedTuple):
    """How an algorithm is built, and its defaults.

    Attributes:
        build: `(environment, problem, config, hyperparameters, settings) -> Study`.
        config: class of its static settings.
        hyperparameters: class of its traced ones.
        training: settings of the inner trainer that differ from the trainer's own defaults.
        chosen: settings of the inner trainer that the algorithm sets itself, and to what; None where that differs.
    """

    build: Callable[..., Study]
    config: type
    hyperparameters: type
    training: dict[str, Any]
    chosen: Mapping[str, Any] = MappingProxyType({})


_AGGREGATED = MappingProxyType({"aggregator": None})
_CONDITIONED = MappingProxyType({"condition_on_weights": True})


def _tabular(algorithm: Callable[..., tabular.Tabular], config: type, hyperparameters: type) -> AlgorithmEntry:
    return AlgorithmEntry(
        tables.as_study(algorithm, _PROTOCOL), config, hyperparameters, {}, dict.fromkeys(tables.PROTOCOL)
    )


ALGORITHMS: dict[str, AlgorithmEntry] = {
    "population": AlgorithmEntry(
        decomposition.weight_population,
        decomposition.WeightPopulationConfig,
        decomposition.DecompositionHyperparameters,
        {},
        _AGGREGATED,
    ),
    "morl_d": AlgorithmEntry(
        decomposition.morl_d,
        decomposition.DecompositionConfig,
        decomposition.DecompositionHyperparameters,
        {},
        _AGGREGATED,
    ),
    "c_morl": AlgorithmEntry(
        c_morl.c_morl, c_morl.CMORLConfig, c_morl.CMORLHyperparameters, c_morl.TRAINING, _AGGREGATED
    ),
    "conditioned": AlgorithmEntry(
        conditioned.conditioned,
        conditioned.ConditionedConfig,
        conditioned.ConditionedHyperparameters,
        conditioned.TRAINING,
        _CONDITIONED,
    ),
    "gpi_ls": AlgorithmEntry(
        gpi_ls.gpi_ls, gpi_ls.GPILSConfig, gpi_ls.GPILSHyperparameters, gpi_ls.TRAINING, _CONDITIONED
    ),
    "pgmorl": AlgorithmEntry(pgmorl.pgmorl, pgmorl.PGMORLConfig, pgmorl.PGMORLHyperparameters, pgmorl.TRAINING),
    "pareto_q_learning": _tabular(
        tabular.pareto_q_learning, tabular.ParetoQLearningConfig, tabular.ParetoQLearningHyperparameters
    ),
    "optimistic_linear_support": _tabular(
        tabular.optimistic_linear_support, tabular.OLSConfig, tabular.OLSHyperparameters
    ),
    "ipro_2d": _tabular(tabular.ipro_2d, tabular.IPROConfig, tabular.IPROHyperparameters),
    "chebyshev_exploration": _tabular(
        tabular.chebyshev_exploration,
        tabular.ChebyshevExplorationConfig,
        tabular.ChebyshevExplorationHyperparameters,
    ),
}


def study(algorithm: str, environment: str | Environment, **settings: Any) -> Study:
    """Builds a multi-objective study.

    Args:
        algorithm: a name of `jaxrl list algorithms`.
        environment: an environment with at least two objectives, or its name.
        settings: of the algorithm (its config), of the protocol (`evaluation_discount`, `horizon`, `reference_point`,
            `front_episodes`), of the inner trainer, where there is one (`total_steps` of all members together,
            `num_evaluations`, and what `jaxrl.trainer` takes), and defaults of traced hyperparameters, all by name.

    Raises:
        UnknownNameError: for an unknown algorithm, environment or setting, with the nearest match.
        ValueError: for values that do not fit each other or the environment.
    """
    entry = ALGORITHMS[require_name("algorithm", algorithm, ALGORITHMS)]
    if "weights" in settings:
        raise ValueError(f"{algorithm} chooses preference weights itself; a fixed set is a sweep with weights=")
    _check_names(entry, settings)
    given = dict(settings)
    built = make(environment) if isinstance(environment, str) else environment
    protocol = {name: given.pop(key) for key, name in _PROTOCOL.items() if key in given}
    problem = make_problem(built, **protocol)
    names = {field.name for field in fields(entry.config)}
    config = entry.config(**{name: given.pop(name) for name in list(given) if name in names})
    names = entry.hyperparameters._fields
    own = {name: given.pop(name) for name in list(given) if name in names}
    traced = named.checked(entry.hyperparameters(**own), own)
    training = {name: Default(value) for name, value in entry.training.items()}
    found = entry.build(apply_problem(built, problem), problem, config, traced, {**training, **given})
    return found._replace(
        algorithm=algorithm,
        settings=settings,
        rebuild=lambda **changes: study(algorithm, environment, **{**settings, **changes}),
    )


def _check_names(entry: AlgorithmEntry, given: dict[str, Any]) -> None:
    """Refuses what the algorithm or the protocol says itself."""
    for name in entry.chosen:
        if name in given:
            protocol = tables.PROTOCOL.get(name)
            says = f"the protocol's {protocol} says it" if protocol else f"this algorithm chooses {name} itself"
            raise ValueError(f"{name}={given[name]!r} cannot be set: {says}")
