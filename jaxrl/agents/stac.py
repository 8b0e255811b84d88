"""Self-tuning actor-critic (Zahavy et al., 2020, arXiv 2002.12928): hyperparameters learn while the agent does."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.a2c import CONFIG as A2C_CONFIG
from jaxrl.agents.a2c import DEFAULTS as A2C_DEFAULTS
from jaxrl.agents.auxiliary_heads import HeadSettings, auxiliary_loss
from jaxrl.agents.base import Agent, Progress, Rollout
from jaxrl.agents.entries import AgentEntry
from jaxrl.agents.fitting import fit
from jaxrl.agents.minibatches import Batch
from jaxrl.agents.on_policy import OnPolicyState, on_policy
from jaxrl.agents.on_policy_loss import loss
from jaxrl.agents.on_policy_parts import Parts
from jaxrl.agents.on_policy_update import prepare, scalarise
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters
from jaxrl.aggregation import ReturnSummary
from jaxrl.environments.base import EnvironmentSpec
from jaxrl.errors import require_name
from jaxrl.ranges import NOT_NEGATIVE, NUMBER, SOME
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree
from jaxrl.validity import all_finite, choose

__all__ = [
    "CONFIG",
    "DEFAULTS",
    "STAC",
    "STACX",
    "TUNABLE",
    "X_CONFIG",
    "StacConfig",
    "StacState",
    "outer_batch",
    "outer_loss",
    "stac",
    "stacx",
    "tuned_heads",
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
    auxiliary_heads: Annotated[int, SOME] = 0
    """Policies and values that learn beside those that act, on the same layers (STACX); their settings learn, too."""


CONFIG = StacConfig(**{name: getattr(A2C_CONFIG, name) for name in A2C_CONFIG.__dataclass_fields__})
X_CONFIG = replace(CONFIG, auxiliary_heads=2)
DEFAULTS = {**A2C_DEFAULTS, "gae_lambda": 0.99}
# Of the outer loop, in the leaf `objective`; the weight of the divergence is the paper's.
_META = {"meta_learning_rate": 1e-3, "meta_kl_coefficient": 1.0}
# With auxiliary heads: the weight of their losses beside the first one's, at which they start.
_AUXILIARY = {"auxiliary_coefficient": 1.0}
_META_RANGES = {
    "meta_learning_rate": NOT_NEGATIVE,
    "meta_kl_coefficient": NUMBER,
    "auxiliary_coefficient": NOT_NEGATIVE,
}
# Share of clipped importance weights that auxiliary heads start with.
_CLIPPING = 0.99


class StacState(NamedTuple):
    """An agent and its hyperparameters in training.

    Attributes:
        agent: the actor-critic's state.
        logits: of the tuned hyperparameters, by name; those of auxiliary heads under `auxiliary`.
        optimiser: Adam's state for them.
    """

    agent: OnPolicyState
    logits: dict[str, Any]
    optimiser: PyTree


def stac(spec: EnvironmentSpec, config: StacConfig = CONFIG) -> Agent:
    """STAC: A2C whose discount, λ and loss weights follow the meta-gradient of every update (section 3).

    With η the logits, θ'(η) one update of the inner loss, and the outer loss that of the fixed hyperparameters
    plus `meta_kl_coefficient` KL(π_θ ‖ π_θ'), both on the same rollout, Adam descends ∂L_outer(θ'(η))/∂η with the
    rate `meta_learning_rate`; the agent goes on from θ'. A discount or λ is sigmoid(η), a weight 2 w sigmoid(η), w its
    fixed value; all start at their fixed values.

    Raises:
        UnknownNameError: for a hyperparameter that cannot be tuned, with the nearest match.
        ValueError: for settings that do not fit each other or the environment.
    """
    _validate(config)
    base = on_policy(spec, config, DEFAULTS, config.auxiliary_heads)
    inner = lambda function: partial(_with_agent, function)  # noqa: E731
    named = {**_META, **(_AUXILIARY if config.auxiliary_heads else {})}
    meta = {name: jnp.asarray(value, jnp.float32) for name, value in named.items()}
    hyperparameters = base.hyperparameters._replace(objective={**base.hyperparameters.objective, **meta})
    return base._replace(
        init=partial(_init, base, config),
        explore=inner(base.explore),
        act=lambda key, state, *rest, **named: base.act(key, state.agent, *rest, **named),
        actor=lambda state: StacState(base.actor(state.agent), {}, ()),
        value=inner(base.value),
        inherit=lambda fresh, parent: parent._replace(agent=base.inherit(fresh.agent, parent.agent)),
        update=partial(_update, base),
        score=inner(base.score),
        hyperparameters=hyperparameters,
        initialisers={},
        ranges={**base.ranges, **{f"objective.{name}": _META_RANGES[name] for name in named}},
    )


def stacx(spec: EnvironmentSpec, config: StacConfig = X_CONFIG) -> Agent:
    """STACX: STAC with auxiliary actor-critics on the same layers, whose settings learn, too (section 3.2).

    The inner loss has one more actor-critic loss for each of `auxiliary_heads`, by leaky V-trace of its own policy; it
    reaches the head that acts through the layers that they share. η holds their discounts, λ, shares of clipped
    importance weights and loss weights, in (0, 2 w) with w `auxiliary_coefficient` times the fixed ones. The outer loss
    is that of the first head alone. Two heads by default; metrics have a column for each setting of each head.

    Raises:
        UnknownNameError: as `stac`.
        ValueError: as `stac`, and for a network whose heads share no layers.
    """
    return stac(spec, config)


def _validate(config: StacConfig) -> None:
    for name in config.tuned:
        require_name("tuned hyperparameter", name, TUNABLE)
    if config.entropy_schedule != "constant" or config.clip_schedule != "constant":
        raise ValueError(
            "stac and stacx find the settings of their loss by themselves: entropy_schedule and clip_schedule must be "
            f"constant, got {config.entropy_schedule!r} and {config.clip_schedule!r}"
        )
    if not config.auxiliary_heads:
        return
    if config.network == "table" or not config.hidden_sizes:
        raise ValueError(
            f"auxiliary_heads={config.auxiliary_heads} needs layers that heads share, another network than 'table' "
            f"and hidden_sizes, got network={config.network!r}, hidden_sizes={config.hidden_sizes}"
        )
    if config.multi_head or config.optimiser == "natural":
        raise ValueError(
            f"auxiliary_heads={config.auxiliary_heads} goes with one head per policy and a gradient of all parameters, "
            f"got multi_head={config.multi_head}, optimiser={config.optimiser!r}"
        )


def _with_agent(function: Callable, state: StacState, *rest: Any) -> Any:
    return function(state.agent, *rest)


def _init(base: Agent, config: StacConfig, key: PRNGKeyArray, hp: OnPolicyHyperparameters) -> StacState:
    logits: dict[str, Any] = {n: _logit(getattr(hp, n)) if n in _UNIT else jnp.zeros(()) for n in config.tuned}
    if config.auxiliary_heads:
        count = config.auxiliary_heads
        each = lambda value: jnp.broadcast_to(_logit(value), (count, *jnp.shape(value)))  # noqa: E731
        weights, clipping = jnp.zeros(count), each(jnp.asarray(_CLIPPING))
        logits["auxiliary"] = HeadSettings(each(hp.discount), each(hp.gae_lambda), clipping, weights, weights, weights)
    return StacState(base.init(key, hp), logits, optax.scale_by_adam().init(logits))


def _logit(value: Array) -> Array:
    value = jnp.clip(value, 1e-4, 1.0 - 1e-4)
    return jnp.log(value) - jnp.log1p(-value)


def tuned_hyperparameters(logits: dict[str, Any], hp: OnPolicyHyperparameters) -> OnPolicyHyperparameters:
    """Those of the inner loss of the head that acts."""
    shares = {name: jax.nn.sigmoid(logit) for name, logit in logits.items() if name != "auxiliary"}
    scales = {name: 1.0 if name in _UNIT else 2.0 * getattr(hp, name) for name in shares}
    return hp._replace(**{name: scales[name] * share for name, share in shares.items()})


def tuned_heads(logits: HeadSettings, hp: OnPolicyHyperparameters) -> HeadSettings:
    """Those of the inner losses of auxiliary heads."""
    bound = 2.0 * hp.objective["auxiliary_coefficient"]
    scales = HeadSettings(1.0, 1.0, 1.0, bound, bound * hp.value_coefficient, bound * hp.entropy_coefficient)
    return jax.tree.map(lambda logit, scale: scale * jax.nn.sigmoid(logit), logits, scales)


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

    def outer(logits: dict[str, Any]) -> tuple[Array, tuple[OnPolicyState, dict[str, Array]]]:
        inner, extra = tuned_hyperparameters(logits, hp), None
        if "auxiliary" in logits:
            extra = auxiliary_loss(parts, state.agent, rollout, tuned_heads(logits["auxiliary"], hp), hp)
        agent, metrics = base.update(key, state.agent, rollout, summary, inner, progress, extra)
        batch = outer_batch(parts, state.agent, agent.params, rollout, hp, progress)
        total = outer_loss(parts, state.agent, agent.params, batch, rollout.memory, hp, progress)
        return total, (agent, metrics)

    gradient, (agent, metrics) = jax.grad(outer, has_aux=True)(state.logits)
    changes, optimiser = optax.scale_by_adam().update(gradient, state.optimiser)
    rate = hp.objective["meta_learning_rate"]
    logits = jax.tree.map(lambda logit, change: logit - rate * change, state.logits, changes)
    taken = all_finite(gradient)
    logits, optimiser = choose(taken, (logits, optimiser), (state.logits, state.optimiser))
    metrics |= {"skipped_updates": metrics["skipped_updates"] + (1.0 - taken)}
    return StacState(agent, logits, optimiser), {**metrics, **_reported(logits, hp)}


def _reported(logits: dict[str, Any], hp: OnPolicyHyperparameters) -> dict[str, Array]:
    """Metrics of what is tuned; of auxiliary heads numbered from 1."""
    own = tuned_hyperparameters(logits, hp)
    found = {f"tuned_{name}": getattr(own, name) for name in logits if name != "auxiliary"}
    if "auxiliary" not in logits:
        return found
    heads = tuned_heads(logits["auxiliary"], hp)._asdict().items()
    return found | {f"tuned_{name}_{i + 1}": value for name, values in heads for i, value in enumerate(values)}


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


STAC = AgentEntry(stac, CONFIG, DEFAULTS, OnPolicyHyperparameters, fit)
STACX = AgentEntry(stacx, X_CONFIG, DEFAULTS, OnPolicyHyperparameters, fit)
