"""Formats in which a policy is written, each checked against the policy before there is a file."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np

from jaxrl.errors import require_name
from jaxrl.exporting import jax_export, onnx_model
from jaxrl.exporting.description import describe
from jaxrl.exporting.interface import Interface, interface_of
from jaxrl.exporting.verification import verify
from jaxrl.training.policy import Policy

__all__ = ["FORMATS", "Converted", "Format", "packed"]


class Converted(Protocol):
    """A policy in a format, as it will be where it is loaded.

    Attributes:
        facts: what a description says of the format.
    """

    facts: dict[str, Any]

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Outputs by name."""

    def packed(self, description: Mapping[str, Any]) -> bytes:
        """A file with the policy and its description."""


class Format(NamedTuple):
    """A format.

    Attributes:
        suffix: that files usually have.
        convert: `Interface -> Converted`; a ValueError for what the format cannot express.
        takes_noise: whether noise is an input, instead of a key, where actions are drawn.
    """

    suffix: str
    convert: Callable[[Interface], Converted]
    takes_noise: bool = False


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "jax-export": Format(".zip", jax_export.convert),
        "onnx": Format(".onnx", onnx_model.convert, takes_noise=True),
    }
)


def packed(
    policy: Policy, name: str, weights_input: bool = False, source: Mapping[str, Any] | None = None
) -> tuple[bytes, dict[str, Any]]:
    """A policy in a format, which has been run beside the policy itself.

    Args:
        policy: what is written; where it explores, actions are drawn.
        name: of the format.
        weights_input: whether preference weights are an input, of a policy that is conditioned on them.
        source: where the policy is from, for its description.

    Returns:
        The file's bytes, and its description.

    Raises:
        UnknownNameError: for an unknown format.
        ValueError: for what the format cannot express, or does not express as it should.
        ImportError: without the format's extra.
    """
    chosen = FORMATS[require_name("format", name, FORMATS)]
    made = interface_of(policy, chosen.takes_noise, weights_input)
    converted = chosen.convert(made)
    agreement = verify(made, policy, converted)
    description = describe(
        made, policy.agent.spec, {**converted.facts, "source": dict(source or {}), "agreement": agreement}
    )
    return converted.packed(description), description
