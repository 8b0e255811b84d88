"""Environments of `mo/` without vehicles."""

from typing import TYPE_CHECKING

import numpy as np

from jaxrl.rendering.base import Scene
from jaxrl.rendering.canvas import Canvas
from jaxrl.rendering.cells import Cells

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "allocation",
    "breakable_bottles",
    "deep_sea_treasure",
    "fishwood",
    "four_room",
    "fruit_tree",
    "minecart",
    "reacher",
    "resource_gathering",
    "water_reservoir",
]

# Shapes of the four rooms, in the order of their kinds.
_KINDS = (("square", "blue"), ("triangle", "green"), ("circle", "orange"))


def deep_sea_treasure(scene: Scene) -> "Image.Image":
    """The sea, its floor, and treasures with their values."""
    treasure, rock = np.asarray(scene.params.treasure), np.asarray(scene.params.rock)
    cells = Cells(*rock.shape, background="#CDE6F5")
    for cell in np.argwhere(rock):
        cells.fill(cell, "black")
    for cell in np.argwhere(treasure > 0.0):
        cells.fill(cell, "amber")
        cells.write(cell, f"{treasure[tuple(cell)]:g}", height=0.34)
    cells.agent(np.asarray(scene.state.position))
    return cells.canvas.image()


def four_room(scene: Scene) -> "Image.Image":
    """Walls, the shapes that are left, and the goal."""
    params, state = scene.params, scene.state
    walls = np.asarray(params.walls)
    cells = Cells(*walls.shape)
    for cell in np.argwhere(walls):
        cells.fill(cell, "black")
    goal = np.asarray(params.goal)
    cells.fill(goal, "yellow")
    cells.write(goal, "G")
    kinds = np.argmax(np.asarray(params.rewards), axis=-1)
    for place, kind, taken in zip(np.asarray(params.shapes), kinds, np.asarray(state.collected), strict=True):
        if not taken:
            cells.mark(place, *_KINDS[int(kind) % len(_KINDS)])
    cells.agent(np.asarray(state.position))
    return cells.canvas.image()


def resource_gathering(scene: Scene) -> "Image.Image":
    """Home, gold, diamond and enemies; what has been gathered is carried."""
    params, state = scene.params, scene.state
    cells = Cells(5, 5)
    cells.fill(np.asarray(params.home), "sky")
    cells.write(np.asarray(params.home), "home", height=0.22)
    for enemy, chance in zip(np.asarray(params.enemies), np.asarray(params.death_probability), strict=True):
        cells.fill(enemy, "pink")
        cells.write(enemy, f"{100 * float(chance):.0f} %", height=0.22)
    gathered = np.asarray(state.gathered)
    for place, shape, colour, taken in (
        (params.gold, "circle", "amber", gathered[0]), (params.diamond, "diamond", "sky", gathered[1]),
    ):  # fmt: skip
        if not taken:
            cells.mark(np.asarray(place), shape, colour)
    position = np.asarray(state.position)
    cells.agent(position)
    x, y = cells.centre(position)
    for taken, colour, side in ((gathered[0], "amber", -0.35), (gathered[1], "sky", 0.35)):
        if taken:
            cells.canvas.circle((x + side, y - 0.3), 0.12, colour, "black")
    return cells.canvas.image()


def breakable_bottles(scene: Scene) -> "Image.Image":
    """The store on the left, home on the right, bottles on the floor and in hand."""
    state = scene.state
    dropped = np.asarray(state.dropped)
    size = len(dropped) + 2
    canvas = Canvas((0, -0.6), (size, 1.4), background="pale")
    for tile in range(size):
        fill = "amber" if tile == 0 else "sky" if tile == size - 1 else "white"
        canvas.rectangle((tile, 0), (tile + 1, 1), fill, "light")
    canvas.text((0.5, 1.2), "store", height=0.2)
    canvas.text((size - 0.5, 1.2), f"home: {int(state.delivered)}", height=0.2)
    for tile, count in enumerate(dropped, start=1):
        for bottle in range(int(count)):
            canvas.rectangle((tile + 0.15 + 0.25 * bottle, 0.05), (tile + 0.3 + 0.25 * bottle, 0.25), "pink", "black")
    x = float(state.location) + 0.5
    canvas.circle((x, 0.55), 0.22, "orange", "black")
    canvas.text((x, -0.3), f"carries {int(state.carrying)}", height=0.2)
    return canvas.image()


def fishwood(scene: Scene) -> "Image.Image":
    """The river and the woods, with their chances."""
    place, params = int(np.ravel(scene.state.place)[0]), scene.params
    canvas = Canvas((0, 0), (2, 1), background="white")
    for index, (name, colour, chance) in enumerate(
        (("river", "#CDE6F5", params.fish_probability), ("woods", "#CFE8DC", params.wood_probability))
    ):
        canvas.rectangle((index, 0), (index + 1, 1), colour, "grey")
        canvas.text((index + 0.5, 0.85), f"{name}: {float(chance):.0%}", height=0.1)
    canvas.circle((place + 0.5, 0.42), 0.15, "orange", "black")
    return canvas.image()


