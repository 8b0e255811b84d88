"""Which function draws which environment: by the class of its state, or else what the agent sees."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxrl.environments.base import EnvironmentSpec
from jaxrl.types import PyTree

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["NotDrawn", "Renderer", "Scene", "register_renderer", "renderer_of"]


class NotDrawn(UserWarning):
    """Why frames show what the agent sees instead of the picture that there is elsewhere."""


class Scene(NamedTuple):
    """One moment of an environment, on the host.

    Attributes:
        state: the environment's, without what transforms keep around it.
        observation: what the agent sees.
        params: the environment's parameters.
        spec: the environment's.
    """

    state: PyTree
    observation: PyTree
    params: PyTree
    spec: EnvironmentSpec


Renderer = Callable[[Scene], "Image.Image"]

_MULTI_OBJECTIVE, _DRAWN = "jaxrl.environments.multi_objective", "jaxrl.rendering.multi_objective"
_BODIES = "jaxrl.rendering.bodies"
_CLASSIC = "gymnax.environments.classic_control"
# By the full name of the class of a state: the function, or where it is.
_RENDERERS: dict[str, Renderer | str] = {
    f"{_CLASSIC}.cartpole.EnvState": "jaxrl.rendering.classic:cart_pole",
    f"{_CLASSIC}.acrobot.EnvState": "jaxrl.rendering.classic:acrobot",
    f"{_CLASSIC}.pendulum.EnvState": "jaxrl.rendering.classic:pendulum",
    f"{_CLASSIC}.mountain_car.EnvState": "jaxrl.rendering.classic:mountain_car",
    f"{_CLASSIC}.continuous_mountain_car.EnvState": "jaxrl.rendering.classic:mountain_car",
    f"{_MULTI_OBJECTIVE}.mountain_car.MountainCarState": "jaxrl.rendering.classic:mountain_car",
    f"{_MULTI_OBJECTIVE}.deep_sea_treasure.DeepSeaTreasureState": f"{_DRAWN}:deep_sea_treasure",
    f"{_MULTI_OBJECTIVE}.four_room.FourRoomState": f"{_DRAWN}:four_room",
    f"{_MULTI_OBJECTIVE}.resource_gathering.ResourceGatheringState": f"{_DRAWN}:resource_gathering",
    f"{_MULTI_OBJECTIVE}.breakable_bottles.BreakableBottlesState": f"{_DRAWN}:breakable_bottles",
    f"{_MULTI_OBJECTIVE}.fishwood.FishwoodState": f"{_DRAWN}:fishwood",
    f"{_MULTI_OBJECTIVE}.fruit_tree.FruitTreeState": f"{_DRAWN}:fruit_tree",
    f"{_MULTI_OBJECTIVE}.minecart.MinecartState": f"{_DRAWN}:minecart",
    f"{_MULTI_OBJECTIVE}.reacher.ReacherState": f"{_DRAWN}:reacher",
    f"{_MULTI_OBJECTIVE}.water_reservoir.WaterReservoirState": f"{_DRAWN}:water_reservoir",
    f"{_MULTI_OBJECTIVE}.allocation.AllocationState": f"{_DRAWN}:allocation",
    f"{_MULTI_OBJECTIVE}.lunar_lander.LunarLanderState": "jaxrl.rendering.vehicles:lunar_lander",
    f"{_MULTI_OBJECTIVE}.highway.vehicles.Vehicles": "jaxrl.rendering.vehicles:highway",
    "jaxrl.environments.grid.dynamics.GridState": "jaxrl.rendering.grid:grid",
    **{f"brax.{engine}.base.State": f"{_BODIES}:brax" for engine in ("spring", "positional", "generalized", "mjx")},
    f"{_MULTI_OBJECTIVE}.locomotion.environment.LocomotionState": f"{_BODIES}:locomotion",
    "jaxrl.environments.metaworld.environment.MetaWorldState": f"{_BODIES}:metaworld",
    "jaxrl.environments.playground.PlaygroundState": f"{_BODIES}:playground",
    "jaxrl.environments.family.MergedState": "jaxrl.rendering.tasks:of_a_family",
    "jaxrl.environments.suite.SuiteState": "jaxrl.rendering.tasks:of_a_suite",
}
_GENERIC = "jaxrl.rendering.generic:what_is_seen"


def register_renderer(state: type, renderer: Renderer) -> Renderer:
    """Draws environments whose state is of a class; the latest for a class holds.

    Args:
        state: the class.
        renderer: `Scene -> a Pillow image`; `Canvas` helps.
    """
    if not callable(renderer):
        raise ValueError(f"a renderer is a function of a Scene, got {renderer!r}")
    _RENDERERS[_full_name(state)] = renderer
    return renderer


def renderer_of(state: PyTree) -> tuple[Renderer, Callable[[PyTree], PyTree]]:
    """How an environment with such a state is drawn, and what of its state that needs.

    Transforms keep the state that they wrap as `inner`. What nobody draws is drawn as the agent sees it.
    """
    depth, inner = 0, state
    while _full_name(type(inner)) not in _RENDERERS and hasattr(inner, "inner"):
        depth, inner = depth + 1, inner.inner
    found = _RENDERERS.get(_full_name(type(inner)), _GENERIC)
    if isinstance(found, str):
        module, name = found.split(":")
        found = getattr(import_module(module), name)
    return found, lambda whole: _unwrapped(whole, depth)


def _unwrapped(state: PyTree, depth: int) -> PyTree:
    for _ in range(depth):
        state = state.inner
    return state


def _full_name(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
