"""Pictures of environments: what an agent is in, frame by frame."""

from jaxrl.rendering.base import Scene, register_renderer, renderer_of
from jaxrl.rendering.canvas import Canvas
from jaxrl.rendering.frames import frame

__all__ = ["Canvas", "Scene", "frame", "register_renderer", "renderer_of"]
