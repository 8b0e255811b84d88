"""Self-tuning actor-critic (Zahavy et al., 2020, arXiv 2002.12928): hyperparameters learn while the agent does."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.a2c import CONFIG as A2C_CONFIG
from jaxrl.agents.a2c import DEFAULTS as A2C_DEFAULTS
from jaxrl.agents.base import Agent, Progress, Rollout
from jaxrl.agents.minibatches import Batch
from jaxrl.agents.on_policy import OnPolicyState, on_policy
from jaxrl.agents.on_policy_loss import loss
from jaxrl.agents.on_policy_parts import Parts
from jaxrl.agents.on_policy_update import prepare, scalarise
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters
from jaxrl.aggregation import ReturnSummary
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.errors import require_name
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = [
    "CONFIG",
    "DEFAULTS",
    "TUNABLE",
    "StacConfig",
    "StacState",
    "outer_batch",
    "outer_loss",
    "stac",
    "tuned_hyperparameters",
]

# Bounds of what can be tuned: (0, 1), or (0, twice the outer loss's own).
TUNABLE = ("discount", "gae_lambda", "entropy_coefficient", "value_coefficient")
_UNIT = ("discount", "gae_lambda")


@dataclass(frozen=True, kw_only=True)
class StacConfig(OnPolicyConfig):
    """Static settings: those of A2C, and what is tuned."""

    tuned: tuple[str, ...] = TUNABLE
    """Hyperparameters that learn: any of discount, gae_lambda, entropy_coefficient, value_coefficient."""


CONFIG = StacConfig(**{name: getattr(A2C_CONFIG, name) for name in A2C_CONFIG.__dataclass_fields__})
DEFAULTS = {**A2C_DEFAULTS, "gae_lambda": 0.99}
# Of the outer loop, in the leaf `objective`; the weight of the divergence is the paper's.
_META = {"meta_learning_rate": 1e-3, "meta_kl_coefficient": 1.0}


class StacState(NamedTuple):
    """An agent and its hyperparameters in training.

    Attributes:
        agent: the actor-critic's state.
        logits: of the tuned hyperparameters, by name.
        optimiser: Adam's state for them.
    """

    agent: OnPolicyState
    logits: dict[str, Array]
    optimiser: PyTree


def stac(spec: EnvironmentSpec, config: StacConfig = CONFIG) -> Agent:
    """STAC: A2C whose discount, λ and loss weights follow the meta-gradient of every update (section 3).

    With η the logits, θ'(η) one update of the inner loss, and the outer loss that of the fixed hyperparameters
    plus `meta_kl_coefficient` KL(π_θ ‖ π_θ'), both on the same rollout, Adam descends ∂L_outer(θ'(η))/∂η with the
    rate `meta_learning_rate`; the agent goes on from θ'. A discount or λ is sigmoid(η), a weight 2 w sigmoid(η), w its
    fixed value; all start at their fixed values. Auxiliary losses (STACX) are not built.

    Raises:
        UnknownNameError: for a hyperparameter that cannot be tuned, with the nearest match.
        ValueError: for settings that do not fit each other or the environment.
    """
    for name in config.tuned:
        require_name("tuned hyperparameter", name, TUNABLE)
    base = on_policy(spec, config, DEFAULTS)
    inner = lambda function: partial(_with_agent, function)  # noqa: E731
    meta = {name: jnp.asarray(value, jnp.float32) for name, value in _META.items()}
    hyperparameters = base.hyperparameters._replace(objective={**base.hyperparameters.objective, **meta})
    return base._replace(
        init=partial(_init, base, config.tuned),
        explore=inner(base.explore),
        act=lambda key, state, *rest, **named: base.act(key, state.agent, *rest, **named),
        value=inner(base.value),
        inherit=lambda fresh, parent: parent._replace(agent=base.inherit(fresh.agent, parent.agent)),
        update=partial(_update, base),
        score=inner(base.score),
        hyperparameters=hyperparameters,
        initialisers={},
    )


def _with_agent(function: Callable, state: StacState, *rest: Any) -> Any:
    return function(state.agent, *rest)


def _init(base: Agent, tuned: tuple[str, ...], key: PRNGKeyArray, hp: OnPolicyHyperparameters) -> StacState:
    logits = {name: _logit(getattr(hp, name)) if name in _UNIT else jnp.zeros(()) for name in tuned}
    return StacState(base.init(key, hp), logits, optax.scale_by_adam().init(logits))


def _logit(value: Array) -> Array:
    value = jnp.clip(value, 1e-4, 1.0 - 1e-4)
    return jnp.log(value) - jnp.log1p(-value)


def tuned_hyperparameters(logits: dict[str, Array], hp: OnPolicyHyperparameters) -> OnPolicyHyperparameters:
    """Those of the inner loss."""
    shares = {name: jax.nn.sigmoid(logit) for name, logit in logits.items()}
    scales = {name: 1.0 if name in _UNIT else 2.0 * getattr(hp, name) for name in shares}
    return hp._replace(**{name: scales[name] * share for name, share in shares.items()})


def _update(
    base: Agent,
    key: PRNGKeyArray,
    state: StacState,
    rollout: Rollout,
    summary: ReturnSummary,
    hp: OnPolicyHyperparameters,
    progress: Progress,
) -> tuple[StacState, dict[str, Array]]:
    parts: Parts = base.update.args[0]

    def outer(logits: dict[str, Array]) -> tuple[Array, tuple[OnPolicyState, dict[str, Array]]]:
        inner = tuned_hyperparameters(logits, hp)
        agent, metrics = base.update(key, state.agent, rollout, summary, inner, progress)
        batch = outer_batch(parts, state.agent, agent.params, rollout, hp, progress)
        total = outer_loss(parts, state.agent, agent.params, batch, rollout.memory, hp, progress)
        return total, (agent, metrics)

    gradient, (agent, metrics) = jax.grad(outer, has_aux=True)(state.logits)
    changes, optimiser = optax.scale_by_adam().update(gradient, state.optimiser)
    rate = hp.objective["meta_learning_rate"]
    logits = jax.tree.map(lambda logit, change: logit - rate * change, state.logits, changes)
    reported = {f"tuned_{name}": getattr(tuned_hyperparameters(logits, hp), name) for name in logits}
    return StacState(agent, logits, optimiser), {**metrics, **reported}


def outer_batch(
    parts: Parts,
    before: OnPolicyState,
    params: PyTree,
    rollout: Rollout,
    hp: OnPolicyHyperparameters,
    progress: Progress,
) -> Batch:
    """The rollout with the updated critic's advantages and targets under the fixed hyperparameters, as constants."""
    after = before._replace(params=params)
    batch, _ = prepare(parts, after, rollout, hp)
    acted, _ = prepare(parts, before, rollout, hp)
    batch = batch._replace(advantage=scalarise(parts, after, batch, hp, progress), log_prob=acted.log_prob)
    return jax.lax.stop_gradient(batch)


def outer_loss(
    parts: Parts,
    before: OnPolicyState,
    params: PyTree,
    batch: Batch,
    memory: PyTree,
    hp: OnPolicyHyperparameters,
    progress: Progress,
) -> Float[Array, ""]:
    """The loss of the fixed hyperparameters at the updated parameters."""
    total, metrics = loss(parts, params, batch, memory, before, hp, progress)
    return total + hp.objective["meta_kl_coefficient"] * metrics["kl"]
