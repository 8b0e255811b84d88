"""Options of the command line: each declared once, for parsing, checking and `--help`."""

import ast
import functools
import inspect
import textwrap
import types
from collections.abc import Callable
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np

from jaxrl.configs import annotated_ranges
from jaxrl.ranges import NUMBER, Range

__all__ = [
    "ACTING",
    "GROUPS",
    "HOST",
    "LEARNING",
    "LEAVES",
    "METHOD",
    "OUTER_LOOP",
    "PROTOCOL",
    "RUN",
    "SCHEDULE",
    "SWEEP",
    "TRACED",
    "Option",
    "flag",
    "flags",
    "given",
    "hyperparameter_docs",
    "option_of",
    "positional",
    "repeated",
    "sentence",
    "static_options",
    "traced_options",
]

RUN, HOST, SWEEP = "what is run", "output and host", "seeds and sweep"
SCHEDULE, ACTING, LEARNING = "schedule", "acting and network", "learning"
METHOD, PROTOCOL, OUTER_LOOP = "method", "protocol", "outer loop"
TRACED = "hyperparameters (traced: each can be swept)"
_TREES = (
    *("objective", "optimiser", "schedules", "limits", "aggregator", "combination"),
    *("exploration", "replay", "head", "backup", "environment"),
)
LEAVES = {name: f"{name} (traced)" for name in _TREES}
# In the order in which help shows them.
GROUPS = (RUN, HOST, SWEEP, METHOD, PROTOCOL, OUTER_LOOP, SCHEDULE, ACTING, LEARNING, TRACED, *LEAVES.values())
_SIMPLE = (int, float, str, bool, Path)
# Static settings of agents by which they act; all others are about learning.
_ACTING = frozenset(
    [
        "num_envs",
        "num_steps",
        "group_size",
        "network",
        "hidden_sizes",
        "activation",
        "shared_torso",
        "recurrent_size",
        "attention_layers",
        "attention_heads",
        "context_length",
        "attention_sinks",
        "gated_residuals",
        "channels",
        "distribution",
        "initial_log_std",
        "mixture_components",
        "normalise_observations",
        "clip_observations",
        "hidden_scale",
        "policy_scale",
        "value_scale",
        "condition_on_weights",
        "conditioning",
        "hyper_features",
        "hyper_hidden",
        "num_preferences",
        "multi_head",
        "observe_task",
        "model_size",
    ]
)


class Option(NamedTuple):
    """One option.

    Attributes:
        name: as settings have it, `total_steps`.
        kind: int, float, str, bool, Path, a Literal, or `tuple[kind, ...]`.
        help: a sentence.
        default: MISSING where one must be given.
        range: of numbers.
        group: of `GROUPS`, under which help shows it.
        metavar: what help calls the value.
        positional: whether it is a word of its own.
        repeated: whether it is given once for every value.
        optional: whether the value may be None.
        path: what the setting is called, where that is not `name`.
    """

    name: str
    kind: Any
    help: str
    default: Any = MISSING
    range: Range | None = None
    group: str = RUN
    metavar: str = ""
    positional: bool = False
    repeated: bool = False
    optional: bool = False
    path: str = ""

    @property
    def many(self) -> bool:
        """Whether it takes several words."""
        return get_origin(self.kind) is tuple

    @property
    def element(self) -> Any:
        """The kind of each word."""
        return get_args(self.kind)[0] if self.many else self.kind

    @property
    def shown(self) -> str:
        """What help calls the value."""
        if self.metavar:
            return self.metavar
        if get_origin(self.element) is Literal:
            text = "|".join(get_args(self.element))
        else:
            text = {int: "INTEGER", float: "NUMBER", bool: "True|False", Path: "PATH"}.get(self.element, "NAME")
        return f"{text} ..." if self.many else text


def option_of(name: str, kind: Any, help_text: str, default: Any, range: Range | None = None, **rest: Any) -> Option:
    """An option; one whose default is None may be None.

    Args:
        name: as settings have it.
        kind: int, float, str, bool, Path, a Literal, `tuple[kind, ...]`, or one of these or None.
        help_text: a sentence.
        default: what it is when it is not given; MISSING where it must be.
        range: that numbers must be in.
        rest: of `Option`.
    """
    plain = _plain_type(kind)
    optional = default is None or type(None) in get_args(kind)
    return Option(name, plain, help_text, default, range, optional=optional, **rest)


