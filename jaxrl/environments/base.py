"""The environment contract: pure functions over explicit state and traced parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from jaxrl.environments.spaces import Space
from jaxrl.types import Array, Bool, Float, PRNGKeyArray, PyTree

__all__ = ["Environment", "EnvironmentSpec", "Outcomes", "Reset", "Step", "Timestep", "require_compiled"]


class Timestep(NamedTuple):
    """What one transition returns: `Timestep(observation, reward, terminated, truncated, info)`.

    Shapes are those of one copy; batches of copies have leading axes.

    Attributes:
        observation: what the agent sees next, as `spec.observation` describes it: one array, or a `dict` (`Dict`) or
            `tuple` (`Tuple`) of arrays, of its shapes and dtypes.
        reward: float, `[num_objectives]`; a scalar task has one objective, hence the shape `[1]`.
        terminated: bool scalar, the task ended: the value of what follows is zero.
        truncated: bool scalar, a time limit cut the episode: what follows has value, but is not seen. Never true on a
            step that terminates.
        info: extra arrays by name, the same names, shapes and dtypes in every step; `{}` for none. `success`, a scalar,
            is reported by evaluations. Batches of copies (`vectorise`) add `final_observation`, the observation before
            any restart, and `faulty`, whether the step was not finite.
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
    """Starts an episode: `reset(key, params) -> (state, observation)`.

    Args:
        key: a typed key (`jax.random.key`), the only source of randomness.
        params: the environment's parameters, traced: never read from a closure.

    Returns:
        The state, any pytree of arrays; and the first observation, as `spec.observation` describes it.
    """

    def __call__(self, key: PRNGKeyArray, params: PyTree) -> tuple[PyTree, PyTree]: ...


class Step(Protocol):
    """Advances an episode: `step(key, state, action, params) -> (state, Timestep)`. Pure, and never resets.

    Args:
        key: a typed key of this step alone.
        state: what `reset` or the last `step` returned; it also holds what a reward or a time limit remembers.
        action: as `spec.action` describes it: an int32 scalar (`Discrete`), an int32 vector (`MultiDiscrete`), or
            floats, within the bounds if there are any (`Box`).
        params: the environment's parameters, traced.

    Returns:
        The next state, of the same structure, shapes and dtypes, and the `Timestep`.
    """

    def __call__(self, key: PRNGKeyArray, state: PyTree, action: Array, params: PyTree) -> tuple[PyTree, Timestep]: ...


@dataclass(frozen=True)
class EnvironmentSpec:
    """What is static about an environment: `EnvironmentSpec(name, observation, action, num_objectives=1, ...)`.

    Frozen, hashable, without arrays. Only the first three fields have no default.

    Attributes:
        name: the id under which `jaxrl.make` knows it, `suite/task`.
        observation: the observation space: `Box`, `Discrete`, `MultiDiscrete`, or a `Dict` or `Tuple` of spaces.
        action: the action space: `Discrete`, `MultiDiscrete`, or a `Box` of shape `(n,)`.
        num_objectives: length of the reward vector, at least 1.
        time_limit: number of steps after which every episode has ended, for default
            parameters; None if there is no such number. It only says so: `transforms.time_limit` sets it and cuts.
        objective_names: one name per objective; filled with `objective_i` where left out.
        reference_point: lower corner for hypervolumes (maximisation), one entry per objective.
        discount: the discount under which returns and fronts of this problem are usually reported, in [0, 1].
        costly_reset: whether a reset costs far more than a step, so that auto-reset should
            share a few starts (mode `pool`, see `vectorise`).
        options: what `jaxrl.make` was given besides the name; filled by it.
        num_tasks: where objectives are tasks, one of which an episode is about: how many; see `paying`. Else 0.
        unswept: parameters that another library has written such that they change nothing, or that others do not
            follow: `(name, why, and what to vary instead)`. A sweep over one is refused.
        action_mask: the part of a `Dict` observation that says which actions are legal, by its name: flags (a `Box` of
            dtype bool) of any shape, in row-major order one for each action (`Discrete`), or one for each value of each
            choice in turn (`MultiDiscrete`). Policies of jaxrl's agents keep to them, and do not see them: what is to
            be seen, too, is another part. Every observation that is acted on must allow some action, of
            each choice; one that does not is acted on as if all actions were equally likely. None for no mask.
        on_host: whether episodes are played in Python outside the compiled program (see `environments.hosted`), so
            that policies are evaluated on it and none is trained.

    Raises:
        ValueError: for names or a reference point that do not have one entry per objective, or tasks that are not as
            many as the objectives.
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
    unswept: tuple[tuple[str, str], ...] = ()
    action_mask: str | None = None
    on_host: bool = False

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
    """One environment: `Environment(reset, step, params, spec)`; no batching, no auto-reset and no jit inside.

    A task of one's own, checked, registered and trained:

    >>> import jax, jax.numpy as jnp, jaxrl
    >>> from jaxrl.environments import Box, Discrete, Environment, EnvironmentSpec, Timestep, check, transforms
    >>> def reset(key, params):
    ...     position = jax.random.uniform(key, minval=-1.0, maxval=1.0)
    ...     return position, position[None]
    >>> def step(key, state, action, params):
    ...     position = state + params["speed"] * (action - 1.0)
    ...     fallen = jnp.abs(position) > 2.0
    ...     return position, Timestep(position[None], -jnp.abs(position)[None], fallen, jnp.array(False), {})
    >>> spec = EnvironmentSpec("mine/balance", observation=Box(-3.0, 3.0, (1,)), action=Discrete(3))
    >>> balance = Environment(reset, step, params={"speed": jnp.asarray(0.1)}, spec=spec)
    >>> balance = transforms.time_limit(balance, 50)
    >>> check(balance)
    >>> jaxrl.register("mine/balance", lambda: balance)
    >>> jaxrl.trainer("ppo", "mine/balance", total_steps=20_000).environment.spec.time_limit
    50

    Attributes:
        reset: `(key, params) -> (state, observation)`, see `Reset`.
        step: `(key, state, action, params) -> (state, Timestep)`, see `Step`.
        params: default parameters, a pytree of arrays that is traced: physical constants,
            goals, levels; `()` for none. Whatever is swept here is also what evaluation uses.
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


def require_compiled(spec: EnvironmentSpec) -> None:
    """Refuses what is only to be evaluated on.

    Raises:
        ValueError: for a spec that is `on_host`.
    """
    if spec.on_host:
        raise ValueError(
            f"{spec.name} steps in Python, outside the compiled program: policies are evaluated on it (jaxrl evaluate "
            f"RUN --environment {spec.name}), and trained on an environment in JAX"
        )
