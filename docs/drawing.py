"""Draws docs/_static/one_program.png: `python docs/drawing.py`."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#8A8A8A", "#222222"


def box(axes, x, y, width, height, text="", color=INK, fill="white", size=9.5, weight="normal", **rest):
    """A rounded box with text in its middle."""
    style = {"boxstyle": "round,pad=0,rounding_size=0.08", "edgecolor": color, "facecolor": fill, "linewidth": 1.1}
    axes.add_patch(FancyBboxPatch((x, y), width, height, **{**style, **rest}))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=size, color=INK, weight=weight)


def arrow(axes, start, end, color=INK, **rest):
    """From one point to another."""
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color=color, lw=1.2, **rest))


def leaves(axes):
    """What goes in: the static side above, the traced leaves below."""
    box(axes, 0.1, 5.1, 2.9, 0.95, "static, given to the builder:\nsizes, layouts, names", GREY, "#F4F4F4")
    axes.text(0.1, 4.62, "traced, given to the call:", fontsize=9.5, color=INK)
    rows = ("key", "learning_rate, discount, …", "weights", "objective", "environment")
    notes = ("seeds", "settings", "preferences", "learned losses", "physics, goals, levels")
    for i, (name, note) in enumerate(zip(rows, notes, strict=True)):
        y = 3.95 - 0.62 * i
        box(axes, 0.1, y, 2.1, 0.48, name, BLUE, "#E8F2F9", 9)
        axes.text(2.28, y + 0.24, note, fontsize=8, color=GREY, va="center")


def run(axes):
    """The program, with copies behind it for the members."""
    for i in range(3, 0, -1):
        color = (BLUE, GREEN, ORANGE)[i - 1]
        box(axes, 4.3 + 0.16 * i, 1.3 + 0.16 * i, 5.2, 3.8, "", color, "white")
    box(axes, 4.3, 1.3, 5.2, 3.8, "", INK)
    axes.text(4.5, 4.78, "run(key, hyperparameters)", fontsize=11, family="monospace", color=INK)
    steps = (
        ("collect", "[time, env] in auto-resetting copies"),
        ("estimate", "advantages [time, env, objective]"),
        ("aggregate", "one advantage, by weights"),
        ("update", "epochs of minibatches"),
        ("evaluate", "now and then, with the same leaves"),
    )
    for i, (name, note) in enumerate(steps):
        y = 4.05 - 0.62 * i
        box(axes, 5.05, y, 1.35, 0.46, name, INK, "#FFF4EC" if name == "aggregate" else "white", 9.5)
        axes.text(6.5, y + 0.23, note, fontsize=8.5, color=GREY, va="center")
        if i:
            arrow(axes, (5.72, y + 0.66), (5.72, y + 0.44))
    arrow(axes, (5.05, 1.8), (5.05, 4.28), GREY, connectionstyle="arc3,rad=-0.22")
    axes.text(4.57, 3.04, "scan", fontsize=8.5, color=GREY, rotation=90, va="center", ha="center")
    axes.text(
        10.02, 5.78, "vmap: every member of a sweep,\nsharded over all devices", fontsize=9, color=INK, ha="right"
    )


def outcome(axes):
    """What comes out, and who looks at it."""
    box(axes, 10.75, 3.55, 2.1, 0.95, "Result\nstate, metrics,\nevaluation", INK)
    box(axes, 10.75, 2.35, 2.1, 0.7, "front: choose a policy", GREEN, "#E9F6F1")
    box(axes, 10.75, 1.35, 2.1, 0.7, "evolve, differentiate", ORANGE, "#FFF4EC")
    arrow(axes, (9.98, 3.9), (10.75, 4.02))
    arrow(axes, (11.8, 3.55), (11.8, 3.05))
    arrow(axes, (12.85, 4.0), (12.85, 1.7), connectionstyle="arc3,rad=-0.25")
    arrow(axes, (11.8, 1.35), (1.15, 1.47), ORANGE, connectionstyle="arc3,rad=-0.14")
    axes.text(6.9, 0.78, "a better leaf", fontsize=8.5, color=ORANGE, ha="center")


def main() -> None:
    """Writes the drawing."""
    figure = Figure(figsize=(11.0, 5.2), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-0.1, 13.4)
    axes.set_ylim(0.2, 6.3)
    axes.axis("off")
    leaves(axes)
    run(axes)
    outcome(axes)
    arrow(axes, (3.0, 5.57), (4.6, 5.1), GREY)
    arrow(axes, (3.75, 3.0), (4.25, 3.0), BLUE)
    figure.savefig(Path(__file__).parent / "_static" / "one_program.png", dpi=130)


if __name__ == "__main__":
    main()
