"""The contract of agents: what the training loop calls, with defaults for all but five things.

An agent is a NamedTuple of pure functions that a builder `spec -> Agent` or `(spec, config) -> Agent` returns. It needs
`init`, `act`, `update`, `hyperparameters` and `spec`. What it keeps between iterations (replay buffer, target networks,
statistics) is its own state, any pytree of arrays whose shapes never change. `jaxrl.agents.check` says what is wrong
with one before anything compiles.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

from jaxrl.aggregation.base import ReturnSummary
from jaxrl.configs import check_config
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.ranges import COUNT, SOME, Range
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, Progress, PyTree

__all__ = [
    "TRANSITION",
    "Act",
    "Actor",
    "Agent",
    "Collection",
    "Explore",
    "Init",
    "Progress",
    "Rollout",
    "Update",
    "no_memory",
]


@dataclass(frozen=True, kw_only=True)
class Collection:
    """How much an agent collects in each iteration, and from what; static."""

    num_envs: Annotated[int, COUNT] = 8
    """Copies of the environment that act side by side."""
    num_steps: Annotated[int, SOME] = 128
    """Steps of each copy per iteration; 0 collects nothing: `update` is given no rollout, and `total_steps` counts
    iterations."""
    group_size: Annotated[int, SOME] = 0
    """Copies that begin every iteration from the same start; 0 lets episodes go on."""
    condition_on_weights: bool = False
    """Whether preference weights are drawn anew, uniformly from the simplex, for every copy and iteration."""
    weights_last: bool = False
    """Whether these weights stay until an episode has ended, and change with the iteration after that."""
    num_preferences: Annotated[int, SOME] = 0
    """Different weights among those of an iteration, corners of the simplex included; 0 draws one for every copy."""

    __post_init__ = check_config

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of one iteration; 1 where it collects nothing."""
        return max(1, self.num_envs * self.num_steps)


# What a rollout holds of every transition; `info` is recorded where an agent asks for it.
TRANSITION = ("observation", "raw_action", "reward", "terminated", "truncated", "final_observation", "start")


class Rollout(NamedTuple):
    """One iteration's experience, leading axes `[time, env]` unless said otherwise; None what the agent leaves out.

    Attributes:
        observation: what the agent acted on.
        raw_action: what `explore` returned, such as the raw sample of a distribution.
        reward: one entry per objective.
        terminated: the task ended here.
        truncated: a time limit cut the episode here.
        final_observation: what really followed, before any reset.
        start: whether `observation` is the first of an episode.
        memory: the agent's memory before the first step, `[env, ...]`.
        weights: preference weights in force, `[env, objective]`.
        extras: what `explore` returned besides, such as log probabilities.
        info: what the environment reported, where `records` has it.
        valid: False where the environment's step was not finite. Such a sample has a reward of 0, is truncated, and has
            `observation` as its `final_observation`; nothing may be learned from it. None where all are valid.
    """

    observation: PyTree | None = None
    raw_action: Array | None = None
    reward: Float[Array, "time env objective"] | None = None
    terminated: Bool[Array, "time env"] | None = None
    truncated: Bool[Array, "time env"] | None = None
    final_observation: PyTree | None = None
    start: Bool[Array, "time env"] | None = None
    memory: PyTree = ()
    weights: Float[Array, "env objective"] | None = None
    extras: PyTree = ()
    info: PyTree = ()
    valid: Bool[Array, "time env"] | None = None


@runtime_checkable
class Init(Protocol):
    """The state before the first iteration."""

    def __call__(self, key: PRNGKeyArray, hyperparameters: Any) -> PyTree: ...


@runtime_checkable
class Act(Protocol):
    """Acts: in evaluation, and in a policy that was loaded.

    `state` is the agent's, without what its `actor` leaves out; `observation` may have any leading batch axes, and
    `memory` is what the last call returned, or `Agent.memory` at the start of an episode. `explore` is a Python bool:
    whether to act as in training, at its end, instead of as well as possible. Returns the environment's action and the
    next memory.
    """

    def __call__(
        self,
        key: PRNGKeyArray,
        state: PyTree,
        observation: PyTree,
        memory: PyTree,
        hyperparameters: Any,
        explore: bool = False,
    ) -> tuple[Array, PyTree]: ...


@runtime_checkable
class Explore(Protocol):
    """Acts in training, one step of all copies; leading axis `env`.

    `start` is true where an episode begins, so that memory is to be forgotten; `weights` are the preference weights in
    force; `noise` is this step's part of what `Agent.noise` drew, a key by default; `progress.fraction` is the share
    of training that is over. Returns the raw action (`Agent.action` makes the environment's of it), the next memory
    and, if there are any, extras: arrays that the rollout keeps.
    """

    def __call__(
        self,
        state: PyTree,
        observation: PyTree,
        memory: PyTree,
        start: Bool[Array, " env"],
        weights: Float[Array, "env objective"],
        noise: PyTree,
        hyperparameters: Any,
        progress: Progress,
    ) -> tuple[Array, PyTree] | tuple[Array, PyTree, PyTree]: ...


