"""A run's policy as a file that runs without jaxrl."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxrl.errors import CheckpointError, require_name
from jaxrl.exporting import FORMATS, packed
from jaxrl.runs.configuration import read_configuration
from jaxrl.runs.saved import choose_one
from jaxrl.sweeps.files import check_writable, replaced
from jaxrl.training.policy import Policy

__all__ = ["export", "format_of", "signature"]


def export(
    policy: Policy | str | Path,
    out: str | Path,
    format: str | None = None,
    member: int | None = None,
    weights: Sequence[float] | None = None,
    at_least: Mapping[str | int, float | int] | None = None,
    which: str = "last",
    explore: bool | None = None,
    weights_input: bool = False,
) -> dict[str, Any]:
    """Writes a policy as a file that runs without jaxrl, once it has acted as the policy does on 1,000 observations.

    Observations are normalised inside. What the file takes and gives by name, and the spaces, the preference and the
    memory at the start of an episode, is in its description, which is JSON.

    Args:
        policy: a policy, or the directory of a run with policies.
        out: the file. One that is there is replaced in one step, and only by a policy that has passed.
        format: `jax-export`, a ZIP archive with a serialised `jax.export` of the platforms CPU, CUDA and TPU, or
            `onnx`, which needs the extra `jaxrl[onnx]`; default by the suffix, `.onnx` or not.
        member: which of many policies; default the first of a sweep.
        weights, at_least: choose from a front instead, as `jaxrl.choose`; of a policy that is conditioned on
            preference weights, the weights to act by.
        which: `last`, or `best`, as for `jaxrl.load`.
        explore: draw actions instead of taking the most likely: a `key` is an input, in ONNX `noise`. Default: of a run
            no, of a policy as it does.
        weights_input: leave preference weights open, as an input, of a policy that is conditioned on them.

    Returns:
        The description.

    Raises:
        ValueError: for a run without policies, or what the format cannot express or does not express as it should.
        ImportError: without the extra that a format needs.
        CheckpointError: if the file cannot be written, or the run's checkpoint not read.
        IndexError: for a member that does not exist.
    """
    out = Path(out)
    name = require_name("format", format or format_of(out), FORMATS)
    if out.is_dir():
        raise CheckpointError(
            f"{out} is a folder: a policy is written to a file, such as {out / 'policy'}{FORMATS[name].suffix}"
        )
    check_writable(out.parent)
    if weights_input and (weights is not None or at_least):
        raise ValueError("preference weights are either an input or chosen, not both")
    source: dict[str, Any] = {}
    if not isinstance(policy, Policy):
        configuration = read_configuration(policy)
        name_of_run = Path(policy).resolve().name
        number, policy, _ = choose_one(policy, configuration, member, weights, at_least, which)
        source = {"run": name_of_run, "agent": configuration.agent, "policy": number, "which": which}
    elif member is not None or at_least or which != "last":
        raise ValueError("member, at_least and which choose from a run, and a policy is one already")
    elif weights is not None:
        policy = policy.with_weights(weights)
    chosen = Policy(policy.agent, policy.state, policy.hyperparameters, policy.explore if explore is None else explore)
    content, description = packed(chosen, name, weights_input, source)
    with replaced(out) as file:
        file.write(content)
    return description


def format_of(out: Path) -> str:
    """The format that a file's suffix stands for."""
    return next((name for name, found in FORMATS.items() if found.suffix == out.suffix), next(iter(FORMATS)))


def signature(description: Mapping[str, Any]) -> str:
    """What a file takes and gives, and how near it is to the policy, as text."""
    lines = []
    for what in ("inputs", "outputs"):
        for name, leaf in description[what].items():
            shape = ", ".join(map(str, leaf["shape"]))
            lines.append(f"{what[:-1]:<7} {name:<12} {leaf['dtype']} [{shape}]")
    agreement = description["agreement"]
    near = [f"{name} within {value:.2g}" for name, value in agreement["largest_difference"].items()]
    near += [f"{name} in {1.0 - value:.1%} the same" for name, value in agreement["share_of_other_choices"].items()]
    lines.append(f"on {agreement['observations']:,} observations, beside the policy itself: {', '.join(near)}")
    return "\n".join(lines)