def positional(name: str, kind: Any, help_text: str, default: Any = MISSING) -> Option:
    """A word of its own, NAME in capitals."""
    return option_of(name, kind, help_text, default, metavar=name.upper(), positional=True)


def repeated(name: str, metavar: str, help_text: str, **rest: Any) -> Option:
    """An option that is given once for every value."""
    return option_of(name, tuple[str, ...], help_text, (), metavar=metavar, repeated=True, **rest)


def flag(name: str) -> str:
    """`--total-steps` of `total_steps`."""
    return "--" + name.replace("_", "-")


def flags(option: Option) -> list[str]:
    """Every way to write it."""
    written = [flag(option.name)]
    if option.path and option.path != option.name:
        written.append(flag(option.path))
    if option.kind is bool:
        written += ["--no-" + name[2:] for name in written]
    return written


def given(parsed: Any, options: list[Option]) -> dict[str, Any]:
    """The settings among `options` that were written, by what they are called."""
    return {
        option.path or option.name: getattr(parsed, option.name) for option in options if option.name in parsed.written
    }


def static_options(config: Any, group: str | Callable[[str], str] | None = None) -> list[Option]:
    """The fields of a config, described by the docstrings under them; their annotations may say a range."""
    group_of = group if callable(group) else lambda name: group or (ACTING if name in _ACTING else LEARNING)
    docs, hints = _attribute_docs(type(config)), get_type_hints(type(config), include_extras=True)
    return [
        option_of(
            item.name,
            hints[item.name],
            docs.get(item.name, ""),
            getattr(config, item.name),
            _range_of(hints[item.name]),
            group=group_of(item.name),
        )
        for item in fields(config)
        if item.init
    ]


def traced_options(values: tuple, group: str = TRACED) -> list[Option]:
    """The numbers among hyperparameters, described by their docstring."""
    docs = hyperparameter_docs(type(values))
    numbers = {name: float(value) for name, value in values._asdict().items() if np.isscalar(value)}
    within = annotated_ranges(type(values))
    return [
        option_of(name, float, sentence(docs.get(name, "")), value, within.get(name, NUMBER), group=group)
        for name, value in numbers.items()
    ]


def sentence(text: str) -> str:
    """With a capital first letter, unless that is a symbol, and a full stop."""
    text = text[0].upper() + text[1:] if text and text[0].isascii() else text
    return text if not text or text.endswith(".") else text + "."


def _range_of(annotation: Any) -> Range | None:
    """The range in `Annotated[int, Range(...)]`, also within a union."""
    if get_origin(annotation) is Annotated:
        return next((extra for extra in get_args(annotation)[1:] if isinstance(extra, Range)), None)
    return next((found for found in map(_range_of, get_args(annotation)) if found), None)


def _plain_type(annotation: Any) -> Any:
    """What the shell can give: the first simple type of a union."""
    if get_origin(annotation) is Annotated:
        return _plain_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        found = (_plain_type(option) for option in get_args(annotation) if option is not type(None))
        return next((kind for kind in found if kind in _SIMPLE or get_origin(kind) in (tuple, Literal)), str)
    return annotation if annotation in _SIMPLE or get_origin(annotation) in (tuple, Literal) else str


@functools.cache
def _attribute_docs(cls: type) -> dict[str, str]:
    """The docstring under each attribute of a dataclass and of those it extends, on one line."""
    docs = dict(_attribute_docs(cls.__base__)) if cls.__base__ is not object else {}
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body
    for statement, following in pairwise(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
            docs[statement.target.id] = " ".join(following.value.value.split())
    return docs


@functools.cache
def hyperparameter_docs(cls: type) -> dict[str, str]:
    """The `Attributes:` section of the docstring of a class of hyperparameters; an entry may have several lines.

    Of a class that is made of another one, what it does not say itself that one says.
    """
    docs: dict[str, str] = hyperparameter_docs(cls.__base__) if hasattr(cls.__base__, "_fields") else {}
    lines = (inspect.getdoc(cls) or "").partition("Attributes:")[2].splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    name = ""
    for line in lines:
        if line[:indent].strip() or not line.strip():
            continue
        if line[indent : indent + 1] != " " and ": " in line:
            name, _, text = line.strip().partition(": ")
            docs[name] = text
        elif name:
            docs[name] += " " + line.strip()
    return docs
