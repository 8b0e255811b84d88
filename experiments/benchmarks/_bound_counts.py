"""What the compiled text of a program says of its loops: operations that are gone through one by one.

The text is that of `jax.jit(function).lower(...).compile().as_text()`: computations by name, each with its
instructions, of which a fusion, a loop or a branch names the computations that it goes through. A fusion is one
operation; parameters, tuples and their parts, constants and other views of the same bytes are none.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["KINDS", "Instruction", "Module", "counts", "operations", "parse", "products"]

KINDS = ("products", "library", "fusions", "copies", "others")

_NOTHING = ("parameter", "tuple", "get-tuple-element", "constant", "bitcast")
_HEAD = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{$")
_NAME = re.compile(r"\s+(?:ROOT )?%?([\w.\-]+) = ")
_CALLED = re.compile(r"\b(calls|to_apply|body)=%?([\w.\-]+)")
_METADATA = re.compile(r'metadata=\{(?:"[^"]*"|[^}"])*\}')
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


class Instruction(NamedTuple):
    """One line of a computation.

    Attributes:
        shape: what it results in, as `f32[4,64]{1,0}`.
        opcode: what it is, as `fusion`.
        called: computations that it goes through, by what they are to it (`calls`, `to_apply`, `body`).
        trips: of a loop, how often it goes round, where that is known.
        library: whether it is work of a library.
    """

    shape: str
    opcode: str
    called: dict[str, str]
    trips: int | None
    library: bool


class Module(NamedTuple):
    """Instructions by computation, and the computation that is the program."""

    computations: dict[str, list[Instruction]]
    entry: str


def parse(text: str) -> Module:
    """The computations of a compiled program.

    Raises:
        ValueError: for text without a program.
    """
    computations: dict[str, list[Instruction]] = {}
    entry, current = "", None
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            current = computations.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and _NAME.match(line):
            current.append(_instruction(line))
    if not entry:
        raise ValueError("the text has no ENTRY: it is not that of a compiled program")
    return Module(computations, entry)


def _instruction(line: str) -> Instruction:
    line = _METADATA.sub("", line)
    rest = line[_NAME.match(line).end() :]
    shape = rest[: _end_of_shape(rest)]
    trips = _TRIPS.search(line)
    opcode = rest[len(shape) :].strip().split("(", 1)[0]
    library = opcode == "custom-call" or '"fusion_config"' in line
    return Instruction(shape, opcode, dict(_CALLED.findall(line)), int(trips[1]) if trips else None, library)


def _end_of_shape(text: str) -> int:
    """Where a shape ends, which is one word, or a tuple of shapes in parentheses."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == " " and not depth:
            return place
    raise ValueError(f"an instruction without an operation: {text[:80]!r}")


def kind(module: Module, instruction: Instruction) -> str:
    """One of `KINDS`: products of matrices, alone or within a fusion; other work of a library, such as sums; ..."""
    if _multiplies(module, instruction):
        return "products"
    if instruction.library:
        return "library"
    return {"fusion": "fusions", "copy": "copies"}.get(instruction.opcode, "others")


def _multiplies(module: Module, instruction: Instruction) -> bool:
    if instruction.opcode in ("dot", "convolution"):
        return True
    inside = module.computations.get(instruction.called.get("calls", ""), ())
    return instruction.opcode == "fusion" and any(_multiplies(module, each) for each in inside)


def executed(module: Module, name: str) -> Iterator[Instruction]:
    """What a computation goes through, and what the computations that it calls do; loops and branches count as one."""
    for instruction in module.computations[name]:
        if instruction.opcode == "call":
            yield from executed(module, instruction.called["to_apply"])
        elif instruction.opcode not in _NOTHING:
            yield instruction


def operations(module: Module, name: str) -> Counter[str]:
    """Operations by kind of one turn of a computation, loops as often as they go round.

    A branch counts as one operation, as does a loop of which nobody knows how often it goes round.
    """
    found: Counter[str] = Counter()
    for instruction in executed(module, name):
        if instruction.opcode == "while" and instruction.trips is not None:
            for each, count in operations(module, instruction.called["body"]).items():
                found[each] += instruction.trips * count
        else:
            found[kind(module, instruction)] += 1
    return found


def loops(module: Module, name: str) -> list[Instruction]:
    """Loops of a computation, but not those within them, of which it is known how often they go round."""
    return [each for each in executed(module, name) if each.opcode == "while" and each.trips is not None]


def training(module: Module) -> Instruction:
    """The loop over iterations: of the program's own loops the one with most operations."""
    return max(loops(module, module.entry), key=lambda loop: operations(module, loop.called["body"]).total())


def loop_of_products(module: Module, name: str, trips: int) -> Instruction | None:
    """The loop in a computation that goes round so often and multiplies in every turn; None where there is none.

    Raises:
        ValueError: if there are several.
    """
    found = [each for each in loops(module, name) if each.trips == trips]
    found = [each for each in found if operations(module, each.called["body"])["products"]]
    if len(found) > 1:
        raise ValueError(f"{len(found)} loops of {trips} turns multiply matrices: which one is meant?")
    return found[0] if found else None


def found_loops(module: Module, trips: dict[str, int]) -> dict[str, str]:
    """Bodies by name: of the `iteration`, and of its loops that go round as often as `trips` says, where they are."""
    body = training(module).called["body"]
    inner = {name: loop_of_products(module, body, count) for name, count in trips.items()}
    return {"iteration": body} | {name: loop.called["body"] for name, loop in inner.items() if loop is not None}


def counts(text: str, trips: dict[str, int]) -> dict[str, dict[str, int]]:
    """Operations by kind of one `iteration` with all its loops, and of one turn of each loop that `trips` names."""
    module = parse(text)
    found = {name: operations(module, body) for name, body in found_loops(module, trips).items()}
    return {name: {each: counted[each] for each in KINDS} for name, counted in found.items()}


def products(text: str, trips: dict[str, int]) -> dict[str, dict[str, int]]:
    """How many products there are by what they result in, of the same bodies, each without the loops in it."""
    module = parse(text)
    found: dict[str, dict[str, int]] = {}
    for name, body in found_loops(module, trips).items():
        shapes = Counter(each.shape for each in executed(module, body) if kind(module, each) == "products")
        found[name] = dict(sorted(shapes.items()))
    return found
