"""Defaults that give way: what is nearest to a default among the numbers that fit."""

from dataclasses import replace
from typing import Any

from jaxrl.environments.base import EnvironmentSpec
from jaxrl.networks import RECURRENT
from jaxrl.ranges import LARGEST_INTEGER

__all__ = ["fit", "nearest_divisor", "nearest_multiple", "validate_minibatches"]


def nearest_divisor(number: int, wanted: int, least: int = 1) -> int:
    """The divisor of `number` nearest to `wanted`, the smaller of two, of those from `least` on; `wanted` if none is.

    Args:
        number: at least 1.
        wanted: at least 1.
        least: at least 1.
    """
    if wanted >= least and number % wanted == 0:
        return wanted
    small = [n for n in range(1, int(number**0.5) + 1) if number % n == 0]
    divisors = [n for n in (*small, *(number // n for n in reversed(small))) if n >= least]
    return min(divisors, key=lambda n: abs(n - wanted), default=wanted)


def nearest_multiple(wanted: int, number: int) -> int:
    """The multiple of `number` nearest to `wanted`, at least `number` itself."""
    return max(1, round(wanted / number)) * number


def _num_samples(config: Any, recurrent: bool) -> int:
    """What minibatches are made of: steps, or whole sequences of a recurrent network."""
    samples = config.num_envs if recurrent else config.num_envs * config.num_steps
    if samples > LARGEST_INTEGER:
        raise ValueError(f"num_envs * num_steps = {samples} is more than {LARGEST_INTEGER} samples of an iteration")
    return samples


def fit(config: Any, given: frozenset[str], spec: EnvironmentSpec) -> Any:
    """On-policy defaults that give way: to what was `given`, and to the environment.

    Groups that compare whole episodes get as many steps as these have, and a size that divides the copies; the number
    of copies becomes a multiple of what shares them out; minibatches become as many as divide the samples.
    """
    changed: dict[str, int] = {}
    copies, size = config.num_envs, config.group_size
    if size:
        changed["num_steps"] = max(config.num_steps, spec.time_limit or 0)
        shared = "group_size" in given
        changed |= {"num_envs": nearest_multiple(copies, size)} if shared else {}
        changed |= {} if shared else {"group_size": nearest_divisor(copies, size, least=2)}
    elif config.num_preferences:
        changed["num_envs"] = nearest_multiple(copies, config.num_preferences)
    config = replace(config, **{name: value for name, value in changed.items() if name not in given})
    if "num_minibatches" not in given:
        samples = _num_samples(config, config.network in RECURRENT)
        config = replace(config, num_minibatches=nearest_divisor(samples, config.num_minibatches))
    return config


def validate_minibatches(config: Any, recurrent: bool) -> None:
    """Raises ValueError where minibatches are not of equal size."""
    samples = _num_samples(config, recurrent)
    what = "num_envs (sequences of a recurrent network stay whole)" if recurrent else "num_envs * num_steps"
    if samples % config.num_minibatches:
        nearest = nearest_divisor(samples, config.num_minibatches)
        raise ValueError(
            f"num_minibatches={config.num_minibatches} does not divide {what} = {samples}; nearest that does: {nearest}"
        )
