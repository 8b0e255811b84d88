"""A finished sweep: labelled results, and its members as policies."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxrl.sweeps.program import Timing
from jaxrl.sweeps.tables import evaluation_table
from jaxrl.training.evaluation import Evaluation
from jaxrl.training.loop import Result
from jaxrl.training.policy import Policy
from jaxrl.training.program import Program
from jaxrl.types import Bool, Float, Int, PRNGKeyArray, PyTree

if TYPE_CHECKING:
    import pandas

__all__ = ["Group", "Sweep"]


@dataclass(frozen=True)
class Group:
    """Members that share one compiled program.

    Attributes:
        trainer: their program.
        static: static settings that differ from the sweep's program.
        settings: per member, its traced settings by name (weights left out).
        weights: per member, `[member, objective]`, or None if weights are not swept.
        seeds: per member.
        hyperparameters: with a member axis where `axes` is 0.
        axes: 0 or None per leaf of `hyperparameters`.
        result: `Result` with a leading member axis.
        timing: seconds to compile and to run.
        span: the first iteration that `result` has metrics and evaluations of, and the one after the last; None: all.
    """

    trainer: Program
    static: dict[str, Any]
    settings: list[dict[str, Any]]
    weights: Float[np.ndarray, "member objective"] | None
    seeds: list[int]
    hyperparameters: Any
    axes: Any
    result: Result
    timing: Timing
    span: tuple[int, int] | None = None

    @property
    def _evaluated(self) -> Bool[np.ndarray, " evaluation"]:
        """Which of the program's evaluations `result` has."""
        due = self.trainer.evaluation_iterations
        first, end = self.span or (0, self.trainer.num_iterations)
        return (due >= first) & (due < end)

    @property
    def evaluation_rows(self) -> Int[np.ndarray, " evaluation"]:
        """Where the metrics are of iterations that end with an evaluation."""
        return self.trainer.evaluation_iterations[self._evaluated] - (self.span or (0,))[0]

    @property
    def evaluation_steps(self) -> Int[np.ndarray, "member evaluation"]:
        """Environment steps before each evaluation: exact, or at most, where bilevel programs end episodes early."""
        if "environment_steps" in self.result.metrics:
            return np.asarray(self.result.metrics["environment_steps"])[:, self.evaluation_rows]
        return np.tile(self.trainer.evaluation_steps[self._evaluated], (len(self.seeds), 1))

    def evaluator(self, num_episodes: int, explore: bool | None) -> Callable[[PRNGKeyArray, PyTree, Any], Evaluation]:
        """`(key, state, hyperparameters) -> Evaluation` of a member's policy."""
        program, evaluate = self.trainer, self.trainer.evaluator(num_episodes, explore)

        def of_member(key: PRNGKeyArray, state: PyTree, hyperparameters: Any) -> Evaluation:
            player = program.actor(state, hyperparameters)
            return evaluate(key, player.state, player.hyperparameters)

        return of_member

    def member(self, index: int) -> tuple[PyTree, Any]:
        """The final run state and the hyperparameters of one member."""
        state = jax.tree.map(lambda leaf: leaf[index], self.result.state)
        pick = lambda axis, leaf: leaf if axis is None else leaf[index]  # noqa: E731
        return state, jax.tree.map(pick, self.axes, self.hyperparameters, is_leaf=lambda axis: axis is None)


