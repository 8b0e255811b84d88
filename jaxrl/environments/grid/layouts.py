"""Walls of the fixed levels as text: `X` is a wall, a blank is free."""

from random import Random

__all__ = ["LABYRINTH", "ONE_WALL", "SIXTEEN_ROOMS", "SMALL_CORRIDOR", "TWO_WALLS", "carved_maze"]

# Four by four rooms of two or three cells a side, one door between any two neighbours.
SIXTEEN_ROOMS = (
    "   X  X      ",
    "      X  X   ",
    "   X     X   ",
    "X XXX X XXXX ",
    "      X      ",
    "   X     X   ",
    "XX X XXX X XX",
    "   X     X   ",
    "      X      ",
    " XXXX X XXX X",
    "   X     X   ",
    "      X  X   ",
    "   X  X      ",
)

# Three square walls, one in another, whose gaps turn by a quarter; bars make the way in a spiral.
LABYRINTH = (
    "             ",
    " XXXXX XXXXX ",
    " X     X   X ",
    " X XXXXXXX X ",
    " X X     X X ",
    " X X XXX X X ",
    " X X X X   X ",
    " X X X XXX X ",
    " X X     X X ",
    " X XXXXXXX X ",
    " X         X ",
    " XXXXXXXXXXX ",
    "             ",
)

# Dead ends of three cells on both sides of an aisle.
SMALL_CORRIDOR = ("X" * 13,) * 3 + (" X" * 6 + " ",) * 3 + (" " * 13,) + (" X" * 6 + " ",) * 3 + ("X" * 13,) * 3

# A wall across the middle that leaves a way round either end.
ONE_WALL = (" " * 9, *("    X    ",) * 7, " " * 9)

# Two walls, from opposite sides.
TWO_WALLS = ("   X       ",) * 3 + ("   X   X   ",) * 5 + ("       X   ",) * 3


def carved_maze(size: int, seed: int) -> tuple[str, ...]:
    """A maze with exactly one way between any two cells, carved by a depth-first walk.

    Args:
        size: rows and columns, odd.
        seed: of the walk.

    Raises:
        ValueError: for an even size.
    """
    if size % 2 == 0:
        raise ValueError(f"a carved maze needs an odd size, got {size}")
    generator = Random(seed)
    path = [(0, 0)]
    free = {(0, 0)}
    while path:
        row, column = path[-1]
        moves = [
            (r, c) for r, c in ((-1, 0), (1, 0), (0, -1), (0, 1)) if _open(row + 2 * r, column + 2 * c, size, free)
        ]
        if not moves:
            path.pop()
            continue
        down, right = moves[int(generator.random() * len(moves))]
        path.append((row + 2 * down, column + 2 * right))
        free |= {(row + down, column + right), path[-1]}
    return tuple("".join(" " if (row, column) in free else "X" for column in range(size)) for row in range(size))


def _open(row: int, column: int, size: int, visited: set[tuple[int, int]]) -> bool:
    return 0 <= row < size and 0 <= column < size and (row, column) not in visited
