"""Array aliases shared by every module.

Axis names used in shapes: `time`, `env`, `objective`, `agent`, `action`, `batch`, `member`
(one run of a sweep or population). A leading `*batch` stands for any number of axes.
"""

from typing import Any

from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

__all__ = ["Array", "Bool", "Float", "Int", "Key", "PRNGKeyArray", "PyTree"]

PyTree = Any
