"""One run: the trainer, its loop, acting, evaluation and the policy that comes out."""

from jaxrl.training.trainer import RunState, Trainer, TrainerConfig, trainer

__all__ = ["RunState", "Trainer", "TrainerConfig", "trainer"]
