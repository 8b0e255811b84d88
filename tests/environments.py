"""Probe environments with known answers."""

import jax
import jax.numpy as jnp

from jaxrl.environments import Box, Dict, Discrete, Environment, EnvironmentSpec, MultiDiscrete, Timestep, Tuple

NEVER = 2.0

# Enough for a policy of a few logits: `choice` under any aggregator.
BANDIT = {
    "total_steps": 80_000,
    "num_envs": 16,
    "num_steps": 16,
    "num_epochs": 2,
    "learning_rate": 1e-3,
    "entropy_coefficient": 0.0,
    "hidden_sizes": (16,),
    "num_evaluations": 1,
    "evaluation_episodes": 3,
}


def _environment(name, step, params=(), num_objectives=1, actions=2, size=1, limit=None):
    spec = EnvironmentSpec(
        name=f"probe/{name}",
        observation=Box(-10.0, 100.0, (size,)),
        action=Discrete(actions),
        num_objectives=num_objectives,
        time_limit=limit,
    )

    def reset(key, params):
        return jnp.zeros((), jnp.int32), jnp.zeros(size)

    return Environment(reset, step, params, spec)


def constant_reward(limit=10, observe_time=False):
    """Reward 1 on every step under a time limit: the value is 1/(1-γ), not the finite sum."""

    def step(key, state, action, params):
        state = state + 1
        observation = jnp.where(observe_time, state, 0).astype(jnp.float32)[None]
        return state, Timestep(observation, jnp.ones(1), jnp.array(False), state >= limit, {})

    return _environment("constant-reward", step, limit=limit)


def one_step(reward=3.0):
    """Terminates at once with a fixed reward: the value is that reward."""

    def step(key, state, action, params):
        return state + 1, Timestep(jnp.zeros(1), params * jnp.ones(1), jnp.array(True), jnp.array(False), {})

    return _environment("one-step", step, params=jnp.asarray(reward), limit=1)


def stay_or_leave(limit=10, bonus=12.0):
    """Action 0 earns +1 and goes on under a time limit; action 1 earns `bonus` and terminates.

    With discount 0.99 staying is worth 100, so leaving is wrong; an agent that takes the time limit
    for termination believes that staying is worth at most 9.6.
    """

    def step(key, state, action, params):
        state = state + 1
        leave = action == 1
        reward = jnp.where(leave, bonus, 1.0)[None]
        return state, Timestep(jnp.zeros(1), reward, leave, (state >= limit) & ~leave, {})

    return _environment("stay-or-leave", step, limit=limit)


def choice(rewards):
    """One step; action a earns the vector rewards[a]."""
    table = jnp.asarray(rewards, jnp.float32)

    def step(key, state, action, params):
        return state + 1, Timestep(jnp.zeros(1), params[action], jnp.array(True), jnp.array(False), {})

    return _environment("choice", step, table, table.shape[1], table.shape[0], limit=1)


def observation_matters():
    """The observation says which action earns +1; the other earns -1. One step."""
    spec = EnvironmentSpec("probe/observation-matters", Box(-1.0, 1.0, (1,)), Discrete(2), time_limit=1)

    def reset(key, params):
        sign = jnp.where(jax.random.bernoulli(key), 1.0, -1.0)
        return sign, sign[None]

    def step(key, state, action, params):
        right = (action == 1) == (state > 0)
        reward = jnp.where(right, 1.0, -1.0)[None]
        return state, Timestep(state[None], reward, jnp.array(True), jnp.array(False), {})

    return Environment(reset, step, (), spec)


def delayed_reward(length=4):
    """+1 only on the last of `length` steps: values grow backwards as γ^k."""

    def step(key, state, action, params):
        state = state + 1
        last = state >= length
        observation = state.astype(jnp.float32)[None]
        return state, Timestep(observation, last.astype(jnp.float32)[None], last, jnp.array(False), {})

    return _environment("delayed-reward", step, limit=length)


def coins(length=2, worth=20.0):
    """A coin at every step, `worth` or nothing: returns are sums of γⁱ worth, all as likely."""

    def step(key, state, action, params):
        state = state + 1
        over = state >= length
        return state, Timestep(
            state.astype(jnp.float32)[None], worth * jax.random.bernoulli(key, 0.5, (1,)), over, jnp.array(False), {}
        )

    return _environment("coins", step)


def not_a_number(after=40):
    """Rewards turn to NaN once an episode is older than `after` steps."""

    def step(key, state, action, params):
        state = state + 1
        reward = jnp.where(state > after, jnp.nan, 1.0)[None]
        return state, Timestep(jnp.zeros(1), reward, jnp.array(False), jnp.array(False), {})

    return _environment("not-a-number", step)


def breaking(part="observation", value=jnp.nan, step_of_fault=3, limit=7, continuous=False, objectives=1):
    """Copies whose start lies above `params`, in [0, 1), break at one step of every episode; none does above 1.

    The `part` that takes on `value` is the observation, the reward or the state, which then shows in nothing else.
    """
    action = Box(-1.0, 1.0, (1,)) if continuous else Discrete(2)
    spec = EnvironmentSpec(f"probe/breaking-{part}", Box(-jnp.inf, jnp.inf, (2,)), action, objectives, limit)

    def observe(position, start):
        return jnp.stack([jnp.nan_to_num(position), start])

    def reset(key, params):
        start = jax.random.uniform(key)
        return (jnp.zeros((), jnp.int32), jnp.zeros(()), start), observe(0.0, start)

    def step(key, state, action, params):
        steps, position, start = state
        steps, position = steps + 1, position + 0.1 * jnp.ravel(action)[0] + 0.1 * jax.random.normal(key)
        broken = jnp.where((start > params) & (steps == step_of_fault), value, 0.0)
        observation = observe(position, start) + (broken if part == "observation" else 0.0)
        reward = jnp.full(objectives, position) + (broken if part == "reward" else 0.0)
        position = position + (broken if part == "state" else 0.0)
        return (steps, position, start), Timestep(observation, reward, jnp.array(False), steps >= limit, {})

    return Environment(reset, step, jnp.asarray(0.5), spec)


