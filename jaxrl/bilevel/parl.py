"""Reward learning from preferences as a bilevel problem: the reward moves the policy, and so the data it is judged on.

Chakraborty et al., 2024, "PARL: A unified framework for policy alignment in reinforcement learning from human
feedback", ICLR, arXiv 2308.02585.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrl.bilevel.contract import BilevelEvaluation
from jaxrl.bilevel.episodes import Episodes, collector, measured
from jaxrl.bilevel.hypergradient import implicit
from jaxrl.bilevel.parl_study import Pairs, ParlConfig, ParlHyperparameters, ParlState, ParlStudy
from jaxrl.bilevel.preferences import label_log_likelihood, preference_labels
from jaxrl.bilevel.soft_policies import lower_field, soft_optimum
from jaxrl.environments.base import Environment
from jaxrl.environments.registry import make
from jaxrl.hyperparameters import split_settings
from jaxrl.morl.tabular.model import Model, state_index, tabulate
from jaxrl.numerics.distributions import for_space
from jaxrl.training.loop import Result, scan_steps
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = ["parl"]


class Parts(NamedTuple):
    """What a study is put together of; static."""

    model: Model
    features: Array
    number: Callable[[Array], Array]
    collect: Callable[..., Episodes]
    evaluate: Callable[..., Episodes]
    config: ParlConfig


def parl(
    environment: str | Environment,
    features: Float[Array | np.ndarray, "state action feature"] | None = None,
    **settings: Any,
) -> ParlStudy:
    """Learns a reward r_ν = ν·f(s, a) from preferences between trajectories of the policy that is optimal for r_ν.

        max_ν F(ν, θ*(ν)),   F = E_{τ₁, τ₂ ~ π_θ} E_y log P_ν(y | τ₁, τ₂) − λ/2 ‖ν‖²
        θ*(ν) = argmax_θ E Σ γᵗ (r_ν − τ log π_θ)
        dF/dν = E ∇_ν log P_ν + (dθ*/dν)ᵀ E[(log P_ν − b) ∇_θ log π_θ(τ₁, τ₂)] − λ ν

    P_ν is Bradley and Terry's model of summed rewards. The second term, through the distribution of trajectories, is
    what alternating fits leave out (Chakraborty et al., 2024); dθ*/dν is implicit. In each round fresh
    pairs are labelled; the first term is meaned over all labels so far, the second estimated from the fresh ones,
    once a round. The lower level is solved by soft value iteration instead of the paper's policy-gradient steps.

    Args:
        environment: finite and deterministic, with a time limit: its tables are made once, on the host; or its name.
        features: f(s, a); default one indicator per state entered.
        settings: of `ParlConfig` and of `ParlHyperparameters`, by name.

    Raises:
        UnknownNameError: for an unknown setting, field or solver, with the nearest match.
        ValueError: for an environment that has no tables, features of another shape, or sizes out of range.
    """
    environment = make(environment) if isinstance(environment, str) else environment
    count = environment.spec.num_objectives
    weights = jnp.asarray(settings.get("weights", jnp.full(count, 1.0 / count)))
    if weights.shape != (count,):
        raise ValueError(f"weights has shape ({count},), got {weights.shape}")
    config, traced = split_settings(
        {**settings, "weights": weights}, ParlConfig, ParlHyperparameters(weights, environment=())
    )
    params = settings.get("environment", environment.params)
    model = tabulate(environment, "parl")
    states, actions = model.successor.shape
    given = features
    features = jax.nn.one_hot(model.successor, states) if given is None else jnp.asarray(given)
    if features.ndim != 3 or features.shape[:2] != (states, actions):
        raise ValueError(f"features must have shape ({states}, {actions}, feature), got {features.shape}")
    collect, evaluate = (
        collector(environment, for_space(environment.spec.action), size, environment.spec.time_limit)
        for size in (2 * config.num_pairs, config.evaluation_episodes)
    )
    parts = Parts(model, features, state_index(environment.spec.observation), collect, evaluate, config)
    return ParlStudy(
        init=partial(_init, parts),
        step=partial(_step, parts),
        run=partial(_run, parts),
        label=partial(_label, parts),
        gradient=partial(_gradient, parts),
        hyperparameters=traced._replace(environment=jax.tree.map(jnp.asarray, params)),
        environment=environment,
        model=model,
        features=features,
        config=config,
        settings=settings,
        rebuild=lambda **changes: parl(environment, given, **{**settings, **changes}),
        steps_per_iteration=2 * config.num_pairs * environment.spec.time_limit,
    )


def _policy(parts: Parts, logits: Array) -> Callable[[Array], Array]:
    """The table as `observation -> logits`."""
    return lambda observation: logits[parts.number(observation)]


def _init(parts: Parts, key: PRNGKeyArray, hp: ParlHyperparameters) -> ParlState:
    num_features = parts.features.shape[-1]
    pairs = parts.config.num_rounds * parts.config.num_pairs
    reward, logits = jnp.zeros(num_features), jnp.zeros(parts.model.successor.shape)
    optimiser = optax.scale_by_adam().init(reward)
    return ParlState(reward, logits, optimiser, jnp.zeros((pairs, num_features)), jnp.zeros(pairs, bool), key)


def _label(parts: Parts, key: PRNGKeyArray, logits: Array, hp: ParlHyperparameters) -> Pairs:
    act_key, label_key = jax.random.split(key)
    episodes = jax.lax.stop_gradient(parts.collect(act_key, _policy(parts, logits), hp.environment))
    hidden = jnp.sum(episodes.reward @ hp.weights, axis=0).reshape(2, -1)
    number, action = parts.number(episodes.observation), episodes.raw
    summed = jnp.sum(parts.features[number, action] * episodes.alive[..., None], axis=0)
    first, second = summed.reshape(2, -1, summed.shape[-1])
    label = preference_labels(label_key, hidden[0], hidden[1], hp.precision)
    split = lambda leaf: jnp.moveaxis(leaf.reshape(leaf.shape[0], 2, -1), 1, 0)  # noqa: E731
    return Pairs(second - first, label, split(number), split(action), split(episodes.alive))


def _through_distribution(upper: str, logits: Array, pairs: Pairs, likelihood: Array) -> Float[Array, ""]:
    """A number, always 0, whose gradient in θ is the score-function estimate of the upper objective's."""
    log_policy = jax.nn.log_softmax(logits)[pairs.number, pairs.action]
    first, second = jnp.sum(log_policy * pairs.alive, axis=1)
    if upper == "preference":
        gap = second - first
        return jnp.mean((pairs.label - 0.5) * (gap - jax.lax.stop_gradient(gap)))
    path, likelihood = first + second, jax.lax.stop_gradient(likelihood)
    others = (likelihood.sum() - likelihood) / max(likelihood.size - 1, 1)
    return jnp.mean((likelihood - others) * (path - jax.lax.stop_gradient(path)))


