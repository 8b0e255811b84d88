"""SQIRL and the effective horizon: how hard a few steps of fitted Q-iteration find a layout, and how hard PPO does.

Laidlaw et al., 2024 (arXiv 2312.08369), sections 3 and 4. Q¹ is the action value of the uniformly random policy and
Qⁱ⁺¹ = r + E[max Qⁱ]; an environment is k-QVI-solvable if acting greedily on Qᵏ is optimal. SQIRL (algorithm 1) gives
the policy of one time step after another: m episodes follow what is found and act at random afterwards; Q¹ of k - 1
steps later is regressed on their returns, and k - 1 regressions bring it back.

Layouts are 6x6 grids with walls, a goal and a decoy that end the episode; with probability 1/4 the action before is
repeated. A state is a cell and that action; the regressor is a table. PPO is jaxrl's, with a table.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr

import jaxrl
from experiments.rows.base import Measured, Row, above
from jaxrl.environments.base import Environment, EnvironmentSpec, Timestep
from jaxrl.environments.spaces import Discrete
from jaxrl.types import Array, Bool, Float, Int, PRNGKeyArray

SIZE, ACTIONS, HORIZON, STICKY = 6, 4, 10, 0.25
CELLS, STATES = SIZE * SIZE, SIZE * SIZE * (ACTIONS + 1)
MOVES = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
LAYOUTS, SEEDS, LONGEST = 20, 6, 4
EPISODES = (4, 8, 16, 32, 64, 128, 256, 512)
ENOUGH = 0.95  # of the optimal return: solved


class Layout(NamedTuple):
    """`after[cell, action]` and what arriving in a cell pays; cells that pay end the episode."""

    after: Int[Array, "cell action"]
    reward: Float[Array, " cell"]
    start: Int[Array, ""]


def layouts(seed: int, count: int) -> tuple[Layout, Int[np.ndarray, " layout"]]:
    """Layouts whose goal can be reached in time, and their numbers of free cells."""
    generator, found = np.random.default_rng(seed), []
    while len(found) < count:
        walls = generator.random(CELLS) < generator.uniform(0.0, 0.3)
        start, goal, decoy = generator.choice(np.flatnonzero(~walls), 3, replace=False)
        cells = np.stack(np.divmod(np.arange(CELLS), SIZE), -1)
        target = cells[:, None] + MOVES
        inside = (target >= 0).all(-1) & (target < SIZE).all(-1)
        index = np.where(inside, target[..., 0] * SIZE + target[..., 1], np.arange(CELLS)[:, None])
        after = np.where(walls[index], np.arange(CELLS)[:, None], index)
        reached = {start}
        for _ in range(HORIZON - 2):
            reached |= {int(cell) for at in reached - {goal, decoy} for cell in after[at]}
        if goal not in reached:
            continue
        reward = np.zeros(CELLS, np.float32)
        reward[goal], reward[decoy] = 1.0, generator.uniform(0.1, 0.6)
        found.append((Layout(after.astype(np.int32), reward, np.int32(start)), int((~walls).sum())))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *(layout for layout, _ in found)), np.array(
        [free for _, free in found]
    )


def move(
    layout: Layout, state: Int[Array, "*batch"], action: Int[Array, "*batch"], repeats: Bool[Array, "*batch"]
) -> tuple[Int[Array, "*batch"], Float[Array, "*batch"]]:
    """The next state and the reward; where the episode has ended nothing changes."""
    cell, before = state // (ACTIONS + 1), state % (ACTIONS + 1)
    taken = jnp.where(repeats & (before > 0), before - 1, action)
    over = layout.reward[cell] > 0
    after = layout.after[cell, taken]
    return jnp.where(over, state, after * (ACTIONS + 1) + taken + 1), jnp.where(over, 0.0, layout.reward[after])


def backup(layout: Layout, values: Float[Array, " state"]) -> Float[Array, "state action"]:
    """Q(s, a) = E[r + V(s')]."""
    state, action = jnp.mgrid[:STATES, :ACTIONS]
    total = jnp.zeros((STATES, ACTIONS))
    for repeats, probability in ((False, 1.0 - STICKY), (True, STICKY)):
        after, reward = move(layout, state, action, jnp.full(state.shape, repeats))
        total += probability * (reward + values[after])
    return total


def plan(layout: Layout, mix: Float[Array, "time state action"] | None = None) -> Float[Array, "time state action"]:
    """Action values with t steps gone: of the policy `mix`, or the optimal ones."""
    values, found = jnp.zeros(STATES), []
    for t in reversed(range(HORIZON)):
        found.append(backup(layout, values))
        values = found[-1].max(-1) if mix is None else (mix[t] * found[-1]).sum(-1)
    return jnp.stack(found[::-1])


def value(layout: Layout, policy: Float[Array, "time state action"]) -> Float[Array, ""]:
    """Expected return of a policy from the start."""
    return (policy[0] * plan(layout, policy)[0])[layout.start * (ACTIONS + 1)].sum()


def greedy(values: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
    """The policy that takes the first best action."""
    return jax.nn.one_hot(values.argmax(-1), ACTIONS)


def deepened(layout: Layout, steps: int) -> Float[Array, "time state action"]:
    """Qᵏ: `steps` = k - 1 optimal backups of the random policy's action values."""
    values = plan(layout, jnp.full((HORIZON, STATES, ACTIONS), 1.0 / ACTIONS))
    for _ in range(steps):
        later = jnp.concatenate([values[1:].max(-1), jnp.zeros((1, STATES))])
        values = jax.vmap(backup, (None, 0))(layout, later)
    return values


def sqirl(key: PRNGKeyArray, layout: Layout, k: Int[Array, ""], episodes: int) -> Float[Array, "time state action"]:
    """The policy that algorithm 1 finds with `episodes` episodes for each time step, k at most `LONGEST`."""

    def rollout(key: PRNGKeyArray, policy: Array, known: Array) -> tuple[Array, Array, Array]:
        draws, sticks = jax.random.split(key)
        random = jax.random.randint(draws, (HORIZON, episodes), 0, ACTIONS)
        repeats = jax.random.uniform(sticks, (HORIZON, episodes)) < STICKY

        def body(state: Array, inputs: tuple) -> tuple[Array, tuple]:
            t, drawn, repeat = inputs
            action = jnp.where(t < known, policy[t, state], drawn)
            after, reward = move(layout, state, action, repeat)
            return after, (state, action, reward)

        start = jnp.full(episodes, layout.start * (ACTIONS + 1))
        return jax.lax.scan(body, start, (jnp.arange(HORIZON), random, repeats))[1]

    def improve(policy: Array, inputs: tuple) -> tuple[Array, None]:
        now, key = inputs
        states, actions, rewards = rollout(key, policy, now)
        leaf = jnp.minimum(now + k - 1, HORIZON - 1)
        to_go = jnp.cumsum(rewards[::-1], axis=0)[::-1]
        table = regress(states[leaf], actions[leaf], to_go[leaf])
        for j in range(1, LONGEST):
            t = jnp.maximum(leaf - j, 0)
            target = rewards[t] + table[states[t + 1]].max(-1)
            table = jnp.where(leaf - j >= now, regress(states[t], actions[t], target), table)
        return policy.at[now].set(table.argmax(-1)), None

    first = jnp.zeros((HORIZON, STATES), jnp.int32)
    keys = jax.random.split(key, HORIZON)
    return jax.nn.one_hot(jax.lax.scan(improve, first, (jnp.arange(HORIZON), keys))[0], ACTIONS)


def regress(
    states: Int[Array, " sample"], actions: Int[Array, " sample"], targets: Float[Array, " sample"]
) -> Float[Array, "state action"]:
    """Least squares in a table: means, 0 where there is no sample."""
    zeros = jnp.zeros((STATES, ACTIONS))
    count = zeros.at[states, actions].add(1.0)
    return zeros.at[states, actions].add(targets) / jnp.maximum(count, 1.0)


def environment(layout: Layout) -> Environment:
    """The same as an environment, whose parameters are a layout."""

    def reset(key: PRNGKeyArray, params: Layout) -> tuple:
        state = params.start * (ACTIONS + 1)
        return (state, jnp.zeros((), jnp.int32)), state

    def step(key: PRNGKeyArray, state: tuple, action: Array, params: Layout) -> tuple:
        after, reward = move(params, state[0], action, jax.random.uniform(key) < STICKY)
        over = params.reward[after // (ACTIONS + 1)] > 0
        late = state[1] + 1 >= HORIZON
        return (after, state[1] + 1), Timestep(after, reward[None], over | late, jnp.zeros((), bool), {})

    spec = EnvironmentSpec("rows/sticky", Discrete(STATES), Discrete(ACTIONS), time_limit=HORIZON)
    return Environment(reset, step, layout, spec)


def steps_of_ppo(layouts: Layout, best: Float[Array, " layout"], total_steps: int) -> Float[Array, "layout seed"]:
    """Steps after which PPO's greedy policy is first good enough; infinite where it never is."""
    one = jax.tree.map(lambda leaf: leaf[0], layouts)
    settings = {"num_envs": 16, "num_steps": 20, "network": "table", "learning_rate": 0.02, "discount": 1.0}
    trainer = jaxrl.trainer("ppo", environment(one), total_steps=total_steps, num_evaluations=1, **settings)

    def run(layout: Layout, key: PRNGKeyArray) -> Array:
        hyperparameters = trainer.hyperparameters._replace(environment=layout)

        def body(state: tuple, index: Array) -> tuple:
            state, _ = trainer.step(state, hyperparameters, index)
            policy = greedy(state.agent.params["actor"])
            return state, value(layout, jnp.broadcast_to(policy, (HORIZON, STATES, ACTIONS)))

        return jax.lax.scan(body, trainer.init(key, hyperparameters), jnp.arange(trainer.num_iterations))[1]

    keys = jax.random.split(jax.random.key(1), SEEDS)
    curves = jax.jit(jax.vmap(jax.vmap(run, (None, 0)), (0, None)))(layouts, keys)
    solved = np.asarray(curves) >= ENOUGH * np.asarray(best)[:, None, None]
    first = np.where(solved.any(-1), solved.argmax(-1) + 1.0, np.inf)
    return first * total_steps / trainer.num_iterations


def steps_of_sqirl(layouts: Layout, best: Float[Array, " layout"]) -> Float[Array, "layout seed"]:
    """Steps for the least number of episodes, over all k, with which it is good enough."""
    keys = jax.random.split(jax.random.key(2), SEEDS)
    needed = np.full((len(best), SEEDS), np.inf)
    for episodes in EPISODES[::-1]:

        def run(layout: Layout, key: PRNGKeyArray, k: Array, episodes: int = episodes) -> Array:
            return value(layout, sqirl(key, layout, k, episodes))

        mapped = jax.vmap(jax.vmap(jax.vmap(run, (None, None, 0)), (None, 0, None)), (0, None, None))
        found = np.asarray(jax.jit(mapped)(layouts, keys, jnp.arange(1, LONGEST + 1)))
        solved = (found >= ENOUGH * np.asarray(best)[:, None, None]).any(-1)
        needed = np.where(solved, episodes * HORIZON * HORIZON, needed)
    return needed


def measure() -> Measured:
    """Rank correlation over layouts of what SQIRL and PPO need, and of PPO with the number of states."""
    made, free = layouts(0, LAYOUTS)
    best = jax.jit(jax.vmap(lambda layout: plan(layout)[0, layout.start * (ACTIONS + 1)].max()))(made)
    by_k = jax.jit(jax.vmap(lambda one: jnp.stack([value(one, greedy(deepened(one, i))) for i in range(HORIZON)])))
    exact = np.asarray(by_k(made)) >= 0.999 * np.asarray(best)[:, None]
    k = np.where(exact.any(1), exact.argmax(1) + 1, HORIZON + 1)
    sqirls, ppos = steps_of_sqirl(made, best), steps_of_ppo(made, best, 48_000)
    of_sqirl = np.array([spearmanr(sqirls[:, i], ppos[:, i])[0] for i in range(SEEDS)])
    of_states = np.array([spearmanr(free, ppos[:, i])[0] for i in range(SEEDS)])
    agree = float((np.isfinite(sqirls) == np.isfinite(ppos)).mean())
    counts = {int(i): int((k == i).sum()) for i in np.unique(k)}
    note = (
        f"Least k by exact planning over {LAYOUTS} layouts: {counts}; solved by SQIRL "
        f"{np.isfinite(sqirls).mean():.2f}, by PPO {np.isfinite(ppos).mean():.2f} of layouts and seeds, the same "
        f"verdict in {agree:.2f}; rank correlation of PPO with k alone "
        f"{np.nanmean([spearmanr(k, ppos[:, i])[0] for i in range(SEEDS)]):.2f}."
    )
    return Measured(of_sqirl, of_states, above(of_sqirl, of_states) and of_sqirl.mean() > 0.6, note)


ROW = Row(
    "S030",
    "The Effective Horizon Explains Deep RL Performance in Stochastic Environments",
    "Sticky grids: what SQIRL needs tells what PPO needs (rank correlation above 0.6 and above that of the state "
    "count)",
    "correlation of SQIRL's and PPO's steps",
    "correlation of free cells and PPO's steps",
    measure,
)
