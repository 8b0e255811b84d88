"""What the host loop, sweeps, checkpoints, tables and figures know of a program, and defaults of what it leaves out.

A program is a pure function of a key and hyperparameters. It needs an environment, an agent or a policy as little as
the host does: what it learns and how that is shown, it says itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from jaxrl.agents.base import Actor, Agent
from jaxrl.ranges import Range
from jaxrl.training.loop import Result, evaluation_iterations, scan_steps
from jaxrl.types import Array, Int, PRNGKeyArray, PyTree

__all__ = ["Player", "Program", "by_rows", "check_program", "complete_program"]


class Player(NamedTuple):
    """An actor with what it acts by: everything that a policy, an evaluation or a video needs.

    Attributes:
        actor: whose `act` is called.
        state: what was learnt.
        hyperparameters: what it was learnt with.
    """

    actor: Agent | Actor
    state: PyTree
    hyperparameters: Any


class _ByClass(type(Protocol)):
    """Asks a class for the members of a program: an instance would have to work its properties out."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return all(hasattr(type(instance), name) for name in (*_NEEDED, *_DEFAULTS))


@runtime_checkable
class Program(Protocol, metaclass=_ByClass):
    """A training program, of whatever kind.

    The first four are needed; `complete_program` adds the others, where a class lacks them.

    Attributes:
        init: `(key, hyperparameters) -> state`.
        step: `(state, hyperparameters, index) -> (state, (metrics, evaluation))`: one iteration. `metrics` is a dict of
            scalars, or of vectors with an entry per objective; `metrics["non_finite"]` above 0 marks a run that is
            lost. `evaluation` is a tuple of arrays, which count in the iterations of `evaluation_iterations`.
        hyperparameters: traced defaults.
        num_iterations: iterations of a run.
        run: `(key, hyperparameters) -> Result`: a scan of `step`, one program.
        steps_per_iteration: environment steps, or whatever else the run is long in. Default: 1.
        evaluation_iterations: indices of the iterations that end with an evaluation. Default: `config.num_evaluations`
            at equal intervals; without such a setting every one.
        evaluation_steps: steps before each evaluation.
        step_unit: what a step is called under figures. Default: environment steps, or steps where there is no
            environment.
        static_names: names of static settings, which a sweep compiles apart. Default: the fields of `config`.
        rebuild: `(**settings) -> program`, with some settings changed. Default: refuses.
        name: what figures are titled. Default: the environment's name, or the class's.
        objective_names: of those that preference weights weigh. Default: the environment's, or none.
        curves: columns that are drawn. Default: all.
        summary: columns of final tables. Default: `curves`.
        score: the column, to be maximised, by which searches and comparisons judge. Default: the first of `summary`.
        ranges: what leaves of the hyperparameters may be, by path, where their classes do not say it. Default: nothing.
        diagnostics: metrics, by name, that are reported beside evaluations. Default: none.
        num_copies: copies of the environment that act side by side, which devices may divide. Default: 0.
        without_actor: why a member has no policy and what to use instead; a sentence.
    """

    init: Callable[[PRNGKeyArray, Any], PyTree]
    step: Callable[[PyTree, Any, Int[Array, ""]], tuple[PyTree, tuple[dict[str, Array], Any]]]
    hyperparameters: Any
    num_iterations: int
    run: Callable[[PRNGKeyArray, Any], Result]
    steps_per_iteration: int
    evaluation_iterations: Int[np.ndarray, " evaluation"]
    evaluation_steps: Int[np.ndarray, " evaluation"]
    step_unit: str
    static_names: set[str]
    rebuild: Any
    name: str
    objective_names: tuple[str, ...]
    curves: tuple[str, ...]
    summary: tuple[str, ...]
    score: str
    ranges: Mapping[str, Range]
    diagnostics: tuple[str, ...]
    num_copies: int
    without_actor: str

    def columns(self, evaluation: Any) -> dict[str, np.ndarray]:
        """Named columns of evaluations, whose leaves have one leading axis: a row for each. Default: by field, with
        `_0`, `_1`, ... where a field is a vector."""

    def actor(self, state: PyTree, hyperparameters: Any) -> Player | None:
        """What a run ends with as a policy, traceable; None where there is none, as by default.

        A program that has policies also has an `environment` and `evaluator(num_episodes, explore)`, which builds
        `(key, the player's state, hyperparameters) -> Evaluation`.
        """

    def copy_axes(self, state: PyTree) -> PyTree:
        """0 at leaves of the state with a leading axis of copies of the environment, None at others, as by default."""

    def learned(self, state: PyTree) -> PyTree | None:
        """What a run has learnt instead of a policy; None where there is nothing, as by default."""


