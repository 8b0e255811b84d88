"""Meta-learning: a leaf of an agent's hyperparameters learnt over whole lives, by evolution or by gradient."""

from jaxrl.meta.evolution import EvolutionHyperparameters, Strategy, make_strategy
from jaxrl.meta.evolve import EvolutionConfig, evolve
from jaxrl.meta.gradient import GradientConfig, GradientHyperparameters, differentiate
from jaxrl.meta.lifetimes import Life, Outcome
from jaxrl.meta.persistent import PersistentConfig, evolve_persistently
from jaxrl.meta.study import MetaHyperparameters, MetaStudy
from jaxrl.meta.tasks import Task, Tasks, make_tasks

__all__ = [
    "EvolutionConfig",
    "EvolutionHyperparameters",
    "GradientConfig",
    "GradientHyperparameters",
    "Life",
    "MetaHyperparameters",
    "MetaStudy",
    "Outcome",
    "PersistentConfig",
    "Strategy",
    "Task",
    "Tasks",
    "differentiate",
    "evolve",
    "evolve_persistently",
    "make_strategy",
    "make_tasks",
]
