"""What lies on the table: each scene's bodies as MJCF.

Bodies: "object" is what a task places; "mechanism" is the part of it that moves; "fixture" stands at the goal. Facts of
the models in `metaworld` 3.1.1 (MIT licence), Farama Foundation; see `models` for what is left out.
"""

from jaxrl.environments.metaworld.worlds.loose import LOOSE
from jaxrl.environments.metaworld.worlds.mechanisms import MECHANISMS
from jaxrl.environments.metaworld.worlds.tools import TOOLS
from jaxrl.environments.metaworld.worlds.world import World

__all__ = ["WORLDS", "World"]

WORLDS: dict[str, World] = {**LOOSE, **MECHANISMS, **TOOLS}
