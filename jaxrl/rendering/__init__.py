"""Pictures of environments: what an agent is in, frame by frame."""

from jaxrl.rendering.base import NotDrawn, Scene, register_renderer, renderer_of
from jaxrl.rendering.canvas import Canvas
from jaxrl.rendering.frames import frame

__all__ = ["Canvas", "NotDrawn", "Scene", "frame", "register_renderer", "renderer_of"]