@runtime_checkable
class Update(Protocol):
    """Learns, once per iteration.

    `rollout` is None for an agent that collects nothing; `summary` has the mean returns of the episodes that ended
    meanwhile. Nothing may be learned from samples that are not `rollout.valid`; they are finite all the same.

    Returns the next state, of the same shapes and types, and metrics: scalars, or vectors with one entry per objective,
    by name. `non_finite`, above 0 where the run is lost, is among them or is filled in: where a parameter of what acts
    is not finite. An agent that leaves out updates whose gradient is not finite counts them as `skipped_updates`; then
    `non_finite` is their share of the iteration's, and a run goes on while they are few (`RunOptions.max_lost`).
    """

    def __call__(
        self,
        key: PRNGKeyArray,
        state: PyTree,
        rollout: Rollout | None,
        summary: ReturnSummary,
        hyperparameters: Any,
        progress: Progress,
    ) -> tuple[PyTree, dict[str, Array]]: ...


def no_memory(batch_shape: tuple[int, ...]) -> PyTree:
    """Of agents that remember nothing."""
    return ()


class Actor(NamedTuple):
    """What acts: as much of an agent as evaluation and `Policy` need, for policies that no `Agent` learns.

    Attributes:
        memory: `batch_shape -> memory` at the start of an episode.
        act: see `Act`.
        spec: the environment's spec that it was built for.
        actor: as an agent's.
    """

    memory: Callable[[tuple[int, ...]], PyTree]
    act: Act
    spec: EnvironmentSpec
    actor: Callable[[PyTree], PyTree] = lambda state: state


class Agent(NamedTuple):
    """An agent as pure functions.

    Attributes:
        init: see `Init`.
        act: see `Act`.
        update: see `Update`.
        hyperparameters: defaults of everything traced, a NamedTuple. `weights` (preference weights; None for equal
            ones) and `environment` (its parameters) must be among its fields: the trainer fills them in. `discount`,
            where there is one, also discounts the returns that are reported of training.
        spec: the environment's spec that it was built for.
        config: what is static, a frozen dataclass, or None; its fields can be set and swept by name.
        collects: how many copies of the environment it acts in, and for how many steps an iteration.
        records: fields of `Rollout` that hold its transitions: any of `TRANSITION`, and `info`.
        explore: see `Explore`. Default: `act` with `explore=True`.
        noise: `(key, [time, env]) -> noise` of a whole rollout in one call, leading axis `time`. Default: a key a step.
        action: `raw action -> action` for the environment. Default: as it is.
        memory: `batch_shape -> memory` at the start of an episode, an array or a tree of arrays. Default: none.
        preferences: `(key, number of copies, hyperparameters) -> [env, objective]`: preference weights of an iteration,
            where `collects.condition_on_weights` says that they change. Default: uniform on the simplex.
        actor: `state -> state` without what only learning needs, such as `state._replace(buffer=())`: all that
            evaluation, policies and saved policies hold. It leaves its own result as it is. Default: everything.
        value: `(state, observation, memory, hyperparameters) -> [*batch, objective]`, the critic's value of an
            observation that follows `memory`; None without one.
        inherit: `(fresh state, parent state) -> state` where a population goes on from a parent under another
            objective: what was learnt goes on, what belongs to the old objective is as fresh. Default: the parent.
        score: `(state, Rollout, hyperparameters) -> Score`: log probabilities and entropies of its actions,
            differentiable, for meta-gradients; None without.
        initialisers: by name of a leaf, `key -> value` with which learning that leaf begins.
        ranges: of leaves within the hyperparameters, by path, such as `objective.clip_epsilon`; those of fields stand
            in the annotations of the hyperparameters' class, `Annotated[float, Range(0)]`.
    """

    init: Init
    act: Act
    update: Update
    hyperparameters: Any
    spec: EnvironmentSpec
    config: Any = None
    collects: Collection = Collection()
    records: tuple[str, ...] = TRANSITION
    explore: Explore | None = None
    noise: Callable[[PRNGKeyArray, tuple[int, ...]], PyTree] | None = None
    action: Callable[[Array], Array] = lambda raw_action: raw_action
    memory: Callable[[tuple[int, ...]], PyTree] = no_memory
    preferences: Callable[[PRNGKeyArray, int, Any], Array] | None = None
    actor: Callable[[PyTree], PyTree] = lambda state: state
    value: Callable[..., Array] | None = None
    inherit: Callable[[PyTree, PyTree], PyTree] = lambda fresh, parent: parent
    score: Callable[..., Any] | None = None
    initialisers: Mapping[str, Callable[[PRNGKeyArray], PyTree]] = MappingProxyType({})
    ranges: Mapping[str, Range] = MappingProxyType({})
