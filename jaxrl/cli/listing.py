"""`jaxrl list`: every registered name, with the first line of its docstring."""

from itertools import groupby

from jaxrl.cli.catalogue import listed
from jaxrl.cli.declaration import option_of, positional
from jaxrl.cli.names import COMMANDS
from jaxrl.cli.parsing import parse
from jaxrl.errors import require_name

__all__ = ["as_markdown", "list_names"]

# What the names of each kind are good for.
_USES = {
    "kinds": "`jaxrl NAME ...`; the kind of a run directory.",
    "environments": "`jaxrl.make(NAME)`; the second argument of most commands.",
    "agents": "`jaxrl.trainer(NAME, environment)`; `jaxrl train NAME ENVIRONMENT`.",
    "objectives": "`surrogate=NAME`: the loss of one sample, minimised.",
    "preference-losses": "`jaxrl.objectives.preference`: losses on pairs of sequences.",
    "aggregators": "`aggregator=NAME`: the coefficients c of the objectives' advantages A, J their expected returns.",
    "optimisers": "`optimiser=NAME`: learned ones, beside the names of optax.",
    "schedules": "`learning_rate_schedule=NAME`, `entropy_schedule`, `clip_schedule`: x while u, a share, is over.",
    "algorithms": "`jaxrl.study(NAME, environment)`; `jaxrl pareto NAME ENVIRONMENT`.",
    "methods": "`jaxrl meta-train NAME --tasks ENVIRONMENT`: what is learned, and how.",
    "outer-loops": "`jaxrl.meta`: how a leaf of an agent's hyperparameters is learned.",
    "curricula": "`curriculum=NAME` of meta-learning: how levels are drawn again.",
    "bilevel": "`jaxrl align NAME ENVIRONMENT`.",
    "combinations": "`combination=NAME`: one gradient g from one per task, or per objective.",
    "task-families": "`jaxrl.multitask.families.family(NAME)`; merged, the environment `multitask/NAME`.",
    "adaptation": "`jaxrl.multitask`: policies that adapt to a task.",
    "affinities": "`jaxrl multitask group`: what says that two tasks belong together.",
    "clusterings": "`jaxrl multitask group`: how affinities become groups.",
}


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0].strip()


def _plain(text: str) -> str:
    """`text` such that Markdown shows it as it is, code between backticks apart."""
    parts = text.split("`")
    parts[::2] = [part.translate({ord(mark): f"\\{mark}" for mark in "*|<[]"}) for part in parts[::2]]
    return "`".join(parts)


def _by_suite(names: list[str]) -> list[str]:
    """A row per suite: what its module says of it, and its names."""
    from jaxrl.environments.registry import suite_description

    rows = []
    for suite, group in groupby(names, key=lambda name: name.partition("/")[0]):
        parts = (_plain(_first_line(suite_description(suite))), ", ".join(f"`{name}`" for name in group))
        rows.append(f"| `{suite}/` | {'<br>'.join(filter(None, parts))} |")
    return rows


def as_markdown(found: dict[str, dict[str, str | None]]) -> str:
    """Names by kind as one table each: what `jaxrl list --markdown` prints.

    Args:
        found: docstrings by name, by kind.
    """
    lines = ["# Catalogue", "", "Every name that jaxrl knows, as `jaxrl list --markdown` prints it."]
    for kind, entries in found.items():
        lines += ["", f"## {kind.replace('-', ' ').capitalize()}", ""]
        lines += [_USES[kind], ""] if kind in _USES else []
        if kind == "environments":
            lines += ["| suite | names |", "|---|---|", *_by_suite(list(entries))]
        elif any(entries.values()):
            lines += ["| name | |", "|---|---|"]
            lines += [f"| `{name}` | {_plain(_first_line(text))} |" for name, text in entries.items()]
        else:
            lines += [", ".join(f"`{name}`" for name in entries)]
    return "\n".join(lines)


def list_names(arguments: list[str]) -> None:
    """`jaxrl list`."""
    found = listed()
    text = f"Which kind of names to list: all, {', '.join(found)}."
    tables = option_of("markdown", bool, "Write tables in Markdown, as in docs/catalogue.md.", False)
    parsed = parse("list", COMMANDS["list"], arguments, [positional("what", str, text, "all"), tables])
    require_name("kind", parsed.what, {"all", *found})
    chosen = {kind: entries for kind, entries in found.items() if parsed.what in ("all", kind)}
    if parsed.markdown:
        print(as_markdown(chosen))
        return
    for kind, entries in chosen.items():
        width = max(25, *map(len, entries))
        print(f"{kind}:")
        for name, text in entries.items():
            print(f"  {name:<{width}} {text or ''}".rstrip())