def _gradient(parts: Parts, reward: Array, logits: Array, pairs: Pairs, hp: ParlHyperparameters) -> Array:
    def objective(logits: Array, reward: Array, _: None) -> Array:
        likelihood = label_log_likelihood(pairs.difference @ reward, pairs.label)
        distribution = _through_distribution(parts.config.upper, logits, pairs, likelihood)
        return likelihood.mean() + hp.distribution_coefficient * distribution - hp.penalty / 2 * jnp.sum(reward**2)

    def field(logits: Array, reward: Array, _: None) -> Array:
        table = parts.features @ reward
        return lower_field(parts.config.lower_field, parts.model, logits, table, hp.discount, hp.temperature)

    solver = {"solver": parts.config.solver, "solver_iterations": parts.config.solver_iterations}
    return implicit(field, objective, logits, reward, damping=hp.damping, **solver).gradient


def _direct(state: ParlState, reward: Array, known: Array, hp: ParlHyperparameters) -> Array:
    """The gradient of all labels' mean log-likelihood and of the penalty."""

    def likelihood(reward: Array) -> Array:
        each = label_log_likelihood(state.difference @ reward, state.label)
        return jnp.sum(each * known) / jnp.sum(known) - hp.penalty / 2 * jnp.sum(reward**2)

    return jax.grad(likelihood)(reward)


def _step(
    parts: Parts, state: ParlState, hp: ParlHyperparameters, index: Int[Array, ""]
) -> tuple[ParlState, tuple[dict[str, Array], BilevelEvaluation]]:
    config = parts.config
    label_key, evaluation_key = jax.random.split(jax.random.fold_in(state.key, index))
    pairs = _label(parts, label_key, state.logits, hp)
    whole = _gradient(parts, state.reward, state.logits, pairs, hp)
    alone = _gradient(parts, state.reward, state.logits, pairs, hp._replace(distribution_coefficient=jnp.zeros(())))
    distribution = whole - alone
    first = index * config.num_pairs
    state = state._replace(
        difference=jax.lax.dynamic_update_slice(state.difference, pairs.difference, (first, 0)),
        label=jax.lax.dynamic_update_slice(state.label, pairs.label, (first,)),
    )
    known = (jnp.arange(state.label.size) < first + config.num_pairs).astype(jnp.float32)

    def fit(carry: tuple[Array, PyTree], _: None) -> tuple[tuple[Array, PyTree], None]:
        reward, optimiser = carry
        gradient = _direct(state, reward, known, hp) + distribution
        change, optimiser = optax.scale_by_adam().update(gradient, optimiser)
        return (reward + hp.learning_rate * change, optimiser), None

    (reward, optimiser), _ = jax.lax.scan(fit, (state.reward, state.optimiser), None, config.num_fits)
    table = parts.features @ reward
    logits = soft_optimum(parts.model, table, hp.discount, hp.temperature, config.lower_iterations, state.logits)
    evaluation = measured(parts.evaluate(evaluation_key, _policy(parts, logits), hp.environment))
    metrics = {
        "hidden_return": evaluation.returns @ hp.weights,
        "episode_return": evaluation.returns,
        "episode_length": evaluation.length,
        "labels": (first + config.num_pairs).astype(jnp.float32),
        "log_likelihood": label_log_likelihood(pairs.difference @ state.reward, pairs.label).mean(),
        "distribution_norm": jnp.linalg.norm(distribution),
        "direct_norm": jnp.linalg.norm(alone),
        "non_finite": (~jnp.all(jnp.isfinite(reward))).astype(jnp.float32),
    }
    return state._replace(reward=reward, logits=logits, optimiser=optimiser), (metrics, evaluation)


def _run(parts: Parts, key: PRNGKeyArray, hp: ParlHyperparameters) -> Result:
    total = parts.config.num_rounds
    return scan_steps(partial(_step, parts), _init(parts, key, hp), hp, total, np.arange(total))
