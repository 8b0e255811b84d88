"""Schedules of numbers over a run, by the names of optax's, with every end and share of training traced.

optax builds its schedules from numbers of Python and counts steps; here a schedule is a pure function of the number
that it starts from, the share of training that is over, and its parameters, so that all of them can be swept.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrl import plugins
from jaxrl.ranges import POSITIVE, Range
from jaxrl.registry import Registry
from jaxrl.types import Array, Float

__all__ = ["SCHEDULES", "VALUE", "Schedule", "register_schedule"]

Number = Float[Array, "..."] | float
# A share of training at which something is reached, and one that may be none.
_UNTIL = Range(0, 1, low_open=True)
_WARMUP = Range(0, 1, high_open=True)
# Stands for the range of the number itself, which its schedule does not know.
VALUE = Range(finite=False)
# Shorter parts of a run are as good as none.
_TINY = 1e-12


class Schedule(NamedTuple):
    """How a number moves over a run.

    Attributes:
        description: x(u) in a line, with x the number at the start, or at the top of what warms up, and u the share of
            training that is over.
        apply: `(x, u in [0, 1), parameters) -> x(u)`.
        parameters: defaults by name; a vector has an entry per boundary.
        ranges: of the parameters, by name; `VALUE` for the number's own.
    """

    description: str
    apply: Callable[[Number, Number, Mapping[str, Any]], Number]
    parameters: Mapping[str, Any] = MappingProxyType({})
    ranges: Mapping[str, Range] = MappingProxyType({})

    def __hash__(self) -> int:
        # Of all but the mappings, which have no hash; a static argument needs one.
        return hash(self[:2])


def _line(low: Number, high: Number, share: Number) -> Number:
    return low + (high - low) * share


def _wave(low: Number, high: Number, share: Number) -> Number:
    """From `low` to `high` along half a cosine."""
    return low + (high - low) * 0.5 * (1.0 - jnp.cos(jnp.pi * share))


def _share(fraction: Number, begin: Number, end: Number) -> Number:
    """How much of [begin, end] is over."""
    return jnp.clip((fraction - begin) / jnp.maximum(end - begin, _TINY), 0.0, 1.0)


def _towards(shape: Callable[[Number, Number, Number], Number]) -> Callable[..., Number]:
    return lambda x, u, p: shape(x, p["end"], _share(u, 0.0, p["until"]))


def _polynomial(x: Number, u: Number, p: Mapping[str, Any]) -> Number:
    return p["end"] + (x - p["end"]) * (1.0 - _share(u, 0.0, p["until"])) ** p["power"]


def _warmed(after: Callable[[Number, Number, Mapping[str, Any]], Number]) -> Callable[..., Number]:
    """A line from `initial` to x, then `after` with the share of the rest."""

    def apply(x: Number, u: Number, p: Mapping[str, Any]) -> Number:
        warmup = p["warmup"]
        rising = _line(p["initial"], x, _share(u, 0.0, warmup))
        return jnp.where(u < warmup, rising, after(x, _share(u, warmup, 1.0), p))

    return apply


_warm_wave = _warmed(lambda x, share, p: _wave(x, p["end"], share))


def _sgdr(x: Number, u: Number, p: Mapping[str, Any]) -> Number:
    return _warm_wave(x, (u * p["cycles"]) % 1.0, p)


def _steps(x: Number, u: Number, p: Mapping[str, Any]) -> Number:
    return x * jnp.prod(jnp.where(u >= jnp.asarray(p["boundaries"]), jnp.asarray(p["factors"]), 1.0))


def _between(
    values: Float[Array, " value"], bounds: Float[Array, " value"], u: Number, shape: Callable[..., Number]
) -> Number:
    """Through `values` at rising `bounds`."""
    return values[0] + jnp.sum(shape(0.0, jnp.diff(values), _share(u, bounds[:-1], bounds[1:])))


def _pieces(shape: Callable[[Number, Number, Number], Number]) -> Callable[..., Number]:
    def apply(x: Number, u: Number, p: Mapping[str, Any]) -> Number:
        bounds, factors = jnp.asarray(p["boundaries"]), jnp.asarray(p["factors"])
        values = x * jnp.cumprod(jnp.concatenate([jnp.ones(1), factors]))
        return _between(values, jnp.concatenate([jnp.zeros(1), bounds]), u, shape)

    return apply


def _cosine_onecycle(x: Number, u: Number, p: Mapping[str, Any]) -> Number:
    first = x / p["divisor"]
    bounds = jnp.stack([jnp.zeros(()), p["warmup"], jnp.ones(())])
    return _between(jnp.stack([first, x, first / p["final_divisor"]]), bounds, u, _wave)


def _linear_onecycle(x: Number, u: Number, p: Mapping[str, Any]) -> Number:
    first = x / p["divisor"]
    bounds = jnp.stack([jnp.zeros(()), p["warmup"], p["cooldown"], jnp.ones(())])
    return _between(jnp.stack([first, x, first, first / p["final_divisor"]]), bounds, u, _line)


_ENDS = {"end": 0.0, "until": 1.0}
_WARM = {"warmup": 0.1, "initial": 0.0}
_CYCLE = {"warmup": 0.3, "divisor": 25.0, "final_divisor": 1e4}
_RANGES = {
    **dict.fromkeys(("end", "initial"), VALUE),
    **dict.fromkeys(("until", "boundaries", "cooldown"), _UNTIL),
    **dict.fromkeys(("power", "decay", "divisor", "final_divisor"), POSITIVE),
    "warmup": _WARMUP,
    "factors": Range(0),
    "cycles": Range(1),
}


def _schedule(description: str, apply: Callable[..., Number], **parameters: Any) -> Schedule:
    return Schedule(description, apply, parameters, {name: _RANGES[name] for name in parameters})


def _in_pieces(description: str, apply: Callable[..., Number]) -> Callable[[int], Schedule]:
    """Of a number of pieces; by default they are as long as each other, and each is a tenth of the one before."""

    def build(num_pieces: int) -> Schedule:
        inner = np.arange(1, num_pieces) / num_pieces
        return _schedule(description, apply, boundaries=inner, factors=np.full(len(inner), 0.1))

    build.__doc__ = description
    return build


SCHEDULES = Registry(
    "schedule",
    {
        "constant": _schedule("x.", lambda x, u, p: x),
        "linear": _schedule("A line from x to `end`, there at `until`.", _towards(_line), **_ENDS),
        "cosine": _schedule("Half a cosine from x to `end`, there at `until`.", _towards(_wave), **_ENDS),
        "polynomial": _schedule(
            "end + (x - end)(1 - u/until)^power, from then on `end`.", _polynomial, **_ENDS, power=2.0
        ),
        "exponential": _schedule("x decay^u.", lambda x, u, p: x * p["decay"] ** u, decay=0.01),
        "warmup_constant": _schedule(
            "A line from `initial` to x, there at `warmup`, then x.", _warmed(lambda x, share, p: x), **_WARM
        ),
        "warmup_linear": _schedule(
            "A line from `initial` to x, there at `warmup`, then one to `end`.",
            _warmed(lambda x, share, p: _line(x, p["end"], share)),
            **_WARM,
            end=0.0,
        ),
        "warmup_cosine": _schedule(
            "A line from `initial` to x, there at `warmup`, then half a cosine to `end`.", _warm_wave, **_WARM, end=0.0
        ),
        "warmup_exponential": _schedule(
            "A line from `initial` to x, there at `warmup`, then x decay^s, with s the share of the rest.",
            _warmed(lambda x, share, p: x * p["decay"] ** share),
            **_WARM,
            decay=0.01,
        ),
        "piecewise_constant": _in_pieces("x, from each of the `boundaries` on times its one of `factors`.", _steps),
        "piecewise_linear": _in_pieces("Lines between the values of piecewise_constant.", _pieces(_line)),
        "piecewise_cosine": _in_pieces("Half cosines between the values of piecewise_constant.", _pieces(_wave)),
        "sgdr": _schedule(
            "warmup_cosine, `cycles` times one after the other (Loshchilov and Hutter, 2017).",
            _sgdr,
            warmup=0.0,
            initial=0.0,
            end=0.0,
            cycles=4.0,
        ),
        "cosine_onecycle": _schedule(
            "Half cosines from x/divisor to x, there at `warmup`, and to x/(divisor final_divisor) (Smith, 2018).",
            _cosine_onecycle,
            **_CYCLE,
        ),
        "linear_onecycle": _schedule(
            "Lines from x/divisor to x, there at `warmup`, back, at `cooldown`, and to x/(divisor final_divisor).",
            _linear_onecycle,
            **_CYCLE,
            cooldown=0.85,
        ),
    },
    Schedule,
)


def register_schedule(name: str, schedule: Any) -> Any:
    """Makes a schedule available by name, as `learning_rate_schedule="mine"`.

    Args:
        name: letters, digits and _ . -.
        schedule: a `Schedule`; or a function of the share of training that is over, by which the number is multiplied,
            such as one of optax's that was built for one step: `optax.cosine_decay_schedule(1.0, 1)`.

    Raises:
        ValueError: if the name is taken, or for what is neither.
    """
    if not isinstance(schedule, Schedule) and not callable(schedule):
        raise ValueError(f"schedule {name!r} must be a Schedule or a function, got {schedule!r}")
    made = schedule
    if not isinstance(schedule, Schedule):
        made = Schedule((schedule.__doc__ or "x times a function of u.").splitlines()[0], _times(schedule))
    SCHEDULES.register(name, made, plugins.module_of(schedule))
    return schedule


def _times(function: Callable[[Number], Number]) -> Callable[..., Number]:
    return lambda x, u, p: x * function(u)
