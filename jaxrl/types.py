"""Array aliases and the progress of a run, shared by every module.

Axis names used in shapes: `time`, `env`, `objective`, `agent`, `action`, `batch`, `member`
(one run of a sweep or population). A leading `*batch` stands for any number of axes.
"""

from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

__all__ = ["Array", "Bool", "Float", "Int", "Key", "PRNGKeyArray", "Progress", "PyTree"]

PyTree = Any


class Progress(NamedTuple):
    """Where in its training an agent is.

    Attributes:
        fraction: t / T in [0, 1) after t of T iterations.
        horizon: T.
    """

    fraction: Float[Array, ""]
    horizon: Float[Array, ""]
