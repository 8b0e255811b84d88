"""What a network makes of observations before its dense layers: one vector, an image, or each part by itself."""

from typing import Literal

from jaxrl.environments.parts import has_parts, map_parts, parts_of
from jaxrl.environments.spaces import Box, Space, encode
from jaxrl.networks.images import is_image
from jaxrl.types import PyTree

__all__ = ["Encoder", "encoder_of", "features_of", "part_kinds"]

Encoder = Literal["flat", "image", "parts"]


def encoder_of(observation: Space, network: str) -> Encoder:
    """How a network of that name takes observations; `auto` and `gru` take images as such, alone or among other parts.

    Raises:
        ValueError: for a CNN without an image, or encoders of parts where there is one array.
    """
    if network == "cnn":
        if not is_image(observation):
            among = "; network='parts' takes images among other parts" if has_parts(observation) else ""
            needed = "height x width x channels observations of at least 3 x 3"
            raise ValueError(f"network 'cnn' needs {needed}, got {observation}{among}")
        return "image"
    if network == "parts":
        if not has_parts(observation):
            raise ValueError(f"network 'parts' needs Dict or Tuple observations, got {observation}; use network='auto'")
        return "parts"
    if network in ("auto", "gru") and any(map(is_image, parts_of(observation).values())):
        return "parts" if has_parts(observation) else "image"
    return "flat"


def features_of(observation: Space, encoder: Encoder, value: PyTree) -> PyTree:
    """An observation as float32: one vector, an image, or the parts, of which integers are one-hot and vectors flat."""
    if encoder == "parts":
        return map_parts(lambda part, leaf: encode(part, leaf, keep_image=is_image(part)), observation, value)
    return encode(observation, value, keep_image=encoder == "image")


def part_kinds(observation: Space) -> tuple[str, ...]:
    """What each part is: `image`, `vector` or `integer`."""
    return tuple(
        "image" if is_image(part) else "vector" if isinstance(part, Box) else "integer"
        for part in parts_of(observation).values()
    )
