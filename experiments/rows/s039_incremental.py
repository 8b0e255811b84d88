"""IWOCS: a robust policy from a growing set of static decision processes.

Zouitine et al., 2024 (arXiv 2406.08406), section 4: with models T₀ … Tᵢ already there, the candidate policy is greedy
in minⱼ Qⱼ(s, a), the least of their optimal action values; a search finds the parameters under which that policy does
worst; the optimal action values there join the set. A policy that is greedy
in the least of all is robust if one model is the worst of all at once, and an approximation otherwise.

A pole on a pivot with uncertain weight, wind and motor (three parameters); state and action are discretised for value
iteration, and policies act in the continuous model between the grid points. The adversary is a small evolution strategy
over parameters. Compared with domain randomisation: value iteration on the mean of as many random models.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.rows.base import Measured, Row, above
from jaxrl.types import Array, Float, Int, PRNGKeyArray

ANGLES, SPEEDS, ACTIONS, SEEDS = 25, 25, 5, 8
MAX_ANGLE, MAX_SPEED, TIME, DISCOUNT, SWEEPS, HORIZON = 0.6, 2.5, 0.08, 0.98, 150, 150
MODELS, POPULATION, GENERATIONS, STARTS = 8, 16, 6, 8
FORCES = jnp.linspace(-1.0, 1.0, ACTIONS)


class Grid(NamedTuple):
    """Corners and weights of bilinear interpolation at points."""

    corner: Int[Array, "*batch 4"]
    weight: Float[Array, "*batch 4"]


def physics(state: Float[Array, "*batch 2"], force: Float[Array, "*batch"], model: Float[Array, "3"]) -> Array:
    """Angle and speed after a step; parameters in [0, 1]: gravity over length 3 … 9, motor 8 … 3, wind −1.5 … 1.5."""
    gravity, motor, wind = 3.0 + 6.0 * model[0], 8.0 - 5.0 * model[1], 3.0 * model[2] - 1.5
    acceleration = gravity * jnp.sin(state[..., 0]) + motor * force + wind
    speed = state[..., 1] + TIME * acceleration
    return jnp.stack([state[..., 0] + TIME * speed, speed], -1)


def fallen(state: Float[Array, "*batch 2"]) -> Array:
    """Beyond the angle or the speed of the grid."""
    return (jnp.abs(state[..., 0]) > MAX_ANGLE) | (jnp.abs(state[..., 1]) > MAX_SPEED)


def reward(state: Float[Array, "*batch 2"], force: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """1 upright, less at an angle or with force; nothing once fallen."""
    upright = 1.0 - (state[..., 0] / MAX_ANGLE) ** 2 - 0.1 * force**2
    return jnp.where(fallen(state), 0.0, upright)


def interpolation(state: Float[Array, "*batch 2"]) -> Grid:
    """Where a point lies in the grid of `nodes`."""
    scaled = (state / jnp.array([MAX_ANGLE, MAX_SPEED]) + 1.0) / 2.0 * jnp.array([ANGLES - 1.0, SPEEDS - 1.0])
    scaled = jnp.clip(scaled, 0.0, jnp.array([ANGLES - 1.001, SPEEDS - 1.001]))
    low = jnp.floor(scaled).astype(jnp.int32)
    part = scaled - low
    corners, weights = [], []
    for i in (0, 1):
        for j in (0, 1):
            corners.append((low[..., 0] + i) * SPEEDS + low[..., 1] + j)
            one = (part[..., 0] if i else 1.0 - part[..., 0]) * (part[..., 1] if j else 1.0 - part[..., 1])
            weights.append(one)
    return Grid(jnp.stack(corners, -1), jnp.stack(weights, -1))


def nodes() -> Float[Array, "node 2"]:
    """All grid points."""
    angle, speed = jnp.linspace(-MAX_ANGLE, MAX_ANGLE, ANGLES), jnp.linspace(-MAX_SPEED, MAX_SPEED, SPEEDS)
    return jnp.stack(jnp.meshgrid(angle, speed, indexing="ij"), -1).reshape(-1, 2)


def optimal(models: Float[Array, "model 3"]) -> Float[Array, "node action"]:
    """Optimal action values at grid points under the mean of the transitions of several models."""
    state = nodes()[:, None, :]
    after = jax.vmap(lambda model: physics(state, FORCES, model))(models)
    grid, over = interpolation(after), fallen(after)
    paid = reward(jnp.broadcast_to(state, (len(nodes()), ACTIONS, 2)), FORCES)

    def body(values: Array, _: None) -> tuple[Array, None]:
        next_values = jnp.where(over, 0.0, jnp.sum(grid.weight * values[grid.corner], -1))
        return (paid + DISCOUNT * next_values.mean(0)).max(-1), None

    values = jax.lax.scan(body, jnp.zeros(len(nodes())), None, SWEEPS)[0]
    next_values = jnp.where(over, 0.0, jnp.sum(grid.weight * values[grid.corner], -1))
    return paid + DISCOUNT * next_values.mean(0)


def returns(critic: Float[Array, "node action"], model: Float[Array, "3"]) -> Float[Array, ""]:
    """Undiscounted return of the greedy policy in the continuous model, the mean over fixed starts, over the "
    "horizon."""

    def body(carry: tuple, _: None) -> tuple[tuple, Array]:
        state, alive = carry
        grid = interpolation(state)
        force = FORCES[jnp.sum(grid.weight[..., None] * critic[grid.corner], -2).argmax(-1)]
        paid = jnp.where(alive, reward(state, force), 0.0)
        state = physics(state, force, model)
        return (state, alive & ~fallen(state)), paid

    angle = jnp.linspace(-0.3, 0.3, STARTS)
    start = jnp.stack([angle, jnp.zeros(STARTS)], -1)
    return jax.lax.scan(body, (start, jnp.ones(STARTS, bool)), None, HORIZON)[1].sum(0).mean() / HORIZON


