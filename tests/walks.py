"""A kind of run that compiles in a moment: a random walk, whose numbers do not depend on the size of a batch."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents.base import Actor
from jaxrl.environments import Box, Discrete, Environment, EnvironmentSpec
from jaxrl.runs.kinds import KINDS, Kind, register_kind
from jaxrl.sweeps.program import program
from jaxrl.training.evaluation import Evaluation
from jaxrl.training.program import Player, complete_program

SPEC = EnvironmentSpec("walk", Box(0.0, 1.0, (1,)), Discrete(2), num_objectives=2)


class Position(NamedTuple):
    position: Any


class Scale(NamedTuple):
    """What a walk is scaled by.

    Attributes:
        scale: of every step.
    """

    scale: Any


def _final(key, state, hyperparameters):
    place = state["position"]
    return Evaluation(place, place, place, place[0], place, place[0])


@complete_program
class Walk(NamedTuple):
    init: Callable
    step: Callable
    hyperparameters: Any
    num_iterations: int
    diverges: int | None

    @property
    def environment(self):
        return Environment(None, None, (), SPEC)

    @property
    def evaluation_iterations(self):
        return np.arange(1, self.num_iterations, 2)

    def actor(self, state, hyperparameters):
        return Player(Actor(lambda shape: (), lambda *rest: rest, SPEC), state, hyperparameters)

    def evaluator(self, num_episodes, explore=None):
        return _final


@cache
def walk(num_iterations=8, diverges=None):
    """A walk whose loss is no number from the iteration `diverges` on."""

    def init(key, hyperparameters):
        return {"key": key, "position": jnp.zeros(2), "count": jnp.zeros((), jnp.int32)}

    def step(state, hyperparameters, index):
        drawn = jax.random.uniform(jax.random.fold_in(state["key"], index), (2,))
        position = state["position"] + hyperparameters.scale * drawn
        lost = index >= (num_iterations if diverges is None else diverges)
        metrics = {"drift": drawn[0], "non_finite": lost.astype(jnp.float32)}
        due = index % 2 == 1
        seen = Position(jnp.where(due, position[0], jnp.nan))
        return {**state, "position": position, "count": state["count"] + 1}, (metrics, seen)

    return Walk(init, step, Scale(jnp.float32(0.5)), num_iterations, diverges)


if "walk" not in KINDS:
    register_kind(Kind("walk", "a random walk", lambda found: walk(**found.settings), takes_environment=False))


_PROGRAMS = {}


def compiled_once(trainer, num_chunks, axes, num_members, mesh):
    """`program`, which compiles the same walk but once: in place of the one that sweeps call."""
    if not isinstance(trainer, Walk):
        return program(trainer, num_chunks, axes, num_members, mesh)
    key = trainer.step, num_chunks, axes, num_members, mesh
    if key not in _PROGRAMS:
        _PROGRAMS[key] = program(trainer, *key[1:])
    return _PROGRAMS[key]