# What the legal actions of `legal_only` earn; a step of the masked optimum E[largest] = 1/2 + 1/4·1/2 + 1/8·1/4.
EARNED = (0.0, 0.25, 0.5, 1.0)
LEGAL_OPTIMUM = 0.65625


def legal_only(limit=8, choices=0):
    """The highest legal action is the best, and an illegal one costs 10 and ends the episode.

    Action 0 is always legal, the others with probability 1/2 at every step; nothing but the mask says which. With the
    mask the optimum earns `LEGAL_OPTIMUM` a step; without it, action 0 forever, nothing.

    With `choices` the action is so many of these at once, which earn their mean.
    """
    action = MultiDiscrete((4,) * choices) if choices else Discrete(4)
    shape = (max(1, choices), 4)
    seen = {"clock": Box(0.0, float(limit), (1,)), "legal": Box(0.0, 1.0, shape, "bool")}
    spec = EnvironmentSpec("probe/legal-only", Dict(seen), action, time_limit=limit, action_mask="legal")

    def observe(key, steps):
        legal = jax.random.bernoulli(key, shape=shape).at[:, 0].set(True)
        return (steps, legal), {"clock": steps.astype(jnp.float32)[None], "legal": legal}

    def reset(key, params):
        return observe(key, jnp.zeros((), jnp.int32))

    def step(key, state, action, params):
        steps, legal = state
        action = jnp.atleast_1d(action)
        illegal = ~jnp.all(legal[jnp.arange(shape[0]), action])
        reward = jnp.where(illegal, -10.0, params[action].mean())[None]
        state, observation = observe(key, steps + 1)
        return state, Timestep(observation, reward, illegal, (steps + 1 >= limit) & ~illegal, {"illegal": illegal})

    return Environment(reset, step, jnp.asarray(EARNED), spec)


def several_parts(limit=6, image=True):
    """A view, an integer, a pair and a mask: the view's (or the pair's) sign times the integer's parity is what to do.

    One step is right or wrong by +1 or -1; action 2 is never legal.
    """
    view = Box(-1.0, 1.0, (4, 5, 2) if image else (3,))
    parts = {
        "camera": Dict({"view": view}),
        "turn": Discrete(3),
        "pair": Tuple((Box(-jnp.inf, jnp.inf, (2,)), MultiDiscrete((2, 3)))),
        "legal": Box(0.0, 1.0, (3,), "bool"),
    }
    spec = EnvironmentSpec("probe/several-parts", Dict(parts), Discrete(3), time_limit=limit, action_mask="legal")

    def observe(key, steps):
        sign_key, turn_key, noise_key = jax.random.split(key, 3)
        sign = jnp.where(jax.random.bernoulli(sign_key), 1.0, -1.0)
        turn = jax.random.randint(turn_key, (), 0, 3)
        noise = 50.0 + 10.0 * jax.random.normal(noise_key, (2,))
        observation = {
            "camera": {"view": jnp.full(view.shape, sign)},
            "turn": turn,
            "pair": (noise, jnp.asarray([1, 2], jnp.int32)),
            "legal": jnp.asarray([True, True, False]),
        }
        return (steps, (sign > 0) ^ (turn == 1)), observation

    def reset(key, params):
        return observe(key, jnp.zeros((), jnp.int32))

    def step(key, state, action, params):
        steps, right = state
        reward = jnp.where((action == 1) == right, 1.0, -1.0)[None]
        state, observation = observe(key, steps + 1)
        return state, Timestep(observation, reward, jnp.array(False), steps + 1 >= limit, {})

    return Environment(reset, step, (), spec)


def duplicate_objectives(environment, count):
    """The same reward `count` times over, as a vector."""
    from dataclasses import replace

    def step(key, state, action, params):
        state, timestep = environment.step(key, state, action, params)
        return state, timestep._replace(reward=jnp.repeat(timestep.reward, count))

    spec = replace(environment.spec, num_objectives=count, objective_names=())
    return environment._replace(step=step, spec=spec)


def nearest(goal=0.4, low=-2.0, high=2.0):
    """One step in one dimension, which costs the squared distance of the action to a goal, in units of half the bounds.

    The best action is the goal's, worth 0.
    """
    spec = EnvironmentSpec("probe/nearest", Box(-1.0, 1.0, (1,)), Box(low, high, (1,)), time_limit=1)

    def reset(key, params):
        return jnp.zeros(()), jnp.zeros(1)

    def step(key, state, action, params):
        distance = (action - params) / (0.5 * (high - low))
        return state, Timestep(jnp.zeros(1), -(distance**2), jnp.array(True), jnp.array(False), {})

    return Environment(reset, step, jnp.asarray(goal), spec)


def torn(limit=5):
    """Two objectives that pull a continuous action to its two ends: r = (a, -a) + noise of the observation."""
    spec = EnvironmentSpec("probe/torn", Box(-1.0, 1.0, (2,)), Box(-1.0, 1.0, (1,)), 2, limit)

    def reset(key, params):
        return jnp.zeros((), jnp.int32), jax.random.uniform(key, (2,))

    def step(key, state, action, params):
        state, observation = state + 1, jax.random.uniform(key, (2,))
        reward = jnp.concatenate([action, -action])
        return state, Timestep(observation, reward, jnp.array(False), state >= limit, {})

    return Environment(reset, step, (), spec)
