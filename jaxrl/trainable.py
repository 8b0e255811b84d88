"""What the host loop and sweeps can run."""

from jaxrl.meta.study import MetaStudy
from jaxrl.morl.study import Study
from jaxrl.multitask.maml.contract import Maml
from jaxrl.training import Trainer

__all__ = ["Trainable"]

Trainable = Trainer | Study | MetaStudy | Maml
