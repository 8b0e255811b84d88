"""Verifies an agent against the contract and says what is wrong, by abstract evaluation: nothing compiles or runs."""

from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents.base import TRANSITION, Agent, Progress, Rollout
from jaxrl.agents.defaults import complete
from jaxrl.agents.entries import agent_entry, entry_of
from jaxrl.aggregation.base import ReturnSummary
from jaxrl.environments.base import Environment
from jaxrl.environments.batching import vectorise
from jaxrl.environments.parts import has_parts, shapes
from jaxrl.environments.registry import make
from jaxrl.types import PyTree

__all__ = ["AgentContractError", "check", "check_agent"]

# Metrics that the loop itself reports.
_REPORTED = ("episode_return", "episode_discounted_return", "episode_length", "episodes")


class AgentContractError(ValueError):
    """An agent breaks the contract; the message lists every fault found."""


class _FaultError(Exception):
    """A fault after which nothing more can be told."""


def check(agent: str | Agent | Callable[..., Agent], environment: str | Environment) -> None:
    """Traces all that the training loop calls, with an environment's shapes, and checks what comes back.

    Checked: hyperparameters with the leaves that the trainer fills in; a state and a memory whose structure, shapes and
    types never change; actions that the environment takes, from `explore` and from `act` with and without batch axes;
    metrics that are scalars or have one entry per objective; an `actor` that leaves its own result as it is.

    Args:
        agent: a name, a builder with its default settings, or an agent.
        environment: an environment or its name.

    Raises:
        AgentContractError: listing every fault.
    """
    environment = make(environment) if isinstance(environment, str) else environment
    if not isinstance(agent, Agent):
        entry = agent_entry(agent) if isinstance(agent, str) else entry_of(agent)
        agent = entry.build(environment.spec, entry.config)
    check_agent(agent, environment)


def check_agent(agent: Any, environment: Environment) -> None:
    """As `check`, of what a builder returned."""
    faults = []
    try:
        faults += _faults(agent, environment)
    except _FaultError as error:
        faults.append(str(error))
    if faults:
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise AgentContractError(f"this agent breaks the contract of jaxrl.agents.Agent:\n{listed}")


def _faults(agent: Any, environment: Environment) -> Iterator[str]:
    if not isinstance(agent, Agent):
        raise _FaultError(f"the builder must return a jaxrl.agents.Agent, it returned {type(agent).__name__}")
    yield from _static_faults(agent)
    agent = complete(agent)
    hp = agent.hyperparameters._replace(environment=environment.params)
    shape, expected = jnp.shape(hp.weights), (environment.spec.num_objectives,)
    if shape != expected:
        raise _FaultError(
            f"hyperparameters.weights has shape {list(shape)}, one entry per objective is {list(expected)}"
        )
    state = _trace("init(key, hyperparameters)", agent.init, _KEY, hp)
    acting = _trace("actor(state)", agent.actor, state)
    yield from _differences("actor(actor(state))", acting, _trace("actor(actor(state))", agent.actor, acting))
    yield from _acting_faults(agent, acting, hp)
    rollout = None
    if agent.collects.num_steps:
        rollout, found = _rollout(agent, environment, state, hp)
        yield from found
    yield from _learning_faults(agent, state, rollout, hp)


_KEY = jax.eval_shape(lambda: jax.random.key(0))


def _static_faults(agent: Agent) -> Iterator[str]:
    names = getattr(agent.hyperparameters, "_fields", None)
    if names is None:
        kind = type(agent.hyperparameters).__name__
        raise _FaultError(f"hyperparameters must be a NamedTuple, it is a {kind}")
    missing = [name for name in ("weights", "environment") if name not in names]
    if missing:
        raise _FaultError(f"hyperparameters lacks {' and '.join(missing)}, which the trainer fills in")
    numeric = jax.Array | np.ndarray | np.generic | float | int | bool
    for path, leaf in _leaves(agent.hyperparameters):
        if not isinstance(leaf, numeric):
            raise _FaultError(f"hyperparameters.{path} is {leaf!r}, which cannot be traced; it belongs in the config")
    for name in agent.records:
        if name not in (*TRANSITION, "info"):
            raise _FaultError(f"records has {name!r}; transitions have {', '.join(TRANSITION)} and info")
    config = agent.config
    if config is not None and not (is_dataclass(config) and config.__dataclass_params__.frozen):
        yield f"config must be a frozen dataclass or None, it is {config!r}"


