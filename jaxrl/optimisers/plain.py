"""Optimisers of optax by name: what each makes of a clipped gradient, with its own settings traced."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import optax

from jaxrl.ranges import NOT_NEGATIVE, Range
from jaxrl.types import PyTree

__all__ = ["PLAIN", "Plain", "decayed"]

# The tiny root keeps the slope finite where a gradient has been zero so far.
_EPSILON, _ROOT = 1e-5, 1e-20
_DECAY = Range(0, 1, high_open=True)
_RANGES = {"beta_1": _DECAY, "beta_2": _DECAY, "momentum": _DECAY, "weight_decay": NOT_NEGATIVE}


class Plain(NamedTuple):
    """One optimiser.

    Attributes:
        scale: `settings -> transformation` of the gradient, before the learning rate.
        settings: defaults of the traced leaf `hyperparameters.optimiser`, by name. With `weight_decay` among them λ θ
            joins what is descended, of matrices alone (Loshchilov and Hutter, 2019).
        ranges: of these settings.
    """

    scale: Callable[[Mapping[str, Any]], optax.GradientTransformation]
    settings: Mapping[str, float] = MappingProxyType({})
    ranges: Mapping[str, Range] = MappingProxyType({})


def _plain(scale: Callable[[Mapping[str, Any]], optax.GradientTransformation], **settings: float) -> Plain:
    return Plain(scale, settings, {name: _RANGES[name] for name in settings})


def _of_moments(build: Callable[..., optax.GradientTransformation], **rest: Any) -> Callable[..., Any]:
    return lambda settings: build(b1=settings["beta_1"], b2=settings["beta_2"], **rest)


_BETAS = {"beta_1": 0.9, "beta_2": 0.999}
_ADAM = {"eps": _EPSILON, "eps_root": _ROOT}

# The first three have no settings of their own: optax's defaults, but for the decay of RMSProp and a larger ε.
PLAIN: dict[str, Plain] = {
    "adam": _plain(lambda _: optax.scale_by_adam(**_ADAM)),
    "rmsprop": _plain(lambda _: optax.scale_by_rms(decay=0.99, eps=_EPSILON)),
    "sgd": _plain(lambda _: optax.identity()),
    "momentum": _plain(lambda settings: optax.trace(settings["momentum"]), momentum=0.9),
    "nesterov": _plain(lambda settings: optax.trace(settings["momentum"], nesterov=True), momentum=0.9),
    "adamw": _plain(_of_moments(optax.scale_by_adam, **_ADAM), **_BETAS, weight_decay=1e-4),
    "nadam": _plain(_of_moments(optax.scale_by_adam, **_ADAM, nesterov=True), **_BETAS),
    "nadamw": _plain(_of_moments(optax.scale_by_adam, **_ADAM, nesterov=True), **_BETAS, weight_decay=1e-4),
    "radam": _plain(_of_moments(optax.scale_by_radam, **_ADAM), **_BETAS),
    "amsgrad": _plain(_of_moments(optax.scale_by_amsgrad, **_ADAM), **_BETAS),
    "adabelief": _plain(_of_moments(optax.scale_by_belief, eps=1e-8, eps_root=_ROOT), **_BETAS),
    "adamax": _plain(_of_moments(optax.scale_by_adamax, eps=_EPSILON), **_BETAS),
    "yogi": _plain(_of_moments(optax.scale_by_yogi, eps=1e-3, eps_root=_ROOT), **_BETAS),
    "adagrad": _plain(lambda _: optax.scale_by_rss(eps=_EPSILON)),
    "lion": _plain(_of_moments(optax.scale_by_lion), beta_1=0.9, beta_2=0.99, weight_decay=1e-3),
}


def decayed(weight_decay: Any) -> optax.GradientTransformation:
    """Adds λ θ to what is descended, of matrices: not of biases, deviations and the scales of norms."""

    def matrices(params: PyTree) -> PyTree:
        return jax.tree.map(lambda leaf: leaf.ndim > 1, params)

    return optax.add_decayed_weights(weight_decay, mask=matrices)
