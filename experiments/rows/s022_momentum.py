"""N-PG-IGT and N-HARPG: policy gradients with transported or Hessian-corrected momentum, optax transformations.

Fatkhullin et al., 2023 (arXiv 2302.01734), algorithms 1 and 2, for a cost that is minimised:

    N-PG-IGT  d ← (1 − η) d + η g(θ + (1 − η)/η (θ − θ₋)),
    N-HARPG   d ← (1 − η) (d + B(θ̂)(θ − θ₋)) + η g(θ),  θ̂ = q θ + (1 − q) θ₋,  q ~ U[0, 1],

and θ ← θ − γ d/‖d‖, with g one trajectory's policy gradient, B(θ̂)v a second trajectory's Hessian-vector product,
γ = γ₀/(t + 2), η = (2/(t + 2))^(4/5) or 2/(t + 2). The worst-case rates of the gap in n trajectories are n^(-2/5) and
n^(-1/2) beside n^(-1/3) of the plain gradient with steps of t^(-2/3). Where the optimum is a smooth minimum, as in a
linear-quadratic regulator, gaps are squares of what those rates bound: n^(-4/5), n^(-1) and n^(-2/3).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.rows.base import Measured, Row, above
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

DYNAMICS, CONTROL = jnp.array([[0.7, 0.3], [-0.3, 0.7]]), jnp.array([[0.5], [1.0]])
DISCOUNT, DEVIATION, HORIZON = 0.9, 1.0, 3
ACTIONS, STATES = 1, 2
SHIFT = 2.6  # what a step costs on average: taken off, so that signals are not all of one sign
TRAJECTORIES, RUNS, GROUPS = 2**17, 32, 8
STEPS = (0.1, 0.2, 0.5, 1.0)  # γ₀ among which each method's is chosen, or 1/30 of it as plain step size


class Trajectory(NamedTuple):
    """One episode; costs are undiscounted."""

    states: Float[Array, "time state"]
    actions: Float[Array, "time action"]
    costs: Float[Array, " time"]


LogProbability = Callable[[PyTree, Trajectory], Float[Array, " time"]]


def gradient(log_probability: LogProbability, params: PyTree, trajectory: Trajectory) -> PyTree:
    """g = Σₜ ∇log π(aₜ | sₜ) Σ_{h ≥ t} γʰ c_h, unbiased for the gradient of the expected cost."""
    return jax.grad(_weighted_score, argnums=1)(log_probability, params, trajectory)


def hessian_product(log_probability: LogProbability, params: PyTree, trajectory: Trajectory, v: PyTree) -> PyTree:
    """B v = (∇Φ ∇log p(τ)ᵀ + ∇²Φ) v with ∇Φ = g, unbiased for the Hessian of the expected cost times v."""
    slope, product = jax.jvp(partial(gradient, log_probability, trajectory=trajectory), (params,), (v,))
    along = jax.jvp(lambda p: log_probability(p, trajectory).sum(), (params,), (v,))[1]
    return jax.tree.map(lambda a, b: a * along + b, slope, product)


def _weighted_score(log_probability: LogProbability, params: PyTree, trajectory: Trajectory) -> Float[Array, ""]:
    costs = trajectory.costs * DISCOUNT ** jnp.arange(len(trajectory.costs))
    return jnp.sum(log_probability(params, trajectory) * jnp.cumsum(costs[::-1])[::-1])


class MomentumState(NamedTuple):
    """The direction d, the parameters before and the count of updates."""

    direction: PyTree
    previous: PyTree
    count: Float[Array, ""]


def normalised_momentum(step: Float[Array, ""] | float, power: float) -> optax.GradientTransformationExtraArgs:
    """−γ d/‖d‖ with η = (2/(t + 2))^power; `update` takes `correction=`, what is added to d before it is mixed."""

    def init(params: PyTree) -> MomentumState:
        return MomentumState(jax.tree.map(jnp.zeros_like, params), params, jnp.zeros(()))

    def update(updates: PyTree, state: MomentumState, params: PyTree, *, correction: PyTree = None, **_: Any) -> tuple:
        rate = momentum_rate(state, power)
        kept = state.direction if correction is None else optax.tree.add(state.direction, correction)
        direction = jax.tree.map(lambda d, g: (1.0 - rate) * d + rate * g, kept, updates)
        scale = -step / (state.count + 2.0) / jnp.maximum(optax.global_norm(direction), 1e-12)
        return optax.tree.scale(scale, direction), MomentumState(direction, params, state.count + 1.0)

    return optax.GradientTransformationExtraArgs(init, update)


def momentum_rate(state: MomentumState, power: float) -> Float[Array, ""]:
    """ηₜ."""
    return (2.0 / (state.count + 2.0)) ** power


def transported(state: MomentumState, params: PyTree, power: float) -> PyTree:
    """Where N-PG-IGT wants its gradient: θ + (1 − η)/η (θ − θ₋)."""
    rate = momentum_rate(state, power)
    return jax.tree.map(lambda now, before: now + (1.0 - rate) / rate * (now - before), params, state.previous)


def log_gaussian(gain: Float[Array, "action state"], trajectory: Trajectory) -> Float[Array, " time"]:
    """log π(a | s) of a = −K s + σ ε, up to a constant."""
    return -0.5 * jnp.sum((trajectory.actions + trajectory.states @ gain.T) ** 2, axis=-1) / DEVIATION**2


def sample(key: PRNGKeyArray, gain: Float[Array, "action state"]) -> Trajectory:
    """An episode of the regulator with costs |s|² + |a|²/5 less a constant, from s ~ N(0, I)."""
    start, noise = jax.random.split(key)

    def body(state: Array, draw: Array) -> tuple[Array, Trajectory]:
        action = -gain @ state + DEVIATION * draw
        cost = state @ state + 0.2 * action @ action - SHIFT
        return DYNAMICS @ state + CONTROL @ action, Trajectory(state, action, cost)

    return jax.lax.scan(body, jax.random.normal(start, (2,)), jax.random.normal(noise, (HORIZON, ACTIONS)))[1]


def expected_cost(gain: Float[Array, "action state"]) -> Float[Array, ""]:
    """The same exactly, from second moments."""
    closed, total, moment = DYNAMICS - CONTROL @ gain, 0.0, jnp.eye(2)
    for t in range(HORIZON):
        cost = jnp.trace(moment) + 0.2 * (jnp.trace(gain @ moment @ gain.T) + ACTIONS * DEVIATION**2)
        total += DISCOUNT**t * (cost - SHIFT)
        moment = closed @ moment @ closed.T + DEVIATION**2 * CONTROL @ CONTROL.T
    return total


def optimal_cost() -> Float[Array, ""]:
    """The least, by Newton steps."""
    flat = lambda x: expected_cost(x.reshape(ACTIONS, STATES))  # noqa: E731
    newton = lambda x, _: (x - jnp.linalg.solve(jax.hessian(flat)(x), jax.grad(flat)(x)), None)  # noqa: E731
    near = jax.lax.fori_loop(0, 200, lambda _, x: x - 0.01 * jax.grad(flat)(x), jnp.zeros(ACTIONS * STATES))
    return flat(jax.lax.scan(newton, near, None, 8)[0])


def curve(method: str, key: PRNGKeyArray, step: Float[Array, ""]) -> Float[Array, " checkpoint"]:
    """Gaps at powers of two of trajectories, means over the quarter of the run before them."""
    power = {"plain": 0.0, "igt": 0.8, "harpg": 1.0}[method]
    spent = 2 if method == "harpg" else 1
    optimiser = normalised_momentum(step, power)
    if method == "plain":
        optimiser = optax.scale_by_schedule(lambda count: -step / 30.0 * (count + 2.0) ** (-2 / 3))

    def body(carry: tuple, key: PRNGKeyArray) -> tuple[tuple, Array]:
        gain, state = carry
        first, second, third = jax.random.split(key, 3)
        at = transported(state, gain, power) if method == "igt" else gain
        extra = {}
        if method == "harpg":
            between = gain + jax.random.uniform(third) * (state.previous - gain)
            v = gain - state.previous
            extra["correction"] = hessian_product(log_gaussian, between, sample(second, between), v)
        updates, state = optimiser.update(gradient(log_gaussian, at, sample(first, at)), state, gain, **extra)
        # An unstable loop would cost infinitely much and end the run.
        gain = jnp.clip(gain + updates, -1.0, 1.5)
        return (gain, state), expected_cost(gain)

    first = jnp.zeros((ACTIONS, STATES))
    costs = jax.lax.scan(body, (first, optimiser.init(first)), jax.random.split(key, TRAJECTORIES // spent))[1]
    ends = [2**i // spent for i in range(int(np.log2(TRAJECTORIES)) - 4, int(np.log2(TRAJECTORIES)) + 1)]
    return jnp.stack([costs[3 * end // 4 : end].mean() for end in ends]) - optimal_cost()


def measure() -> Measured:
    """Slopes of log gap over log n, each of a group of runs, at the step size with the least last gap."""
    keys, steps = jax.random.split(jax.random.key(0), RUNS), jnp.array(STEPS)
    slopes, last, each = {}, {}, {}
    for method in ("plain", "igt", "harpg"):
        run = jax.jit(jax.vmap(jax.vmap(partial(curve, method), (0, None)), (None, 0)))
        gaps = np.asarray(run(keys, steps)).reshape(len(STEPS), GROUPS, RUNS // GROUPS, -1).mean(2)
        best = gaps[:, :, -1].mean(1).argmin()
        logs = np.log(gaps)
        fitted = [np.polyfit(np.log(2.0) * np.arange(5), one.T, 1)[0] for one in logs]
        slopes[method], each[method] = fitted[best], ", ".join(f"{slope.mean():.2f}" for slope in fitted)
        last[method] = (STEPS[best], gaps[best, :, -1].mean())
    plain, igt, harpg = (f"{last[m][1]:.2g} ({last[m][0]:g})" for m in ("plain", "igt", "harpg"))
    note = (
        f"Gaps after {TRAJECTORIES} trajectories at the best step size: plain {plain}, N-PG-IGT {igt}, N-HARPG "
        f"{harpg}. Slopes over the last factor of 16 at step sizes {', '.join(map(str, STEPS))} (a thirtieth for "
        f"plain): plain {each['plain']}; N-PG-IGT {each['igt']}; N-HARPG {each['harpg']}. At the best step sizes all "
        "are still on their way to the minimum, which is smooth, so that the worst-case order does not decide; where "
        f"the step is large enough for noise to rule, slopes should be -0.67, -0.80 and -1. {GROUPS} groups of "
        f"{RUNS // GROUPS} runs."
    )
    order = above(slopes["plain"], slopes["igt"]) and above(slopes["plain"], slopes["harpg"])
    return Measured(slopes["harpg"], slopes["plain"], order, note)


ROW = Row(
    "S022",
    "Stochastic Policy Gradient Methods: Improved Sample Complexity for Fisher-non-degenerate Policies",
    "Linear-quadratic regulator: gaps of both fall more steeply with the number of trajectories than the plain "
    "gradient's",
    "slope of N-HARPG, log gap over log n",
    "slope of the plain gradient",
    measure,
)
