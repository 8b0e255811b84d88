"""PROTECTED: a small set of non-dominated policies, and a bandit among them at test time.

Liu et al., 2024 (arXiv 2402.12673), sections 4 and 5. An attacker ν shows the policy another state nearby. Policies
join the set Π one by one, each the solution of

    max_π max_ν J(π, ν) − max_{π' ∈ Π} J(π', ν),

so that it is the best answer to some attack for which Π has none (algorithm 1); at test time EXP3 picks one of them for
each episode (section 4). Compared with the one policy that is best against its worst attack, max_π min_ν J(π, ν).

Grids with pits and a goal; an attacker may show any neighbouring cell. Returns are exact, and so is the worst attack on
a policy, which is the solution of the attacker's own decision process; policies and attacks are found by gradient
ascent.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.rows.base import Measured, Row, above
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

ROWS, COLUMNS, ACTIONS, HORIZON, PITS, SEEDS = 4, 5, 4, 14, 3, 8
CELLS = ROWS * COLUMNS
POLICIES, STARTS, STEPS, RATE = 5, 4, 200, 0.2
ROUNDS, NOISE, WEAK = 4000, 0.3, 0.3


class World(NamedTuple):
    """`after[cell, action, cell]`, what arriving pays, and where episodes end."""

    after: Float[Array, "cell action cell"]
    reward: Float[Array, " cell"]
    over: Float[Array, " cell"]


def neighbours() -> Float[np.ndarray, "cell cell"]:
    """1 for cells at most one step apart, the same included."""
    cells = np.stack(np.divmod(np.arange(CELLS), COLUMNS), -1)
    return (np.abs(cells[:, None] - cells).sum(-1) <= 1).astype(np.float32)


def world(key: PRNGKeyArray) -> World:
    """Pits at random that pay −1, a goal in the last corner that pays 1; a tenth of the moves go astray."""
    # Not beside the start or the goal.
    inner = [cell for cell in range(CELLS) if not neighbours()[[0, CELLS - 1], cell].any()]
    free = jax.random.permutation(key, jnp.array(inner))[:PITS]
    reward = jnp.zeros(CELLS).at[free].set(-1.0).at[CELLS - 1].set(1.0)
    cells = np.stack(np.divmod(np.arange(CELLS), COLUMNS), -1)
    target = np.clip(cells[:, None] + [(-1, 0), (1, 0), (0, -1), (0, 1)], 0, [ROWS - 1, COLUMNS - 1])
    move = np.eye(CELLS)[target[..., 0] * COLUMNS + target[..., 1]]
    after = 0.9 * move + 0.1 * move.mean(1, keepdims=True)
    return World(jnp.asarray(after, jnp.float32), reward - 0.02, (reward != 0).astype(jnp.float32))


def value(world: World, policy: Float[Array, "cell action"], attack: Float[Array, "cell cell"]) -> Float[Array, ""]:
    """J(π, ν): the return from cell 0 of a policy that sees cell o with probability ν(o | s)."""
    acting = attack @ policy
    step = jnp.einsum("sa,sat->st", acting, world.after)

    def body(values: Array, _: None) -> tuple[Array, None]:
        return step @ (world.reward + (1.0 - world.over) * values), None

    return jax.lax.scan(body, jnp.zeros(CELLS), None, HORIZON)[0][0]


def worst_attack(world: World, policy: Float[Array, "cell action"]) -> Float[Array, "cell cell"]:
    """The stationary attack that is optimal in the attacker's own, long, decision process."""
    near = jnp.asarray(neighbours())

    def costs(values: Array) -> Array:
        by_action = jnp.einsum("sat,t->sa", world.after, world.reward + 0.98 * (1.0 - world.over) * values)
        return jnp.where(near > 0, by_action @ policy.T, jnp.inf)

    values = jax.lax.fori_loop(0, 60, lambda _, v: costs(v).min(1), jnp.zeros(CELLS))
    return jax.nn.one_hot(costs(values).argmin(1), CELLS)


