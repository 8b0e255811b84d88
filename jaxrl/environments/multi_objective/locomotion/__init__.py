"""Multi-objective locomotion on MJX: MO-Gymnasium's v5 tasks and PGMORL's older ones."""

from jaxrl.environments.multi_objective.locomotion.environment import LocomotionState, locomotion, mujoco_model
from jaxrl.environments.multi_objective.locomotion.tasks import TASKS

__all__ = ["TASKS", "LocomotionState", "locomotion", "mujoco_model"]
