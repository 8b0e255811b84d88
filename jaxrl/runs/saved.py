"""What a finished run directory gives back: policies, sweeps and fresh returns; and saving one policy alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxrl import moved
from jaxrl.environments.base import Environment
from jaxrl.environments.registry import make
from jaxrl.errors import require_name
from jaxrl.numerics.preferences import check_preferences
from jaxrl.numerics.weights import validate
from jaxrl.ranges import EPISODES, SEED
from jaxrl.runs.configuration import Configuration, check_free, read_configuration
from jaxrl.runs.experiment import build, plan
from jaxrl.runs.fresh_returns import fresh_returns, returns_table
from jaxrl.runs.kinds import KINDS, Policies
from jaxrl.runs.trained import save_member, save_run
from jaxrl.sweeps.best import read_best
from jaxrl.sweeps.sweep import Group, Sweep, run_plan
from jaxrl.training.policy import Policy

__all__ = [
    "Chosen",
    "choose_one",
    "choose_policy",
    "evaluate",
    "load",
    "load_sweep",
    "policies_of",
    "save_member",
    "save_run",
]


def evaluate(
    directory: str | Path,
    num_episodes: int = 128,
    seed: int = 1,
    member: int | None = None,
    explore: bool | None = False,
    which: str = "last",
    environment: str | Environment | None = None,
) -> Any:
    """Fresh episodes of a run directory's policies, one row each; of a study, the policies in front.csv's order.

    `which` is as for `load`, and `explore` None as in the evaluations of training.

    Args:
        directory: of the run.
        num_episodes: of each policy.
        seed: of the episodes.
        member: which policy; default all.
        explore: sample actions instead of taking the most likely.
        which: `last` or `best`.
        environment: another one than that of training, or its name, whose observations and actions are the same;
            under its default parameters.

    Raises:
        ValueError: for a run whose kind has no policies, or an environment that does not fit them.
        IndexError: for a member that does not exist.
    """
    EPISODES.check("num_episodes", num_episodes)
    SEED.check("seed", seed)
    configuration = read_configuration(directory)
    if environment is not None or KINDS[configuration.kind].policies is not None:
        environment = make(environment) if isinstance(environment, str) else environment
        found = policies_of(directory, configuration)
        _require(found, directory, member)
        chosen, policy = [member] if member is not None else range(found.count), _which(found, directory, which)
        policies = {index: policy(index) for index in chosen}
        return fresh_returns(policies, found.program, num_episodes, seed, explore, environment)
    swept = load_sweep(directory, which)
    # All members in one program.
    result, members = swept.evaluate(num_episodes, seed, explore), list(range(swept.num_members))
    if member is not None:
        swept.locate(member)
        result, members = jax.tree.map(lambda leaf: leaf[member : member + 1], result), [member]
    return returns_table(result, members, swept.trainer.environment.spec, num_episodes)


def policies_of(directory: str | Path, configuration: Configuration) -> Policies:
    """The policies of a run: what its kind says, or the members of a sweep, which is finished first.

    Raises:
        ValueError: for a run without policies.
    """
    own = KINDS[configuration.kind].policies
    if own is not None:
        return own(Path(directory), configuration)
    swept = load_sweep(directory)
    swept.locate(0)
    return Policies(
        swept.num_members, swept.policy, lambda index: swept.locate(index)[0].trainer, partial(save_member, swept),
        best=lambda index: load_sweep(directory, "best").policy(index),
    )  # fmt: skip


def _which(found: Policies, directory: str | Path, which: str) -> Callable[[int], Policy]:
    """`number -> Policy`, as it was last or at its best."""
    require_name("state", which, ("last", "best"))
    if which == "last":
        return found.policy
    if found.best is None:
        raise ValueError(f"{directory} holds policies of a kind that keeps no best ones beside them")
    return found.best


def _require(found: Policies, directory: str | Path, member: int | None) -> None:
    if found.alone and member not in (None, 0):
        raise ValueError(f"{directory} is a single run: it has no member {member}")


def load(directory: str | Path, member: int | None = None, explore: bool = False, which: str = "last") -> Policy:
    """A trained policy from a run directory: `policy(key, observation) -> action`.

    Args:
        directory: of any run that ends with policies.
        member: which run of a sweep, or which policy of a study, a row of front.csv.
        explore: sample actions instead of taking the most likely.
        which: `last`, or `best`: as it was at its best evaluation, of a run with `keep="best"`.

    Raises:
        CheckpointError: if there is no whole checkpoint, or the best was not kept.
        ValueError: for a sweep or a study without `member`, or a run without policies.
        IndexError: for a member that does not exist.
    """
    found = policies_of(directory, read_configuration(directory))
    _require(found, directory, member)
    if member is None and not found.alone:
        raise ValueError(f"{directory} holds many policies: say which with member=0 to {found.count - 1}")
    policy = _which(found, directory, which)(member or 0)
    return Policy(policy.agent, policy.state, policy.hyperparameters, explore)


class Chosen(NamedTuple):
    """One of a run's policies.

    Attributes:
        number: which, counted from 0.
        policy: what acts.
        environment: where.
    """

    number: int
    policy: Policy
    environment: Environment


def choose_one(
    directory: str | Path,
    configuration: Configuration,
    member: int | None = None,
    weights: Sequence[float] | None = None,
    at_least: Mapping[str | int, float | int] | None = None,
    which: str = "last",
) -> Chosen:
    """One of a run's policies, by number or by preference: of a front, or of what is conditioned on preferences.

    Raises:
        ValueError: for a run without policies, or a choice where there is none.
        IndexError: for a member that does not exist.
    """
    _check_preferences(configuration, weights, at_least)
    found = policies_of(directory, configuration)
    _require(found, directory, member)
    number = _number(found, member, weights, at_least)
    policy = _which(found, directory, which)(number)
    if (weights is not None or at_least) and not (member is None and found.choose is not None):
        if at_least or not policy.conditioned:
            instead = (
                f": say member=0 to {found.count - 1}" if found.count > 1 else ", but one policy under its weights"
            )
            raise ValueError(f"{directory} holds no front to choose from by preference{instead}")
        validate(weights, policy.agent.spec.num_objectives)
        policy = policy.with_weights(weights)
    return Chosen(number, policy, found.program(number).environment)


def _number(
    found: Policies,
    member: int | None,
    weights: Sequence[float] | None,
    at_least: Mapping[str | int, float | int] | None,
) -> int:
    """Which policy is meant: by its number, of a front by preference, else the first."""
    if member is None and found.choose is not None:
        return found.choose(weights, at_least or {})
    return member or 0


def load_sweep(directory: str | Path, which: str = "last") -> Sweep:
    """A finished sweep, from its checkpoints; an unfinished one is finished first.

    Args:
        directory: of its run.
        which: `last`, or `best`: with every member's state as it was at its best evaluation, of a run with
            `keep="best"`. Results are those of the whole run.
    """
    require_name("state", which, ("last", "best"))
    directory = Path(directory)
    configuration = read_configuration(directory)
    if KINDS[configuration.kind].drive is not None:
        raise ValueError(f"{directory} holds a single policy, not a sweep; use jaxrl.load")
    planned = plan(build(configuration), configuration)
    swept = run_plan(planned, directory=directory / "checkpoints", say=lambda _: None)
    return swept if which == "last" else replace(swept, groups=_at_best(swept, directory / "checkpoints"))


def _at_best(swept: Sweep, checkpoints: Path) -> list[Group]:
    found = []
    for index, group in enumerate(swept.groups):
        shapes = jax.eval_shape(lambda state: state, group.result.state)
        state = read_best(checkpoints / f"group_{index}", shapes)[0]
        found.append(replace(group, result=group.result._replace(state=state)))
    return found


def _check_preferences(configuration: Configuration, weights: Any, at_least: Any) -> None:
    """What can be said of a choice before any policy is restored and evaluated, which may take a minute."""
    if weights is not None or at_least:
        spec = make(configuration.environment, **configuration.environment_options).spec
        check_preferences(spec.objective_names, spec.name, weights, at_least)


def choose_policy(
    directory: str | Path,
    weights: Sequence[float] | None = None,
    at_least: Mapping[str | int, float | int] | None = None,
    point: int | None = None,
    num_episodes: int = 128,
    seed: int = 1,
    save: str | Path | None = None,
) -> tuple[int, Any]:
    """Chooses one of a run's policies and rolls it out.

    Args:
        directory: of `jaxrl pareto`, or, with `point`, of any run with many policies.
        weights, at_least: as `jaxrl.choose`.
        point: the policy itself instead, a row of front.csv or a member.
        num_episodes: fresh episodes.
        seed: of the episodes.
        save: a run directory to write the policy to.

    Returns:
        The policy's number, and a table of its fresh returns.

    Raises:
        ValueError: for a directory without a choice, or as `jaxrl.choose`.
        IndexError: for a point that does not exist.
    """
    configuration = read_configuration(directory)
    kind = KINDS[configuration.kind]
    if (kind.policies is None and point is None) or kind.drive is not None:
        raise ValueError(f"{directory} holds a {kind.name}, not a Pareto study: there is no front to choose from")
    EPISODES.check("num_episodes", num_episodes)
    SEED.check("seed", seed)
    _check_preferences(configuration, weights, at_least)
    if save:
        check_free(Path(save))
    found = policies_of(directory, configuration)
    index = _number(found, point, weights, at_least)
    # Exploring or not, as in training.
    table = fresh_returns({index: found.policy(index)}, found.program, num_episodes, seed, None)
    if save:
        found.save(index, Path(save))
    return index, table


def __getattr__(name: str) -> Any:
    return moved.attribute(__name__, name)