def as_attack(logits: Float[Array, "cell cell"]) -> Float[Array, "cell cell"]:
    """Probabilities of what is shown, neighbours alone."""
    return jax.nn.softmax(jnp.where(neighbours() > 0, logits, -jnp.inf))


def ascend(objective: Callable[[PyTree], Array], first: PyTree) -> PyTree:
    """Adam on parameters, for `STEPS` steps."""
    optimiser = optax.adam(RATE)

    def body(carry: tuple, _: None) -> tuple[tuple, None]:
        params, state = carry
        updates, state = optimiser.update(jax.grad(lambda p: -objective(p))(params), state)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(body, (first, optimiser.init(first)), None, STEPS)[0][0]


def natural(world: World) -> Float[Array, "cell action"]:
    """The best policy where nobody attacks."""
    found = ascend(lambda logits: value(world, jax.nn.softmax(logits), jnp.eye(CELLS)), jnp.zeros((CELLS, ACTIONS)))
    return jax.nn.softmax(found)


def minimax(world: World) -> Float[Array, "cell action"]:
    """The best policy against its worst attack; of the iterates, the one that is best so."""
    optimiser = optax.adam(0.05)

    def robust(logits: Array) -> Array:
        policy = jax.nn.softmax(logits)
        return value(world, policy, jax.lax.stop_gradient(worst_attack(world, policy)))

    def body(carry: tuple, _: None) -> tuple[tuple, None]:
        logits, state, best, most = carry
        score, slope = jax.value_and_grad(robust)(logits)
        best, most = jnp.where(score > most, logits, best), jnp.maximum(score, most)
        updates, state = optimiser.update(-slope, state)
        return (logits + updates, state, best, most), None

    zeros = jnp.zeros((CELLS, ACTIONS))
    first = (zeros, optimiser.init(zeros), zeros, jnp.array(-jnp.inf))
    return jax.nn.softmax(jax.lax.scan(body, first, None, 3 * STEPS)[0][2])


def discover(key: PRNGKeyArray, world: World) -> tuple[Float[Array, "policy cell action"], Float[Array, " policy"]]:
    """The set, the natural policy first, and by how much each was better than those before at some attack."""

    def ahead(params: dict, known: Array, mask: Array) -> Array:
        attack = as_attack(params["attack"])
        others = jnp.where(mask, jax.vmap(value, (None, 0, None))(world, known, attack), -jnp.inf)
        return value(world, jax.nn.softmax(params["policy"]), attack) - others.max()

    def search(key: PRNGKeyArray, known: Array, mask: Array) -> tuple[Array, Array]:
        keys = jax.random.split(key)
        shapes = {"policy": (CELLS, ACTIONS), "attack": (CELLS, CELLS)}
        first = {name: jax.random.normal(k, shape) for k, (name, shape) in zip(keys, shapes.items())}
        found = ascend(lambda params: ahead(params, known, mask), first)
        return jax.nn.softmax(found["policy"]), ahead(found, known, mask)

    def body(known: Array, inputs: tuple) -> tuple[Array, Array]:
        index, key = inputs
        mask = jnp.arange(POLICIES) < index
        policies, scores = jax.vmap(search, (0, None, None))(jax.random.split(key, STARTS), known, mask)
        return known.at[index].set(policies[scores.argmax()]), scores.max()

    first = jnp.zeros((POLICIES, CELLS, ACTIONS)).at[0].set(natural(world))
    inputs = (jnp.arange(1, POLICIES), jax.random.split(key, POLICIES - 1))
    return jax.lax.scan(body, first, inputs)


