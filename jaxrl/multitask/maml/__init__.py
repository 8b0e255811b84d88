"""Model-agnostic meta-learning of policies."""

from jaxrl.multitask.maml.program import maml

__all__ = ["maml"]
