"""Worlds of square cells, row 0 at the top."""

from typing import Any

from jaxrl.rendering.canvas import Canvas

__all__ = ["Cells"]


class Cells:
    """A canvas of `rows` x `columns` cells.

    Args:
        rows, columns: how many.
        background: of free cells.
    """

    def __init__(self, rows: int, columns: int, background: str = "pale") -> None:
        self.rows = rows
        self.canvas = Canvas((0, 0), (columns, rows), background=background)
        for row in range(rows + 1):
            self.canvas.line([(0, row), (columns, row)], "light")
        for column in range(columns + 1):
            self.canvas.line([(column, 0), (column, rows)], "light")

    def centre(self, cell: Any) -> tuple[float, float]:
        """Of a (row, column)."""
        return float(cell[1]) + 0.5, self.rows - float(cell[0]) - 0.5

    def fill(self, cell: Any, colour: str) -> None:
        """Paints a cell."""
        x, y = self.centre(cell)
        self.canvas.rectangle((x - 0.5, y - 0.5), (x + 0.5, y + 0.5), colour)

    def mark(self, cell: Any, shape: str, colour: str, size: float = 0.36) -> None:
        """A `circle`, `square`, `triangle` or `diamond` in a cell."""
        x, y = self.centre(cell)
        if shape == "circle":
            self.canvas.circle((x, y), size, colour, "black")
        elif shape == "square":
            self.canvas.rectangle(
                (x - 0.85 * size, y - 0.85 * size), (x + 0.85 * size, y + 0.85 * size), colour, "black"
            )
        elif shape == "triangle":
            self.canvas.polygon([(x - size, y - size), (x + size, y - size), (x, y + size)], colour, "black")
        else:
            self.canvas.polygon([(x - size, y), (x, y - size), (x + size, y), (x, y + size)], colour, "black")

    def write(self, cell: Any, text: str, colour: str = "black", height: float = 0.3) -> None:
        """Words in a cell."""
        self.canvas.text(self.centre(cell), text, colour, height)

    def agent(self, cell: Any) -> None:
        """Where the agent is."""
        x, y = self.centre(cell)
        self.canvas.circle((x, y), 0.3, "orange", "black")
        for side in (-0.1, 0.1):
            self.canvas.circle((x + side, y + 0.06), 0.05, "white")
