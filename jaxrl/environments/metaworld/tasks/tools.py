"""Tasks in which something held does the work: a hammer, a stick, a nut or a lid."""

from jaxrl.environments.metaworld.rewards import tools
from jaxrl.environments.metaworld.tasks.task import ORIGIN, Task

__all__ = ["TOOLS"]

# A quarter turn about the vertical.
_ACROSS = (0.707106781, 0.0, 0.0, 0.707106781)

_NUT = Task(
    scene="nut",
    reward=tools.assembly,
    objects=((0.0, 0.6, 0.02), (0.0, 0.6, 0.02)),
    goals=((-0.1, 0.75, 0.1), (0.1, 0.85, 0.1)),
    object=(0.0, 0.6, 0.02),
    goal=(0.1, 0.8, 0.1),
    relative=None,
    apart=0.1,
    posture=_ACROSS,
    tracked=(0.0, -0.13, 0.0),
    head=ORIGIN,
    fixture=(0.0, 0.0, -0.05),
    orientation="wxyz",
)
_STICK = Task(
    scene="stick",
    reward=tools.stick_push,
    objects=((-0.08, 0.58, 0.02), (-0.03, 0.62, 0.02)),
    goals=((0.399, 0.55, 0.132), (0.401, 0.6, 0.132)),
    object=(-0.1, 0.6, 0.02),
    goal=(0.4, 0.6, 0.132),
    relative=None,
    apart=0.1,
    joint=(0.0, 0.0),
    head=(0.05, 0.0, 0.0),
    second=(0.0, 0.0, 0.132),
    orientation="xyzw",
)

TOOLS: dict[str, Task] = {
    "assembly": _NUT,
    "disassemble": _NUT._replace(
        reward=tools.disassemble,
        objects=((0.0, 0.6, 0.025), (0.1, 0.75, 0.02501)),
        goals=(ORIGIN, ORIGIN),
        object=(0.0, 0.7, 0.025),
        goal=(0.0, 0.0, 0.15),
        relative=(1.0, 1.0, 1.0),
        hand="near",
        fixture=(0.0, 0.0, -0.12),
    ),
    "box-close": Task(
        scene="lid",
        reward=tools.box_close,
        objects=((-0.05, 0.5, 0.02), (0.05, 0.55, 0.02)),
        goals=((-0.1, 0.7, 0.133), (0.1, 0.8, 0.133)),
        object=(0.0, 0.55, 0.02),
        goal=(0.0, 0.75, 0.133),
        relative=None,
        apart=0.25,
        posture=_ACROSS,
        tracked=(0.0, 0.0, 0.075),
        fixture=(0.0, 0.0, -0.133),
        orientation="wxyz",
    ),
    "hammer": Task(
        scene="hammer",
        reward=tools.hammer,
        objects=((-0.1, 0.4, 0.0), (0.1, 0.5, 0.0)),
        goals=((0.24, 0.74, 0.11), (0.24, 0.74, 0.11)),
        object=(0.0, 0.5, 0.0),
        goal=(0.24, 0.74, 0.11),
        relative=None,
        hand="near",
        posture=(0.999557372, 0.000155588, -0.029749534, 0.000016716),
        second=ORIGIN,
        second_orientation="fixed",
        orientation="wxyz",
    ),
    "stick-push": _STICK,
    "stick-pull": _STICK._replace(
        reward=tools.stick_pull,
        objects=((-0.1, 0.55, 0.02), (0.0, 0.65, 0.02)),
        goals=((0.35, 0.45, 0.02), (0.45, 0.55, 0.02)),
        object=(0.0, 0.6, 0.02),
        goal=(0.3, 0.4, 0.02),
        front=0.35,
        joint=(0.0, 0.09),
        second=(0.0, -0.09, 0.132),
    ),
}