def _acting_faults(agent: Agent, acting: PyTree, hp: Any) -> Iterator[str]:
    """What is wrong with `memory` and `act`."""
    for batch in ((), (2,)):
        memory = _trace(f"memory({batch})", lambda batch=batch: agent.memory(batch))
        for path, leaf in _leaves(memory):
            if leaf.shape[: len(batch)] != batch:
                yield f"memory({batch}){_dotted(path)} has shape {list(leaf.shape)}, which should begin with the batch"
        observation = shapes(agent.spec.observation, batch)
        for explore in (False, True):
            seen = "" if has_parts(agent.spec.observation) else f"{list(observation.shape)}"
            call = f"act(key, state, observation{seen}, memory, hyperparameters, {explore})"
            run = lambda *rest, explore=explore: agent.act(*rest, explore)  # noqa: E731
            result = _trace(call, run, _KEY, acting, observation, memory, hp)
            if not isinstance(result, tuple) or len(result) != 2:
                raise _FaultError(f"{call} must return (action, memory), it returns {_describe(result)}")
            yield from _action_faults(call, agent, result[0], batch)
            yield from _differences(f"the memory that {call} returns", memory, result[1])


def _action_faults(call: str, agent: Agent, action: Any, batch: tuple[int, ...]) -> Iterator[str]:
    space = agent.spec.action
    shape, kind = (*batch, *space.shape), np.dtype(space.dtype).kind
    if not hasattr(action, "shape") or action.shape != shape or np.dtype(action.dtype).kind not in (kind, "u"):
        yield f"{call} gives the action {_describe(action)}, {agent.spec.name} takes {space.dtype}{list(shape)}"


def _rollout(agent: Agent, environment: Environment, state: PyTree, hp: Any) -> tuple[Rollout, list[str]]:
    """Shapes of one iteration's experience, as the loop collects it, and what is wrong with `noise` and `explore`."""
    count, length, width = agent.collects.num_envs, agent.collects.num_steps, agent.spec.num_objectives
    copies = vectorise(environment, count, "fresh")
    inner, observation = jax.eval_shape(copies.reset, _KEY, hp.environment)
    memory = _trace(f"memory(({count},))", lambda: agent.memory((count,)))
    noise = _trace(f"noise(key, ({length}, {count}))", lambda key: agent.noise(key, (length, count)), _KEY)
    for path, leaf in _leaves(noise):
        if leaf.shape[:1] != (length,):
            raise _FaultError(
                f"noise(key, ({length}, {count})){_dotted(path)} has shape {list(leaf.shape)}: no time axis"
            )
    start = jax.ShapeDtypeStruct((count,), bool)
    weights = jax.ShapeDtypeStruct((count, width), jnp.float32)
    call = "explore(state, observation, memory, start, weights, noise, hyperparameters, progress)"
    inputs = (state, observation, memory, start, weights, _slice(noise), hp, _PROGRESS)
    result = _trace(call, agent.explore, *inputs)
    if not isinstance(result, tuple) or len(result) not in (2, 3):
        raise _FaultError(
            f"{call} must return (raw action, memory) or those and extras, it returns {_describe(result)}"
        )
    raw, following, *extras = result
    action = _trace("action(raw action)", agent.action, raw)
    faults = list(_action_faults(f"action of what {call} returns", agent, action, (count,)))
    faults += _differences(f"the memory that {call} returns", memory, following)
    if faults:
        raise _FaultError("\n  - ".join(faults))
    draws = _slice(jax.eval_shape(lambda key, params: copies.draw(key, 1, params), _KEY, hp.environment))
    timestep = jax.eval_shape(copies.step, draws, inner, action, hp.environment)[1]
    seen = {
        "observation": observation,
        "raw_action": raw,
        "reward": timestep.reward,
        "terminated": timestep.terminated,
        "truncated": timestep.truncated,
        "final_observation": timestep.info["final_observation"],
        "start": start,
        "info": timestep.info,
    }
    seen = {name: seen[name] for name in agent.records} | dict(zip(["extras"], extras)) | {"valid": start}
    along = lambda leaf: jax.ShapeDtypeStruct((length, *leaf.shape), leaf.dtype)  # noqa: E731
    return Rollout(**jax.tree.map(along, seen), memory=memory, weights=weights), faults


