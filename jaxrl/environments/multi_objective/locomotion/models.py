"""The robots: brax's MuJoCo models, set back to the models of gymnasium's v5 tasks, and PGMORL's variants."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from jaxrl.errors import missing_extra

__all__ = ["ROBOTS", "Robot", "load_model"]


def _unchanged(spec: Any) -> None:
    del spec


class Robot(NamedTuple):
    """One MuJoCo model.

    Attributes:
        file: brax's asset.
        restore: edits that undo brax's reduction of contacts and solver (backend `mjx`).
        align: edits that every backend needs, such as the origin of the height.
        runge_kutta: whether the original steps by RK4; the others step by semi-implicit Euler.
        variant: edits that make it the model of another suite.
    """

    file: str
    restore: Callable[[Any], None] = _unchanged
    align: Callable[[Any], None] = _unchanged
    runge_kutta: bool = True
    variant: Callable[[Any], None] = _unchanged


def load_model(robot: Robot, full: bool) -> Any:
    """The compiled `mujoco.MjModel` of `robot`; `full` for the original's contacts and integrator.

    Raises:
        ImportError: if the extra `brax` is not installed.
    """
    package = find_spec("brax")
    if package is None:
        raise missing_extra("brax", "brax")
    import mujoco

    assets = Path(package.submodule_search_locations[0]) / "envs" / "assets"
    spec = mujoco.MjSpec.from_file(str(assets / robot.file))
    robot.align(spec)
    if full:
        robot.restore(spec)
        if robot.runge_kutta:
            spec.option.integrator = mujoco.mjtIntegrator.mjINT_RK4
    robot.variant(spec)
    # Contacts are solved by Newton's method until it converges, and a batch waits for its slowest
    # member. Eight iterations reach float32 even where the ant starts outside its joints' limits;
    # four leave 1e-3 of a velocity there.
    spec.option.iterations, spec.option.ls_iterations = (8 if full else 4), 8
    return spec.compile()


def _collide(spec: Any, conaffinity: int, margin: float | None = None) -> None:
    """Every geom meets the floor; with `conaffinity` 1 also every geom of another limb."""
    for geom in spec.geoms:
        geom.contype = 1
        geom.conaffinity = 1 if geom.name == "floor" else conaffinity
        if margin is not None:
            geom.margin = margin


def _restore_cheetah(spec: Any) -> None:
    _collide(spec, 0)


def _restore_walker(spec: Any) -> None:
    _collide(spec, 0)
    for name in ("foot_geom", "foot_left_geom"):
        spec.geom(name).friction = [1.9, 0.1, 0.1]


def _restore_hopper(spec: Any) -> None:
    _collide(spec, 1)
    _frictionless_limbs(spec)


def _restore_humanoid(spec: Any) -> None:
    _collide(spec, 1, margin=1e-3)
    _frictionless_limbs(spec)


def _frictionless_limbs(spec: Any) -> None:
    for geom in spec.geoms:
        geom.condim = 3 if geom.name == "floor" else 1


def _restore_ant(spec: Any) -> None:
    # brax stands the ant on four massless spheres, as its own engines collide spheres best.
    for geom in [geom for geom in spec.geoms if geom.name.endswith("foot_geom")]:
        spec.delete(geom)
    _collide(spec, 0, margin=0.01)


def _standing_height(spec: Any) -> None:
    """qpos[1] is the height of the torso above the floor, not above its first position."""
    spec.joint("rootz").ref = 1.25


def _gear(value: float) -> Callable[[Any], None]:
    def edit(spec: Any) -> None:
        for actuator in spec.actuators:
            actuator.gear = [value, 0.0, 0.0, 0.0, 0.0, 0.0]

    return edit


def _leg_damping(spec: Any, damping: float) -> None:
    for joint in spec.joints:
        if not joint.name.startswith("root"):
            joint.damping = _like(joint.damping, damping)


def _like(current: Any, value: float) -> Any:
    """MuJoCo 4 keeps a polynomial of damping coefficients where MuJoCo 3 keeps one number."""
    return value if isinstance(current, float) else [value, *([0.0] * (len(current) - 1))]


def _pgmorl_hopper(spec: Any) -> None:
    import mujoco

    _leg_damping(spec, 40.0)
    for joint in spec.joints:
        joint.limited = mujoco.mjtLimited.mjLIMITED_FALSE
    for actuator, strength, limit in zip(spec.actuators, (200.0, 200.0, 300.0), (2.0, 2.0, 4.0), strict=True):
        actuator.gear = [strength, 0.0, 0.0, 0.0, 0.0, 0.0]
        actuator.ctrlrange = [-limit, limit]


def _pgmorl_walker(spec: Any) -> None:
    _leg_damping(spec, 3.0)
    for geom in spec.geoms:
        geom.density = 1500.0
    spec.geom("foot_geom").friction = [0.9, 0.1, 0.1]


_HOPPER = Robot("hopper.xml", _restore_hopper, _standing_height)
_WALKER = Robot("walker2d.xml", _restore_walker, _standing_height)
_ANT = Robot("ant.xml", _restore_ant)
_SWIMMER = Robot("swimmer.xml")

ROBOTS: dict[str, Robot] = {
    "halfcheetah": Robot("half_cheetah.xml", _restore_cheetah, runge_kutta=False),
    "hopper": _HOPPER,
    "hopper-pgmorl": _HOPPER._replace(variant=_pgmorl_hopper),
    "walker2d": _WALKER,
    "walker2d-pgmorl": _WALKER._replace(variant=_pgmorl_walker),
    "ant": _ANT,
    "ant-pgmorl": _ANT._replace(variant=_gear(100.0)),
    "humanoid": Robot("humanoid.xml", _restore_humanoid),
    "swimmer": _SWIMMER,
    "swimmer-pgmorl": _SWIMMER._replace(variant=_gear(300.0)),
}
