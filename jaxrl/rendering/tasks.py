"""Environments of several tasks, drawn as the task that an episode is about."""

from dataclasses import replace
from typing import TYPE_CHECKING

import jax

from jaxrl.rendering.base import Scene, renderer_of

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["of_a_family", "of_a_suite"]


def of_a_family(scene: Scene) -> "Image.Image":
    """Of one environment under many parameters, that under the task's own."""
    task = int(scene.state.task)
    params = jax.tree.map(lambda leaf: leaf[task], scene.params.tasks)
    return _drawn(scene._replace(state=scene.state.inner, params=params))


def of_a_suite(scene: Scene) -> "Image.Image":
    """Of several environments, the task's own."""
    task, names, suite = int(scene.state.task), scene.spec.objective_names, scene.spec.name.partition("/")[0]
    spec = replace(scene.spec, name=f"{suite}/{names[task]}", options=())
    return _drawn(Scene(scene.state.inner[task], scene.observation, scene.params[task], spec))


def _drawn(scene: Scene) -> "Image.Image":
    draw, unwrap = renderer_of(scene.state)
    return draw(scene._replace(state=unwrap(scene.state)))
