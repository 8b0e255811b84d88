"""Defaults that give way: what is nearest to a default among the numbers that fit."""

__all__ = ["nearest_divisor", "nearest_multiple"]


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
