"""`jaxrl list`: every registered name, with the first line of its docstring."""

from jaxrl.agents import AGENTS
from jaxrl.aggregation import AGGREGATORS
from jaxrl.bilevel import BILEVEL
from jaxrl.cli.declaration import positional
from jaxrl.cli.main import COMMANDS
from jaxrl.cli.parsing import parse
from jaxrl.combination import COMBINATIONS
from jaxrl.environments.registry import list_environments
from jaxrl.errors import require_name
from jaxrl.meta.curriculum import SCORES
from jaxrl.meta.methods import METHODS, OUTER
from jaxrl.morl.algorithms import ALGORITHMS
from jaxrl.multitask import maml, trials
from jaxrl.multitask.families import FAMILIES
from jaxrl.multitask.grouping.clustering import CLUSTERINGS
from jaxrl.multitask.grouping.similarity import AFFINITIES
from jaxrl.objectives.preference import PREFERENCE_LOSSES
from jaxrl.objectives.surrogate import SURROGATES
from jaxrl.optimisers import OPTIMISERS
from jaxrl.runs.kinds import KINDS

__all__ = ["list_names"]


def _listed() -> dict[str, dict[str, str | None]]:
    """Names and docstrings by kind."""
    doc = lambda builders: {name: build.__doc__ for name, build in builders.items()}  # noqa: E731
    entries = lambda registry: {name: entry.build.__doc__ for name, entry in registry.items()}  # noqa: E731
    return {
        "kinds": {name: KINDS[name].description for name in KINDS},
        "environments": dict.fromkeys(list_environments()),
        "agents": entries(AGENTS),
        "objectives": doc(SURROGATES),
        "preference-losses": doc(PREFERENCE_LOSSES),
        "aggregators": doc(AGGREGATORS),
        "optimisers": doc(OPTIMISERS),
        "algorithms": entries(ALGORITHMS),
        "methods": {name: method.description for name, method in METHODS.items()},
        "outer-loops": {name: outer.build.__doc__ for name, outer in OUTER.items()},
        "curricula": dict.fromkeys(("uniform", *SCORES)),
        "bilevel": doc(BILEVEL),
        "combinations": doc(COMBINATIONS),
        "task-families": doc(FAMILIES),
        "adaptation": doc({"maml": maml, "trials": trials}),
        "affinities": dict.fromkeys(AFFINITIES),
        "clusterings": dict.fromkeys(CLUSTERINGS),
    }


def list_names(arguments: list[str]) -> None:
    """`jaxrl list`."""
    listed = _listed()
    text = f"Which kind of names to list: all, {', '.join(listed)}."
    what = parse("list", COMMANDS["list"], arguments, [positional("what", str, text, "all")]).what
    require_name("kind", what, {"all", *listed})
    for kind, entries in listed.items():
        if what in ("all", kind):
            print(f"{kind}:")
            for name, text in entries.items():
                print(f"  {name:<26}{(text or '').strip().splitlines()[0] if text else ''}".rstrip())
