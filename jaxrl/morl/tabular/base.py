"""What every tabular algorithm is, what it returns, and how it steps an environment whose states are numbered."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents.base import Actor
from jaxrl.environments.base import Environment, EnvironmentSpec
from jaxrl.morl.pareto import hypervolume
from jaxrl.morl.tabular.acting import Acting, Episode, play
from jaxrl.morl.tabular.model import state_index
from jaxrl.training.evaluation import Evaluation, evaluator
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray, PyTree

__all__ = [
    "MAX_HYPERVOLUME_OBJECTIVES",
    "Found",
    "Result",
    "Tabular",
    "as_arrays",
    "at_most_once",
    "epsilon",
    "interact",
    "measured",
    "reference_point",
]

# What compiled code can measure exactly.
MAX_HYPERVOLUME_OBJECTIVES = 3


class Found(NamedTuple):
    """What an algorithm knows of the front.

    Attributes:
        points: return vectors from the start, discounted as the run is; zeros outside `mask`.
        mask: which entries are on the front found.
        weights: the preference that each belongs to, or None where preferences play no part.
    """

    points: Float[Array, "capacity objective"]
    mask: Bool[Array, " capacity"]
    weights: Float[Array, "capacity objective"] | None


class Result(NamedTuple):
    """What a run found.

    Attributes:
        points, mask: as in `Found`; entry `i` of `points` is policy `i`.
        hypervolume: of what was known after each iteration, above the reference point; NaN for more
            than three objectives, which compiled code cannot measure.
        steps: environment steps taken until then, all that the algorithm used.
        state: the algorithm's last.
        diagnostics: named arrays of the algorithm's own, one entry per iteration.
    """

    points: Float[Array, "capacity objective"]
    mask: Bool[Array, " capacity"]
    hypervolume: Float[Array, " iteration"]
    steps: Int[Array, " iteration"]
    state: PyTree
    diagnostics: dict[str, Array]


class Tabular(NamedTuple):
    """A tabular multi-objective algorithm on one environment.

    Attributes:
        init: `(key, hyperparameters) -> state`.
        step: `(state, hyperparameters, index) -> (state, diagnostics)`: one iteration, after which the front is
            known anew; `diagnostics` are scalars by name.
        steps: `state -> environment steps` taken so far, int32.
        front: `(state, hyperparameters) -> Found`.
        policy: `(state, hyperparameters, index) -> state of the actor`: the policy behind entry `index` of the front.
        agent: the actor that follows such a policy.
        environment: the environment.
        hyperparameters: traced defaults.
        config: the static settings.
        iteration_steps: environment steps of each iteration; at most, where episodes may end early.
        diagnostics: names of what `step` reports.
    """

    init: Callable[[PRNGKeyArray, PyTree], PyTree]
    step: Callable[[PyTree, PyTree, Int[Array, ""]], tuple[PyTree, dict[str, Array]]]
    steps: Callable[[PyTree], Int[Array, ""]]
    front: Callable[[PyTree, PyTree], Found]
    policy: Callable[[PyTree, PyTree, Int[Array, ""] | int], PyTree]
    agent: Actor
    environment: Environment
    hyperparameters: Any
    config: Any
    iteration_steps: Int[np.ndarray, " iteration"]
    diagnostics: tuple[str, ...]

    @property
    def num_iterations(self) -> int:
        """Iterations of a run."""
        return len(self.iteration_steps)

    @property
    def evaluation_iterations(self) -> Int[np.ndarray, " evaluation"]:
        """Every iteration ends with a front."""
        return np.arange(self.num_iterations)

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of an iteration, on average."""
        return int(self.iteration_steps.sum()) // self.num_iterations

    @property
    def static_names(self) -> set[str]:
        """Names of static settings beside those of `config`: none."""
        return set()

    def run(self, key: PRNGKeyArray, hyperparameters: PyTree) -> Result:
        """A whole run as one program, pure: jit it, and vmap it over keys and leaves."""

        def iteration(state: PyTree, index: Array) -> tuple[PyTree, tuple]:
            state, diagnostics = self.step(state, hyperparameters, index)
            found = self.front(state, hyperparameters)
            volume = measured(found.points, found.mask, hyperparameters.reference)
            return state, (volume, self.steps(state), diagnostics)

        start = self.init(key, hyperparameters)
        state, (curve, steps, diagnostics) = jax.lax.scan(iteration, start, jnp.arange(self.num_iterations))
        found = self.front(state, hyperparameters)
        return Result(found.points, found.mask, curve, steps, state, diagnostics)

    def execute(
        self, key: PRNGKeyArray, result: Result, index: Int[Array, ""] | int, hyperparameters: PyTree
    ) -> Episode:
        """One episode of the policy behind `result.points[index]`; pure too."""
        policy = self.policy(result.state, hyperparameters, index)
        return play(self.environment, key, self.agent, policy, hyperparameters.discount, self.params(hyperparameters))

    def params(self, hyperparameters: PyTree) -> PyTree:
        """The environment's parameters: those of the run, or, where it planned on tables, the defaults."""
        traced = getattr(hyperparameters, "environment", ())
        return self.environment.params if isinstance(traced, tuple) and not traced else traced

    def acting(self, hyperparameters: PyTree) -> Acting:
        """What an evaluation needs to know of a run's hyperparameters."""
        return Acting(jax.tree.map(jnp.asarray, self.params(hyperparameters)))

    def evaluator(self, num_episodes: int, explore: bool | None = None) -> Callable[..., Evaluation]:
        """`(key, policy, acting) -> Evaluation` over that many episodes; policies here do not explore."""
        limit = self.environment.spec.time_limit
        return evaluator(self.environment, self.agent, num_episodes, limit, bool(explore))