def exp3(key: PRNGKeyArray, means: Float[Array, "round arm"]) -> Float[Array, " round"]:
    """Expected returns of the arms that EXP3 picks; it sees noisy ones, cut to [−1.5, 1.5]."""
    arms = means.shape[1]
    rate = jnp.sqrt(2.0 * jnp.log(arms) / (ROUNDS * arms))

    def body(losses: Array, inputs: tuple) -> tuple[Array, Array]:
        key, mean = inputs
        pick, noise = jax.random.split(key)
        chance = jax.nn.softmax(-rate * losses)
        arm = jax.random.categorical(pick, jnp.log(chance))
        seen = jnp.clip(mean[arm] + NOISE * jax.random.normal(noise), -1.5, 1.5)
        return losses.at[arm].add((1.5 - seen) / 3.0 / chance[arm]), mean[arm]

    return jax.lax.scan(body, jnp.zeros(arms), (jax.random.split(key, ROUNDS), means))[1]


def run(key: PRNGKeyArray) -> dict[str, Array]:
    """Mean returns of EXP3 and of the minimax policy under each attack, and regrets along the rounds."""
    world_key, search_key, bandit_key = jax.random.split(key, 3)
    grid = world(world_key)
    policies, ahead = discover(search_key, grid)
    robust = minimax(grid)
    strong, nobody = worst_attack(grid, policies[0]), jnp.eye(CELLS)
    attacks = jnp.stack([nobody, (1.0 - WEAK) * nobody + WEAK * strong, strong, worst_attack(grid, robust)])
    over_attacks = jax.vmap(value, (None, None, 0))
    table = jax.vmap(over_attacks, (None, 0, None))(grid, policies, attacks).T
    # The last scenario switches between no attack and the strong one.
    switching = jnp.where((jnp.arange(ROUNDS) // 500 % 2 == 0)[:, None], table[0], table[2])
    fixed = jnp.broadcast_to(table[:, None], (len(attacks), ROUNDS, POLICIES))
    scenarios = jnp.concatenate([fixed, switching[None]])
    got = jax.vmap(exp3)(jax.random.split(bandit_key, len(scenarios)), scenarios)
    regret = jnp.cumsum(scenarios, 1).max(-1) - jnp.cumsum(got, 1)
    of_robust = over_attacks(grid, robust, attacks)
    of_robust = jnp.append(of_robust, 0.5 * (of_robust[0] + of_robust[2]))
    return {"bandit": got.mean(1), "minimax": of_robust, "regret": regret, "ahead": ahead, "best": table.max(1)}


def measure() -> Measured:
    """Returns where nobody attacks, and under the attacks."""
    found = jax.device_get(jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), SEEDS)))
    regret = found["regret"].mean(0)
    rounds = np.arange(500, ROUNDS + 1)
    slopes = [np.polyfit(np.log(rounds), np.log(np.maximum(one[499:], 1e-2)), 1)[0] for one in regret]
    names = ("none", "weak", "strong", "strong against minimax", "switching")
    shown = "; ".join(
        f"{name} {a:.2f} and {b:.2f}" for name, a, b in zip(names, found["bandit"].mean(0), found["minimax"].mean(0))
    )
    note = (
        f"Mean returns of EXP3 and of the minimax policy under attacks: {shown}. Regret to the best of the set grows "
        f"as rounds to the power {', '.join(f'{s:.2f}' for s in slopes)}; {POLICIES} policies, each ahead of those "
        f"before by {', '.join(f'{x:.2f}' for x in found['ahead'].mean(0))} at some attack."
    )
    value, baseline = found["bandit"][:, 0], found["minimax"][:, 0]
    return Measured(value, baseline, above(value - baseline, 0.0) and max(slopes) < 0.9, note)


ROW = Row(
    "S040",
    "Beyond Worst-case Attacks: Robust RL with Adaptive Defense via Non-dominated Policies",
    "Attacked grids: regret grows with a power of the rounds below 0.9; return without attack above the minimax "
    "policy's",
    "return without attack, EXP3 on the set",
    "return without attack, minimax policy",
    measure,
)
