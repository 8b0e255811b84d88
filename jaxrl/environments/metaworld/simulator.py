"""What is static about one task, and where its params put the objects."""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.environments.metaworld.models import load_model
from jaxrl.environments.metaworld.scene import MetaWorldParams
from jaxrl.environments.metaworld.tasks import TASKS, Task
from jaxrl.environments.physics import MJX_FIELDS, read_physics, write_physics
from jaxrl.types import Array, Float, PRNGKeyArray

__all__ = ["Simulator", "arrange", "build_simulator", "default_params", "mujoco_model", "places", "sample_params"]

# Draws until object and goal lie apart; at worst 1 in 10²⁰ variations has them nearer.
_NUM_DRAWS = 64


class Simulator(NamedTuple):
    """What is static about one task.

    Attributes:
        task: see `Task`.
        model: the `mjx.Model`, its objects at their default places.
        data: an `mjx.Data` to be filled.
        bodies: index of each body by name.
        object_geom: index of the geom of what is loose; −1 where a mechanism takes its place.
        finger_geoms: indices of the left and the right finger's.
        show_goal: whether the goal is observed.
    """

    task: Task
    model: Any
    data: Any
    bodies: dict[str, int]
    object_geom: int
    finger_geoms: tuple[int, int]
    show_goal: bool


def build_simulator(task: Task, show_goal: bool) -> Simulator:
    """Compiles the task's model for MJX.

    Raises:
        ImportError: if the extra `metaworld` is not installed.
    """
    model = load_model(task.scene)
    from mujoco import mjx

    bodies = {model.body(i).name: i for i in range(model.nbody)}
    free = any(model.geom(i).name == "object" for i in range(model.ngeom))
    # The default engine, Warp, is not XLA: it can be neither differentiated nor fused.
    return Simulator(
        task=task,
        model=mjx.put_model(model, impl="jax"),
        data=mjx.make_data(model, impl="jax"),
        bodies=bodies,
        object_geom=model.geom("object").id if free else -1,
        finger_geoms=(model.geom("left").id, model.geom("right").id),
        show_goal=show_goal,
    )


def mujoco_model(name: str, **options: Any) -> Any:
    """The `mujoco.MjModel` of `metaworld/{name}`, whatever its options; `places` says where its bodies are."""
    return load_model(TASKS[name].scene)


@lru_cache(maxsize=4)
def _simulator(name: str) -> Simulator:
    return build_simulator(TASKS[name], show_goal=True)


def places(name: str, params: MetaWorldParams) -> Float[Array, "body 3"]:
    """Where a task's bodies are in their parents."""
    return arrange(_simulator(name), params).body_pos


def default_params(simulator: Simulator) -> MetaWorldParams:
    """The original's default variation, and the model's own physics."""
    task, physics = simulator.task, read_physics(simulator.model, MJX_FIELDS)
    place, goal = jnp.array(task.object), jnp.array(task.goal)
    return MetaWorldParams(place, _goal_at(task, place) if task.relative else goal, physics)


def sample_params(simulator: Simulator, key: PRNGKeyArray) -> MetaWorldParams:
    """A variation, uniform over the original's ranges where object and goal lie far enough apart."""
    task, default = simulator.task, default_params(simulator)
    object_key, goal_key = jax.random.split(key)
    low, high = (jnp.array(end) for end in task.objects)
    place = jax.random.uniform(object_key, (_NUM_DRAWS, 3), minval=low, maxval=jnp.maximum(high, low))
    if task.relative:
        return default._replace(object=place[0], goal=_goal_at(task, place[0]))
    low, high = (jnp.array(end) for end in task.goals)
    goal = jax.random.uniform(goal_key, (_NUM_DRAWS, 3), minval=low, maxval=high)
    chosen = jnp.argmax(jnp.linalg.norm((goal - place)[:, :2], axis=-1) >= task.apart)
    return default._replace(object=place[chosen], goal=goal[chosen])


def arrange(simulator: Simulator, params: MetaWorldParams) -> Any:
    """The model with `params`' physics, and what is fixed to the table where `params` says."""
    model = write_physics(simulator.model, MJX_FIELDS, params.physics)
    places = model.body_pos
    if simulator.object_geom < 0 and "object" in simulator.bodies:
        places = places.at[simulator.bodies["object"]].set(params.object)
    if simulator.task.fixture is not None:
        foot = params.goal if simulator.task.follows == "goal" else params.object
        places = places.at[simulator.bodies["fixture"]].set(foot + jnp.array(simulator.task.fixture))
    return model.replace(body_pos=places)


def _goal_at(task: Task, place: Float[Array, "3"]) -> Float[Array, "3"]:
    """The goal that belongs to the object's place."""
    return place * jnp.array(task.relative) + jnp.array(task.goal)