def worst_model(key: PRNGKeyArray, critic: Float[Array, "node action"]) -> Float[Array, "3"]:
    """The parameters within [0, 1]³ where the greedy policy does worst, by a Gaussian search from random points."""

    def body(carry: tuple, key: PRNGKeyArray) -> tuple[tuple, None]:
        mean, deviation, best, least = carry
        points = jnp.clip(mean + deviation * jax.random.normal(key, (POPULATION, 3)), 0.0, 1.0)
        scores = jax.vmap(returns, (None, 0))(critic, points)
        elite = points[jnp.argsort(scores)[: POPULATION // 4]]
        lower = scores.min() < least
        best = jnp.where(lower, points[scores.argmin()], best)
        return (
            elite.mean(0),
            0.5 * deviation + 0.5 * elite.std(0) + 0.02,
            best,
            jnp.minimum(least, scores.min()),
        ), None

    first = (jnp.full(3, 0.5), jnp.full(3, 0.5), jnp.full(3, 0.5), jnp.array(jnp.inf))
    return jax.lax.scan(body, first, jax.random.split(key, GENERATIONS))[0][2]


def robust(key: PRNGKeyArray) -> tuple[Float[Array, "node action"], Float[Array, "model 3"], Float[Array, " model"]]:
    """The least of all critics, the models in the order in which they joined, and the worst return before each."""

    def body(critic: Array, key: PRNGKeyArray) -> tuple[Array, tuple]:
        model = worst_model(key, critic)
        return jnp.minimum(critic, optimal(model[None])), (model, returns(critic, model))

    critic, (models, worst) = jax.lax.scan(body, optimal(jnp.full((1, 3), 0.5)), jax.random.split(key, MODELS - 1))
    return critic, models, worst


def randomised(key: PRNGKeyArray) -> Float[Array, "node action"]:
    """Optimal action values when every step is drawn from one of as many random models."""
    return optimal(jax.random.uniform(key, (MODELS, 3)))


def every_model(points: int = 9) -> Float[Array, "model 3"]:
    """A grid over the parameters."""
    axis = jnp.linspace(0.0, 1.0, points)
    return jnp.stack(jnp.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def measure() -> Measured:
    """Worst returns over the grid of parameters."""
    keys = jax.random.split(jax.random.key(0), SEEDS)
    found, _, worst = jax.jit(jax.vmap(robust))(keys)
    critics = {"robust": found, "randomised": jax.jit(jax.vmap(randomised))(keys)}
    critics["nominal"] = optimal(jnp.full((1, 3), 0.5))[None]
    over_grid = jax.jit(jax.vmap(jax.vmap(returns, (None, 0)), (0, None)))
    table = {name: np.asarray(over_grid(critic, every_model())) for name, critic in critics.items()}
    least = {name: scores.min(1) for name, scores in table.items()}
    along = np.asarray(worst).mean(0)
    note = (
        f"Return per step over {len(every_model())} models, worst (mean): IWOCS {least['robust'].mean():.3f} "
        f"({table['robust'].mean():.3f}), randomisation {least['randomised'].mean():.3f} "
        f"({table['randomised'].mean():.3f}), nominal {least['nominal'].mean():.3f} ({table['nominal'].mean():.3f}). "
        f"Worst that the search finds before each new model: {', '.join(f'{x:.2f}' for x in along)}."
    )
    return Measured(least["robust"], least["randomised"], above(least["robust"], least["randomised"]), note)


ROW = Row(
    "S039",
    "Solving Robust MDPs as a Sequence of Static RL Problems",
    "Pole of uncertain weight, wind and motor: worst return over a grid of models above domain randomisation's",
    "worst return, IWOCS",
    "worst return, domain randomisation",
    measure,
)