def complete_program(program: type) -> type:
    """Gives a class of programs the members of `Program` that it lacks.

    Args:
        program: a class, best a NamedTuple, with `init`, `step`, `hyperparameters` and `num_iterations`. A `config`,
            a frozen dataclass, names its static settings.
    """
    for name, default in _DEFAULTS.items():
        if not hasattr(program, name):
            setattr(program, name, default)
    return program


def check_program(program: Any) -> None:
    """Refuses what is no program.

    Raises:
        ValueError: naming what it lacks.
    """
    lacking = [name for name in _NEEDED if not hasattr(type(program), name)]
    if lacking:
        raise ValueError(f"a program needs {', '.join(_NEEDED)}; {type(program).__name__} lacks {', '.join(lacking)}")
    if not isinstance(program, Program):
        raise ValueError(f"{type(program).__name__} is no whole program: decorate its class with complete_program")


def by_rows(program: Program, evaluation: Any, num_axes: int = 1) -> dict[str, np.ndarray]:
    """The columns of evaluations with `num_axes` leading axes, such as member and evaluation, in rows."""
    flat = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(-1, *np.shape(leaf)[num_axes:]), evaluation)
    return program.columns(flat)


def _run(self: Program, key: PRNGKeyArray, hyperparameters: Any) -> Result:
    start = self.init(key, hyperparameters)
    return scan_steps(self.step, start, hyperparameters, self.num_iterations, self.evaluation_iterations)


def _evaluation_iterations(self: Program) -> Int[np.ndarray, " evaluation"]:
    count = getattr(getattr(self, "config", None), "num_evaluations", self.num_iterations)
    return evaluation_iterations(count, self.num_iterations)


def _static_names(self: Program) -> set[str]:
    return {field.name for field in fields(self.config)} if hasattr(self, "config") else set()


def _rebuild(self: Program, **settings: Any) -> Program:
    raise ValueError(f"{type(self).__name__} cannot be rebuilt with other settings: it has no `rebuild`")


def _columns(self: Program, evaluation: Any) -> dict[str, np.ndarray]:
    found = {}
    for name, values in (evaluation if isinstance(evaluation, dict) else evaluation._asdict()).items():
        rows = np.asarray(values)
        parts = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
        found |= {name: rows} if rows.ndim == 1 else {f"{name}_{i}": parts[:, i] for i in range(parts.shape[1])}
    return found


def _curves(self: Program) -> tuple[str, ...]:
    state = jax.eval_shape(self.init, jax.random.key(0), self.hyperparameters)
    shapes = jax.eval_shape(self.step, state, self.hyperparameters, 0)[1][1]
    return tuple(self.columns(jax.tree.map(lambda leaf: np.zeros((1, *leaf.shape)), shapes)))


def _spec(self: Any) -> Any:
    environment = getattr(self, "environment", None)
    return getattr(environment, "spec", None)


_NEEDED = ("init", "step", "hyperparameters", "num_iterations")
_DEFAULTS: dict[str, Any] = {
    "run": _run,
    "steps_per_iteration": 1,
    "evaluation_iterations": property(_evaluation_iterations),
    "evaluation_steps": property(lambda self: (self.evaluation_iterations + 1) * self.steps_per_iteration),
    "step_unit": property(lambda self: "environment steps" if _spec(self) else "steps"),
    "static_names": property(_static_names),
    "rebuild": _rebuild,
    "name": property(lambda self: _spec(self).name if _spec(self) else type(self).__name__),
    "objective_names": property(lambda self: _spec(self).objective_names if _spec(self) else ()),
    "columns": _columns,
    "curves": property(_curves),
    "summary": property(lambda self: self.curves),
    "score": property(lambda self: self.summary[0]),
    "ranges": MappingProxyType({}),
    "diagnostics": (),
    "num_copies": 0,
    "copy_axes": lambda self, state: jax.tree.map(lambda _: None, state),
    "without_actor": "this program's members hold no policy",
    "actor": lambda self, state, hyperparameters: None,
    "learned": lambda self, state: None,
}