_PROGRESS = Progress(*[jax.ShapeDtypeStruct((), jnp.float32)] * 2)


def _learning_faults(agent: Agent, state: PyTree, rollout: Rollout | None, hp: Any) -> Iterator[str]:
    """What is wrong with `update` and `inherit`."""
    width = agent.spec.num_objectives
    vector, scalar = jax.ShapeDtypeStruct((width,), jnp.float32), jax.ShapeDtypeStruct((), jnp.float32)
    summary = ReturnSummary(vector, vector, scalar, vector)
    call = "update(key, state, rollout, summary, hyperparameters, progress)"
    result = _trace(call, agent.update, _KEY, state, rollout, summary, hp, _PROGRESS)
    if not isinstance(result, tuple) or len(result) != 2:
        raise _FaultError(f"{call} must return (state, metrics), it returns {_describe(result)}")
    following, metrics = result
    yield from _differences("the state that update returns", state, following)
    inherited = _trace("inherit(fresh state, parent state)", agent.inherit, state, state)
    yield from _differences("the state that inherit returns", state, inherited)
    if not isinstance(metrics, dict):
        raise _FaultError(f"metrics must be a dict, update returns a {type(metrics).__name__}")
    for name, value in metrics.items():
        if not hasattr(value, "shape") or value.shape not in ((), (width,)):
            shapes = "a scalar" if width == 1 else f"a scalar or have one entry for each of {width} objectives"
            yield f"metrics[{name!r}] is {_describe(value)}, it must be {shapes}"
        if name in _REPORTED:
            yield f"metrics may not have {name!r}: the loop reports it"


def _trace(call: str, function: Callable, *inputs: Any) -> Any:
    try:
        return jax.eval_shape(function, *inputs)
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [""]
        raise _FaultError(f"{call} fails when traced: {type(error).__name__}: {lines[0]}") from error


def _slice(tree: PyTree) -> PyTree:
    """One step of what has a leading axis `time`."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), tree)


def _leaves(tree: PyTree) -> list[tuple[str, Any]]:
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in flat]


def _dotted(path: str) -> str:
    return f".{path}" if path else ""


def _describe(tree: Any) -> str:
    leaves = _leaves(tree)
    if len(leaves) == 1 and not leaves[0][0]:
        leaf = leaves[0][1]
        return f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "shape") else repr(leaf)
    return f"{type(tree).__name__}({', '.join(f'{path}: {_describe(leaf)}' for path, leaf in leaves)})"


def _differences(what: str, before: PyTree, after: PyTree) -> Iterator[str]:
    """How a tree that must stay as it is changes, leaf by leaf."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    for path in dict.fromkeys((*old, *new)):
        place = what + (f" at {path}" if path else "")
        if path not in new:
            yield f"{place} is gone, it was {_describe(old[path])}"
        elif path not in old:
            yield f"{place} is new: {_describe(new[path])}"
        elif _describe(old[path]) != _describe(new[path]):
            yield f"{place} is {_describe(new[path])}, it was {_describe(old[path])}"
    if list(old) == list(new) and jax.tree.structure(before) != jax.tree.structure(after):
        yield f"{what} is a {type(after).__name__} of another structure, it was a {type(before).__name__}"
