"""The environment contract: pure functions over explicit state and traced parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from jaxrl.environments.spaces import Space
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = ["Environment", "EnvironmentSpec", "Outcomes", "Reset", "Step", "Timestep"]


class Timestep(NamedTuple):
    """What one transition returns.

    Attributes:
        observation: what the agent sees next.
        reward: one entry per objective; a scalar task has one objective.
        terminated: the task ended: the value of what follows is zero.
        truncated: a time limit cut the episode: what follows has value, but is not seen.
        info: extra arrays with a fixed structure. Auto-resetting environments add
            `final_observation`, the observation before any reset.
    """

    observation: PyTree
    reward: Float[Array, "*batch objective"]
    terminated: Bool[Array, "*batch"]
    truncated: Bool[Array, "*batch"]
    info: dict[str, Any]


class Outcomes(NamedTuple):
    """Everything that one step may lead to, as a finite distribution.

    Attributes:
        probabilities: of each outcome; they sum to one, and some may be zero.
        states: the state after each outcome, with a leading axis.
        timesteps: what each outcome returns, with a leading axis.
    """

    probabilities: Float[Array, " outcome"]
    states: PyTree
    timesteps: Timestep


class Reset(Protocol):
    """Starts an episode: `(key, params) -> (state, observation)`."""

    def __call__(self, key: PRNGKeyArray, params: PyTree) -> tuple[PyTree, PyTree]: ...


class Step(Protocol):
    """Advances an episode: `(key, state, action, params) -> (state, Timestep)`. Never resets."""

    def __call__(self, key: PRNGKeyArray, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep]: ...


@dataclass(frozen=True)
class EnvironmentSpec:
    """What is static about an environment.

    Attributes:
        name: the id under which `jaxrl.make` knows it.
        observation: the observation space.
        action: the action space.
        num_objectives: length of the reward vector.
        time_limit: number of steps after which every episode has ended, for default
            parameters; None if there is no such number.
        objective_names: one name per objective; filled with `objective_i` where left out.
        reference_point: lower corner for hypervolumes (maximisation), one entry per objective.
        discount: the discount under which fronts of this problem are usually reported.
        costly_reset: whether a reset costs far more than a step, so that auto-reset should
            share a few starts (mode `pool`).
        options: what `jaxrl.make` was given besides the name.
        num_tasks: where objectives are tasks, one of which an episode is about: how many; see `paying`. Else 0.
    """

    name: str
    observation: Space
    action: Space
    num_objectives: int = 1
    time_limit: int | None = None
    objective_names: tuple[str, ...] = ()
    reference_point: tuple[float, ...] | None = None
    discount: float = 1.0
    costly_reset: bool = False
    options: tuple[tuple[str, Any], ...] = ()
    num_tasks: int = 0

    def __post_init__(self) -> None:
        if not self.objective_names:
            names = (
                ("reward",) if self.num_objectives == 1 else tuple(f"objective_{i}" for i in range(self.num_objectives))
            )
            object.__setattr__(self, "objective_names", names)
        for field, value in (("objective_names", self.objective_names), ("reference_point", self.reference_point)):
            if value is not None and len(value) != self.num_objectives:
                raise ValueError(
                    f"{self.name}: {field} has {len(value)} entries for {self.num_objectives} objectives: {value}"
                )
        if self.num_tasks not in (0, self.num_objectives):
            raise ValueError(
                f"{self.name}: tasks are objectives: num_tasks must be 0 or {self.num_objectives}, got {self.num_tasks}"
            )


class Environment(NamedTuple):
    """One environment: no batching, no auto-reset and no jit inside.

    Attributes:
        reset: see `Reset`.
        step: see `Step`.
        params: default parameters, a pytree of arrays that is traced: physical constants,
            goals, levels. Whatever is swept here is also what evaluation uses.
        spec: what is static.
        post_decision: optional `(state, action, params) -> post_state`, the deterministic
            half of a transition.
        exogenous: optional `(key, post_state, params) -> (state, Timestep)`, the random half.
        outcomes: optional `(state, action, params) -> Outcomes`, the distribution that `step` draws
            from, where it is finite (see `outcomes.sampled_step`): what exact planning needs.
        sample_params: optional `key -> params`, the environment's own distribution over parameters, such as levels.
        task_params: optional `(params, task) -> params`: those under which every episode is about that one task, given
            by its number.
        blocks: optional environments, each with its own entry of `params`, among which copies are shared out evenly
            and stay, so that each copy runs its own environment's program alone.
    """

    reset: Reset
    step: Step
    params: PyTree
    spec: EnvironmentSpec
    post_decision: Callable | None = None
    exogenous: Callable | None = None
    outcomes: Callable[[PyTree, Array, PyTree], Outcomes] | None = None
    sample_params: Callable[[PRNGKeyArray], PyTree] | None = None
    task_params: Callable[[PyTree, Array], PyTree] | None = None
    blocks: tuple["Environment", ...] = ()
