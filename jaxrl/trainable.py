"""What the host loop and sweeps can run."""

from jaxrl.bilevel.barfi_study import BarfiStudy
from jaxrl.bilevel.parl_study import ParlStudy
from jaxrl.meta.study import MetaStudy
from jaxrl.morl.study import Study
from jaxrl.multitask.maml.contract import Maml
from jaxrl.training.trainer import Trainer

__all__ = ["Bilevel", "Learned", "Trainable"]

Bilevel = BarfiStudy | ParlStudy
# Programs whose members learn something else than a policy each: `value(state)` says what.
Learned = MetaStudy | Maml | Bilevel
Trainable = Trainer | Study | Learned