def at_most_once(
    unfinished: Callable[[PyTree], Bool[Array, ""]], ask: Callable[[PyTree], PyTree], state: PyTree
) -> PyTree:
    """`ask(state)` where it is unfinished; a loop, so that under vmap nothing is asked once all members are done."""

    def body(carry: PyTree) -> PyTree:
        return ask(carry[0]), jnp.array(False)

    return jax.lax.while_loop(lambda carry: carry[1] & unfinished(carry[0]), body, (state, jnp.array(True)))[0]


def as_arrays(hyperparameters: PyTree) -> PyTree:
    """Python numbers as float32 arrays, so that every default can be traced."""
    return jax.tree.map(lambda leaf: jnp.float32(leaf) if isinstance(leaf, float | int) else leaf, hyperparameters)


def epsilon(hyperparameters: PyTree, progress: Float[Array, ""]) -> Float[Array, ""]:
    """ε falls linearly from `epsilon_start` to `epsilon_end` over the first `exploration_fraction` of a run."""
    fraction = jnp.clip(progress / jnp.maximum(hyperparameters.exploration_fraction, 1e-6), 0.0, 1.0)
    return hyperparameters.epsilon_start + fraction * (hyperparameters.epsilon_end - hyperparameters.epsilon_start)


def measured(
    points: Float[Array, "batch objective"], mask: Bool[Array, " batch"], reference: Float[Array, " objective"]
) -> Float[Array, ""]:
    """The hypervolume where compiled code can measure it, else NaN."""
    if points.shape[-1] > MAX_HYPERVOLUME_OBJECTIVES:
        return jnp.float32(jnp.nan)
    unknown = jnp.any(jnp.isnan(reference))
    return jnp.where(unknown, jnp.nan, hypervolume(points, jnp.where(unknown, 0.0, reference), mask))


def reference_point(spec: EnvironmentSpec) -> Float[Array, " objective"]:
    """The environment's reference point, NaN where it names none."""
    point = spec.reference_point
    return jnp.full(spec.num_objectives, jnp.nan) if point is None else jnp.asarray(point, jnp.float32)


def interact(
    environment: Environment, key: PRNGKeyArray, state: PyTree, action: Int[Array, ""], params: PyTree
) -> tuple[PyTree, Int[Array, ""], Int[Array, ""], Float[Array, " objective"], Bool[Array, ""]]:
    """One step, with a fresh start where the episode is over.

    Returns:
        The state to go on from and its number; the number of the state just reached, which is the
        one to learn from; the reward; whether the task ended.
    """
    step_key, reset_key = jax.random.split(key)
    number = state_index(environment.spec.observation)
    state, timestep = environment.step(step_key, state, action, params)
    done = timestep.terminated | timestep.truncated
    reached = number(timestep.observation)
    fresh, observation = environment.reset(reset_key, params)
    state = jax.tree.map(lambda new, old: jnp.where(done, new, old), fresh, state)
    onward = jnp.where(done, number(observation), reached)
    return state, onward, reached, timestep.reward, timestep.terminated
