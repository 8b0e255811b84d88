"""Fresh episodes of policies, and a table of their returns: where they were trained, or in another environment."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxrl.environments.base import Environment, EnvironmentSpec
from jaxrl.environments.step_transforms import action_repeat
from jaxrl.training.evaluation import Evaluation, evaluation_columns
from jaxrl.training.policy import Policy
from jaxrl.training.program import Program
from jaxrl.training.schedule import TrainerConfig
from jaxrl.training.transfer import transferred

__all__ = ["fresh_returns", "returns_table"]


def fresh_returns(
    policies: Mapping[int, Policy],
    program: Callable[[int], Program],
    num_episodes: int,
    seed: int,
    explore: bool | None,
    environment: Environment | None = None,
) -> Any:
    """A row of fresh returns for each numbered policy of a `program`; all face the same episodes.

    They are those of the program's own environment, or of another.
    """
    results, compiled = [], {}
    for index, policy in policies.items():
        built = program(index)
        if id(built) not in compiled:
            play = (
                built.evaluator(num_episodes, explore)
                if environment is None
                else _elsewhere(built, policy, environment, num_episodes, explore)
            )
            compiled[id(built)] = jax.jit(play)
        results.append(compiled[id(built)](jax.random.key(seed), policy.state, policy.hyperparameters))
    stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *results)
    return returns_table(stacked, [*policies], (environment or built.environment).spec, num_episodes)


def _elsewhere(
    program: Program, policy: Policy, environment: Environment, num_episodes: int, explore: bool | None
) -> Callable[..., Evaluation]:
    """Evaluates in another environment, of whose steps as many are repeated and whose episodes are as long at most."""
    schedule = getattr(program, "config", None)
    config = schedule if isinstance(schedule, TrainerConfig) else TrainerConfig()
    environment = action_repeat(environment, config.action_repeat)
    explore = config.evaluation_explores if explore is None else explore
    return transferred(environment, policy.agent, num_episodes, config.evaluation_steps, explore)


def returns_table(result: Evaluation, members: list[int], spec: EnvironmentSpec, num_episodes: int) -> Any:
    """A row for each member of the mean returns and lengths of so many episodes."""
    import pandas

    columns = evaluation_columns(result, spec)
    del columns["steps"]
    return pandas.DataFrame({"member": members, "episodes": num_episodes, **columns})