def fruit_tree(scene: Scene) -> "Image.Image":
    """The tree from its root at the top, and the path to the node."""
    level, index = (int(value) for value in np.asarray(scene.state.node))
    depth = int(np.log2(len(np.asarray(scene.params.leaves))))
    canvas = Canvas((0, -0.06), (1.6, 1.06))
    place = lambda row, i: (1.6 * (i + 0.5) / 2**row, 1.0 - row / depth)  # noqa: E731
    path = [(row, index >> (level - row)) for row in range(level + 1)]
    for row in range(depth):
        for i in range(2**row):
            for child in (2 * i, 2 * i + 1):
                walked = (row, i) in path and (row + 1, child) in path
                canvas.line([place(row, i), place(row + 1, child)], "orange" if walked else "light", 0.01 * walked)
    for row in range(depth + 1):
        for i in range(2**row):
            canvas.circle(place(row, i), min(0.025, 0.6 / 2**row), "green" if row == depth else "grey")
    canvas.circle(place(level, index), 0.04, "orange", "black")
    return canvas.image()


def minecart(scene: Scene) -> "Image.Image":
    """Home in a corner, mines with their mean ores, the cart with its load."""
    params, state = scene.params, scene.state
    canvas = Canvas((-0.03, -0.03), (1.03, 1.03), background="pale")
    canvas.rectangle((0, 0), (1, 1), None, "grey")
    canvas.circle((0, 0), float(params.base_radius), "sky")
    for mine, ores in zip(np.asarray(params.mines), np.asarray(params.ore_mean), strict=True):
        canvas.circle(mine, float(params.mine_radius), "light", "grey")
        canvas.text(mine, " / ".join(f"{ore:.2g}" for ore in ores), height=0.028)
    place, heading = np.asarray(state.position), np.deg2rad(float(state.angle))
    forward, aside = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    canvas.polygon(
        [place + 0.035 * forward, place - 0.025 * forward + 0.02 * aside, place - 0.025 * forward - 0.02 * aside],
        "orange",
        "black",
    )
    for index, amount in enumerate(np.asarray(state.content)):
        share = float(amount) / float(params.capacity)
        canvas.rectangle(
            (0.82, 0.96 - 0.05 * index),
            (0.82 + 0.15 * min(1.0, share), 0.985 - 0.05 * index),
            ("amber", "green")[index % 2],
        )
        canvas.rectangle((0.82, 0.96 - 0.05 * index), (0.97, 0.985 - 0.05 * index), None, "grey")
    return canvas.image()


def reacher(scene: Scene) -> "Image.Image":
    """The arm and its targets, in the order of the objectives."""
    params, angle = scene.params, np.asarray(scene.state.angle)
    upper, lower = np.asarray(params.lengths)
    elbow = upper * np.array([np.cos(angle[0]), np.sin(angle[0])])
    tip = elbow + lower * np.array([np.cos(angle.sum()), np.sin(angle.sum())])
    reach = 1.15 * float(upper + lower)
    canvas = Canvas((-reach, -reach), (reach, reach))
    colours = ("orange", "green", "blue", "pink")
    for index, target in enumerate(np.asarray(params.targets)):
        canvas.circle(target, 0.05 * reach, colours[index % len(colours)])
        canvas.text(target, str(index), "white", 0.07 * reach)
    canvas.line([(0, 0), elbow], "black", 0.06 * reach)
    canvas.line([elbow, tip], "grey", 0.05 * reach)
    canvas.circle((0, 0), 0.04 * reach, "black")
    canvas.circle(tip, 0.035 * reach, "amber", "black")
    return canvas.image()


def water_reservoir(scene: Scene) -> "Image.Image":
    """The level against capacity and the threshold of a flood."""
    level, params = float(scene.state.level), scene.params
    top = 1.1 * max(level, float(params.capacity), float(params.upstream_threshold))
    canvas = Canvas((0, 0), (0.8, 1.0))
    canvas.rectangle((0.1, 0.0), (0.55, level / top), "sky")
    canvas.line([(0.1, 1.0), (0.1, 0.0), (0.55, 0.0), (0.55, 1.0)], "black", 0.012)
    for value, name, colour in (
        (float(params.capacity), "capacity", "orange"), (float(params.upstream_threshold), "flood", "pink"),
    ):  # fmt: skip
        canvas.line([(0.1, value / top), (0.57, value / top)], colour, 0.008)
        canvas.text((0.58, value / top), f"{name} {value:.0f}", height=0.035, anchor="lm")
    canvas.text((0.325, max(0.03, level / top - 0.04)), f"{level:.1f} m", height=0.045)
    return canvas.image()


def allocation(scene: Scene) -> "Image.Image":
    """What is left of the budget, and whose turn it is."""
    value = np.asarray(scene.params.value)
    budget, turn = value.shape[1] - 1, int(scene.state.turn)
    canvas = Canvas((0, 0), (max(len(value), 2), 1.2), background="white")
    for index in range(len(value)):
        canvas.rectangle((index + 0.1, 0.1), (index + 0.9, 0.5), "amber" if index == turn else "light", "grey")
        canvas.text((index + 0.5, 0.3), str(index), height=0.15)
    share = float(scene.state.remaining) / max(1, budget)
    canvas.rectangle((0.1, 0.8), (0.1 + share * (max(len(value), 2) - 0.2), 1.0), "green")
    canvas.text((0.1, 0.7), f"{int(scene.state.remaining)} of {budget} left", height=0.12, anchor="lm")
    return canvas.image()