@dataclass(frozen=True)
class Sweep:
    """A finished sweep, or one that a callback ended.

    Attributes:
        groups: one per combination of static settings.
        names: the swept settings' names, static ones first.
        stopped: whether a callback ended it early: its last group has but the iterations of its `span`, and groups
            after that are not there.
    """

    groups: list[Group]
    names: list[str]
    stopped: bool = False

    @property
    def trainer(self) -> Program:
        """The first group's program."""
        return self.groups[0].trainer

    @property
    def num_members(self) -> int:
        """Number of runs."""
        return sum(len(group.seeds) for group in self.groups)

    def locate(self, member: int) -> tuple[Group, int]:
        """The group of a member and its index there.

        Raises:
            IndexError: if there is no such member.
            ValueError: for a program whose members have no policy, with what to use instead.
        """
        self._require_one_policy_each()
        return self.find(member)

    def find(self, member: int) -> tuple[Group, int]:
        """As `locate`, also where members have no policy."""
        if not 0 <= member < self.num_members:
            raise IndexError(f"member {member} does not exist: this sweep has members 0 to {self.num_members - 1}")
        for group in self.groups:
            if member < len(group.seeds):
                break
            member -= len(group.seeds)
        return group, member

    def _require_one_policy_each(self) -> None:
        if self.trainer.actor(*self.groups[0].member(0)) is None:
            raise ValueError(self.trainer.without_actor)

    def learned(self, member: int) -> PyTree:
        """What one member has learned: a value of a leaf of the agents' hyperparameters; of MAML, parameters; of a
        bilevel program, the reward.

        Raises:
            ValueError: for a program that learns nothing but policies.
            IndexError: if there is no such member.
        """
        group, index = self.find(member)
        found = group.trainer.learned(group.member(index)[0])
        if found is None:
            raise ValueError("these members have learned nothing besides policies")
        return found

    @property
    def table(self) -> "pandas.DataFrame":
        """One row per member and evaluation, tidy: settings, seed, weights, steps, returns, length."""
        import pandas

        frames, first = [], 0
        for group in self.groups:
            frames.append(evaluation_table(group, self.names, first))
            first += len(group.seeds)
        return pandas.concat(frames, ignore_index=True)

    def arrays(self) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        """Results as dense arrays and the names of their axes.

        Returns:
            Arrays `returns`, `discounted_returns` `[setting, weight, seed, evaluation, objective]`
            and `length`, `steps` without the last axis, and those names.
        """
        first = self.groups[0]
        num_seeds = len(set(first.seeds))
        # Members of one setting share its dict; equal weights still count apart.
        num_settings = len({id(settings) for settings in first.settings})
        num_weights = len(first.seeds) // (num_settings * num_seeds)
        axes = ("setting", "weight", "seed", "evaluation", "objective")

        def shaped(name: str) -> np.ndarray:
            stacked = np.concatenate([np.asarray(getattr(group.result.evaluation, name)) for group in self.groups])
            return stacked.reshape(-1, num_weights, num_seeds, *stacked.shape[1:])

        return {name: shaped(name) for name in ("returns", "discounted_returns", "length", "steps")}, axes

    def final_returns(self, discounted: bool = False) -> Float[np.ndarray, "member objective"]:
        """Returns of every member's last evaluation."""
        self._require_one_policy_each()
        name = "discounted_returns" if discounted else "returns"
        return np.concatenate([np.asarray(getattr(g.result.evaluation, name))[:, -1] for g in self.groups])

    def policy(self, member: int, explore: bool = False) -> Policy:
        """One member as a policy."""
        group, index = self.locate(member)
        return Policy(*group.trainer.actor(*group.member(index)), explore)

    def train_on(self, member: int, **settings: Any) -> Result:
        """Continues one member for another run, with settings such as `total_steps` changed."""
        group, index = self.locate(member)
        state, hyperparameters = group.member(index)
        continued = group.trainer.rebuild(**{**group.static, **settings})
        return jax.jit(continued.train_on)(state, hyperparameters)

    def evaluate(self, num_episodes: int, seed: int = 0, explore: bool | None = None) -> Evaluation:
        """Evaluates every final policy afresh; all members face the same episodes."""
        self._require_one_policy_each()
        parts = []
        for group in self.groups:
            mapped = jax.jit(jax.vmap(group.evaluator(num_episodes, explore), in_axes=(None, 0, group.axes)))
            # On the host: what an actor does not read of a state is never moved.
            state = jax.device_get(group.result.state)
            parts.append(jax.device_get(mapped(jax.random.key(seed), state, group.hyperparameters)))
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
