"""The contract of surrogates: the policy loss of one sample as a first-class value.

With r = π(a|o)/π_old(a|o) and A the aggregated advantage; every loss is minimised.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from jaxrl.ranges import Range
from jaxrl.types import Array, Float, PyTree

__all__ = ["Surrogate", "SurrogateInputs"]


class SurrogateInputs(NamedTuple):
    """What a surrogate may read of every sample.

    Attributes:
        log_ratio: log r, differentiable.
        advantage: A.
        kl_from_old: KL(π_old ‖ π) at the sample's observation, differentiable.
        kl_to_old: KL(π ‖ π_old), differentiable.
        progress: t / T in [0, 1) after t of T iterations.
        horizon: T.
    """

    log_ratio: Float[Array, "*batch"]
    advantage: Float[Array, "*batch"]
    kl_from_old: Float[Array, "*batch"]
    kl_to_old: Float[Array, "*batch"]
    progress: Float[Array, ""]
    horizon: Float[Array, ""] | float = 1.0


class Surrogate(NamedTuple):
    """One surrogate.

    Attributes:
        init: `key -> parameters`, defaults of the traced leaf `hyperparameters.objective`;
            hand-written surrogates ignore the key.
        apply: `(SurrogateInputs, parameters, state) -> loss [*batch]`.
        init_state: `parameters -> state` that adapts while training.
        update: `(state, mean KL(π_old ‖ π) of the last update, parameters) -> state`.
        uses_divergence: whether `apply` or `update` reads a KL divergence; if not, the divergences
            of the inputs are zero and the old distributions are not kept.
        ranges: of parameters, by name; others are any finite numbers.
    """

    init: Callable[[Array | None], dict[str, Array]]
    apply: Callable[[SurrogateInputs, Mapping[str, Array], PyTree], Array]
    init_state: Callable[[Mapping[str, Array]], PyTree] = lambda parameters: ()
    update: Callable[[PyTree, Array, Mapping[str, Array]], PyTree] = lambda state, kl, parameters: state
    uses_divergence: bool = False
    ranges: Mapping[str, Range] = MappingProxyType({})

    def __hash__(self) -> int:
        # Of all but the ranges: a mapping has no hash, and a static argument needs one.
        return hash(self[:-1])
