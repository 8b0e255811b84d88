"""Behaviour alignment: a blend of primary and auxiliary rewards learnt so that its learner does well by the primary.

Gupta et al., 2023, "Behavior Alignment via Reward Function Optimization" (BARFI), arXiv 2310.19007.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrl.bilevel.barfi_study import DECIDED, BarfiConfig, BarfiHyperparameters, BarfiState, BarfiStudy, in_mode
from jaxrl.bilevel.contract import BilevelEvaluation
from jaxrl.bilevel.episodes import Episodes, centred, collector, measured, policy_surrogate, returns_to_go
from jaxrl.bilevel.hypergradient import hypergradient
from jaxrl.bilevel.reward import Alignment, adjust, align_reward, learned_discount, potential_shaping
from jaxrl.environments.base import Environment
from jaxrl.environments.registry import make
from jaxrl.environments.spaces import Discrete
from jaxrl.hyperparameters import split_settings
from jaxrl.networks import ActorCritic, actor_critic
from jaxrl.numerics.distributions import Distribution, for_space
from jaxrl.training.loop import Result, scan_steps
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

__all__ = ["barfi"]


class Parts(NamedTuple):
    """What a study is put together of; static."""

    policy: ActorCritic
    residual: ActorCritic
    distribution: Distribution
    collect: Callable[..., Episodes]
    environment: Environment
    config: BarfiConfig


def barfi(environment: str | Environment, **settings: Any) -> BarfiStudy:
    """Learns a reward r_φ and a discount γ_φ such that a policy that learns with them does well by the primary reward.

        max_φ  J_w(θ*(φ)) − λ_γ γ_φ,   J_w(θ) = E Σ γᵗ w·rₜ
        θ*(φ): g(θ, φ) = E Σₜ ∇log π_θ(aₜ|sₜ) (Σ_{j ≥ t} γ_φ^{j−t} r_φ(sⱼ, aⱼ) − bₜ) + τ ∇ Σₜ H(π_θ(·|sₜ)) = 0
        r_φ(s, a) = φ₁(s, a) + φ₂(s, a) r_p + φ₃(s, a) r_aux

    Gupta et al., 2023. Every outer step is K policy-gradient steps from where the policy is, each on
    fresh episodes, and one step of Adam along the hypergradient, implicit or unrolled. All expectations are estimated
    from whole episodes (`episodes.policy_surrogate`). The paper's reuse of earlier episodes by importance weights is
    left out.

    Args:
        environment: with `Discrete` actions, a time limit, and a reward vector of which the first is the primary; or
            its name.
        settings: of `BarfiConfig` and of `BarfiHyperparameters`, by name.

    Raises:
        UnknownNameError: for an unknown setting, hypergradient or solver, with the nearest match.
        ValueError: for other actions, no time limit, one objective, or sizes out of range.
    """
    environment = make(environment) if isinstance(environment, str) else environment
    spec = environment.spec
    if not isinstance(spec.action, Discrete):
        raise ValueError(f"barfi needs Discrete actions, {spec.name} has {spec.action}")
    if spec.time_limit is None:
        raise ValueError(f"barfi needs whole episodes: {spec.name} has no time limit, see transforms.time_limit")
    if spec.num_objectives < 2:
        raise ValueError(f"barfi blends a primary and auxiliary rewards, {spec.name} has one objective")
    config, defaults = _settings(environment, settings)
    distribution = for_space(spec.action)
    sizes = spec.action.n, spec.action.n * (1 + spec.num_objectives)
    policy, residual = (
        actor_critic(spec.observation, size, 1, network=network, hidden_sizes=config.hidden_sizes)
        for size, network in zip(sizes, (config.network, config.residual_network), strict=True)
    )
    collect = collector(environment, distribution, config.num_episodes, spec.time_limit)
    parts = Parts(policy, residual, distribution, collect, environment, config)
    batches = config.num_inner_steps + (2 if config.hypergradient == "implicit" else 1)
    return BarfiStudy(
        init=partial(_init, parts),
        step=partial(_step, parts),
        run=partial(_run, parts),
        field=partial(_field, parts),
        objective=lambda *arguments: _objective(parts, *arguments)[0],
        hyperparameters=defaults,
        environment=environment,
        config=config,
        settings=settings,
        rebuild=lambda **changes: barfi(environment, **{**settings, **changes}),
        steps_per_iteration=batches * config.num_episodes * spec.time_limit,
    )


def _settings(environment: Environment, settings: dict[str, Any]) -> tuple[BarfiConfig, BarfiHyperparameters]:
    count = environment.spec.num_objectives
    initial = {
        "weights": jnp.zeros(count).at[0].set(1.0),
        "coefficients": jnp.ones(1 + count).at[0].set(0.0),
        "potential": jnp.zeros(count),
    }
    vectors = {name: jnp.asarray(settings.get(name, value)) for name, value in initial.items()}
    for name, value in initial.items():
        if vectors[name].shape != value.shape:
            raise ValueError(f"{name} has shape {value.shape}, got {vectors[name].shape}")
    config, traced = split_settings(
        {**settings, **vectors}, BarfiConfig, BarfiHyperparameters(**vectors, environment=())
    )
    for name in DECIDED[config.mode]:
        if name in settings:
            raise ValueError(f"{name}={settings[name]!r} cannot be set: mode={config.mode!r} decides it")
    params = settings.get("environment", environment.params)
    return config, traced._replace(environment=jax.tree.map(jnp.asarray, params))


def _parameters(network: ActorCritic, params: PyTree, observation: PyTree) -> Array:
    return network.act(params, observation, jnp.ones(1), (), jnp.zeros((), bool))[0]


def _init(parts: Parts, key: PRNGKeyArray, hp: BarfiHyperparameters) -> BarfiState:
    hp = in_mode(hp, parts.config.mode)
    policy_key, residual_key, run_key = jax.random.split(key, 3)
    gamma = jnp.clip(hp.inner_discount, 1e-6, 1.0 - 1e-6)
    alignment = Alignment(hp.coefficients, parts.residual.init(residual_key), jnp.log(gamma) - jnp.log1p(-gamma))
    return BarfiState(parts.policy.init(policy_key), alignment, optax.scale_by_adam().init(alignment), run_key)


def _episodes(parts: Parts, policy: PyTree, hp: BarfiHyperparameters, key: PRNGKeyArray) -> Episodes:
    act = partial(_parameters, parts.policy, jax.lax.stop_gradient(policy))
    return jax.lax.stop_gradient(parts.collect(key, act, hp.environment))


def _field(parts: Parts, policy: PyTree, alignment: Alignment, hp: BarfiHyperparameters, key: PRNGKeyArray) -> PyTree:
    episodes = _episodes(parts, policy, hp, key)
    terms = _parameters(parts.residual, alignment.residual, episodes.observation)
    terms = terms.reshape(*terms.shape[:-1], parts.environment.spec.action.n, -1)
    chosen = jax.nn.one_hot(episodes.raw, terms.shape[-2], dtype=terms.dtype)
    residual = jnp.sum(chosen[..., None] * terms, axis=-2)
    gamma = learned_discount(alignment)
    reward = align_reward(alignment.coefficients, residual, episodes.reward)
    reward = reward + potential_shaping(episodes.reward, episodes.terminated, hp.potential, gamma)
    advantage = centred(returns_to_go(reward * episodes.alive, gamma), episodes.alive)

    def inner(policy: PyTree) -> Array:
        logits = _parameters(parts.policy, policy, episodes.observation)
        log_prob = parts.distribution.log_prob(logits, episodes.raw)
        entropy = jnp.sum(parts.distribution.entropy(logits) * episodes.alive, axis=0).mean()
        surrogate = policy_surrogate(log_prob, advantage, episodes.alive, parts.config.jacobian)
        return surrogate + hp.entropy_coefficient * entropy

    return jax.grad(inner)(policy)


def _objective(
    parts: Parts, policy: PyTree, alignment: Alignment, hp: BarfiHyperparameters, key: PRNGKeyArray
) -> tuple[Float[Array, ""], Episodes]:
    episodes = _episodes(parts, policy, hp, key)
    values = returns_to_go(episodes.reward @ hp.weights, jnp.asarray(hp.discount))
    logits = _parameters(parts.policy, policy, episodes.observation)
    log_prob = parts.distribution.log_prob(logits, episodes.raw)
    powers = hp.discount ** jnp.arange(values.shape[0], dtype=values.dtype)[:, None]
    surrogate = policy_surrogate(log_prob, powers * centred(values, episodes.alive), episodes.alive)
    return values[0].mean() + surrogate - hp.discount_penalty * learned_discount(alignment), episodes


def _step(
    parts: Parts, state: BarfiState, hp: BarfiHyperparameters, index: Int[Array, ""]
) -> tuple[BarfiState, tuple[dict[str, Array], BilevelEvaluation]]:
    hp = in_mode(hp, parts.config.mode)
    keys = jax.random.split(jax.random.fold_in(state.key, index), parts.config.num_inner_steps + 2)
    compute = hypergradient(
        lambda policy, alignment, key: _field(parts, policy, alignment, hp, key),
        lambda policy, alignment, key: _objective(parts, policy, alignment, hp, key),
        parts.config,
        has_aux=True,
    )
    found = compute(state.policy, state.alignment, keys[2:], keys[0], keys[1], hp.inner_learning_rate, hp.damping)
    changes, optimiser = optax.scale_by_adam().update(found.gradient, state.optimiser)
    rates = hp.coefficient_learning_rate, hp.residual_learning_rate, hp.discount_learning_rate
    alignment = adjust(state.alignment, changes, rates)
    episodes = found.auxiliary
    evaluation = measured(episodes)
    metrics = {
        "episode_return": evaluation.returns,
        "episode_length": evaluation.length,
        "objective": found.value,
        "coefficients": state.alignment.coefficients,
        "discount": learned_discount(state.alignment),
        "residual": found.residual,
        "hypergradient_norm": optax.tree.norm(found.gradient),
        "non_finite": (~jnp.isfinite(optax.tree.norm(found.gradient))).astype(jnp.float32),
    }
    return BarfiState(found.parameters, alignment, optimiser, state.key), (metrics, evaluation)


def _run(parts: Parts, key: PRNGKeyArray, hp: BarfiHyperparameters) -> Result:
    total = parts.config.num_outer_steps
    return scan_steps(partial(_step, parts), _init(parts, key, hp), hp, total, np.arange(total))
