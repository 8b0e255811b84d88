"""PPO on one page: what `jaxrl train ppo` does, without the seams that make it a framework.

Read it from top to bottom. It is for one scalar reward, discrete actions and networks without memory; jaxrl's own `ppo`
adds vector rewards, continuous actions, recurrence, normalisation, preferences and checkpoints, and splits what is here
over `agents/`, `training/` and `numerics/`. From the same first parameters both take the same steps
(`tests/test_plain_ppo.py` holds it).

    python experiments/plain_ppo.py --seeds 8      # CartPole-v1, 500,000 steps a seed, all seeds as one program
"""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import tyro

import jaxrl


@dataclass(frozen=True)
class Settings:
    """What is static; the defaults are those of jaxrl's `ppo`."""

    environment: str = "gymnax/CartPole-v1"
    """An environment with one objective, discrete actions and vector observations."""
    seeds: int = 8
    """Runs side by side."""
    total_steps: int = 500_000
    """Environment steps of each."""
    num_envs: int = 8
    """Copies of the environment."""
    num_steps: int = 128
    """Steps of each copy between updates."""
    num_epochs: int = 4
    """Passes over what was collected."""
    num_minibatches: int = 4
    """Minibatches of a pass."""
    learning_rate: float = 2.5e-4
    """Of Adam; annealed to zero."""
    discount: float = 0.99
    """γ."""
    gae_lambda: float = 0.95
    """λ of generalised advantage estimation."""
    clip_epsilon: float = 0.2
    """How far the ratio of probabilities may move before its gradient is cut."""
    entropy_coefficient: float = 0.01
    """Weight of the entropy bonus."""
    value_coefficient: float = 0.5
    """Weight of the value loss."""
    max_gradient_norm: float = 0.5
    """Global norm to which gradients are clipped."""


class Batch(NamedTuple):
    """What was collected, leading axes `[time, env]`; later `[sample]`."""

    observation: jax.Array
    action: jax.Array
    log_prob: jax.Array
    advantage: jax.Array
    target: jax.Array


class State(NamedTuple):
    """All that goes from one iteration to the next."""

    params: Any
    optimiser: Any
    environment: Any
    observation: jax.Array
    key: jax.Array


# --- the networks: two layers of 64 for the policy, two for the value ---------------------------------------------


def initial_params(key: jax.Array, num_inputs: int, num_actions: int) -> dict[str, list]:
    """Orthogonal weights, of small scale at the policy's end so that it begins nearly uniform, and no biases."""
    root = 2.0**0.5
    sizes = {
        "actor": [(num_inputs, 64, root), (64, 64, root), (64, num_actions, 0.01)],
        "critic": [(num_inputs, 64, root), (64, 64, root), (64, 1, 1.0)],
    }
    keys = iter(jax.random.split(key, 6))
    layer = lambda rows, columns, gain: (  # noqa: E731
        jax.nn.initializers.orthogonal(gain)(next(keys), (rows, columns)),
        jnp.zeros(columns),
    )
    return {name: [layer(*size) for size in layers] for name, layers in sizes.items()}


def network(layers: list, inputs: jax.Array) -> jax.Array:
    """A multi-layer perceptron with tanh between its layers."""
    for kernel, bias in layers[:-1]:
        inputs = jnp.tanh(inputs @ kernel + bias)
    kernel, bias = layers[-1]
    return inputs @ kernel + bias


def log_probability(logits: jax.Array, action: jax.Array) -> jax.Array:
    """log π(action)."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], axis=-1)[..., 0]


# --- one iteration: collect, estimate, update ---------------------------------------------------------------------


def collect(key: jax.Array, state: State, env: jaxrl.Environment, settings: Settings) -> tuple[State, dict]:
    """Acts for `num_steps` in every copy. An episode that ends is followed by a fresh one."""
    draw_key, noise_key, _ = jax.random.split(key, 3)
    step_key, reset_key = jax.random.split(draw_key)
    shape = (settings.num_steps, settings.num_envs)
    step_keys, reset_keys = jax.random.split(step_key, shape), jax.random.split(reset_key, shape)
    noise = jax.random.uniform(noise_key, shape)

    def act(carry: tuple, inputs: tuple) -> tuple[tuple, dict]:
        (env_state, observation), (step_keys, reset_keys, noise) = carry, inputs
        logits = network(state.params["actor"], observation)
        # The inverse of the distribution function: the first action whose cumulative probability exceeds the noise.
        mass = jnp.cumsum(jnp.exp(logits - logits.max(axis=-1, keepdims=True)), axis=-1)
        action = jnp.sum(mass[:, :-1] <= noise[:, None] * mass[:, -1:], axis=-1, dtype=jnp.int32)
        env_state, step = jax.vmap(env.step, (0, 0, 0, None))(step_keys, env_state, action, env.params)
        seen = {
            "observation": observation,
            "action": action,
            "reward": step.reward[:, 0],
            "terminated": step.terminated,
            "done": step.terminated | step.truncated,
            # What really followed, before any reset: a time limit is not the end of the task.
            "following": step.observation,
        }
        fresh = jax.vmap(env.reset, (0, None))(reset_keys, env.params)
        restart = lambda new, old: jnp.where(seen["done"].reshape(-1, *[1] * (old.ndim - 1)), new, old)  # noqa: E731
        return jax.tree.map(restart, fresh, (env_state, step.observation)), seen

    carry = (state.environment, state.observation)
    (env_state, observation), seen = jax.lax.scan(act, carry, (step_keys, reset_keys, noise))
    return state._replace(environment=env_state, observation=observation), seen


def estimate(state: State, seen: dict, settings: Settings) -> Batch:
    """Generalised advantages: Aₜ = δₜ + γλ (1 - doneₜ) Aₜ₊₁, δₜ = rₜ + γ (1 - terminatedₜ) v(o'ₜ) - v(oₜ)."""
    value = network(state.params["critic"], seen["observation"])[..., 0]
    following = network(state.params["critic"], seen["following"])[..., 0]
    error = seen["reward"] + settings.discount * (1.0 - seen["terminated"]) * following - value
    decay = settings.discount * settings.gae_lambda * (1.0 - seen["done"])

    def back(later: jax.Array, inputs: tuple) -> tuple[jax.Array, jax.Array]:
        advantage = inputs[0] + inputs[1] * later
        return advantage, advantage

    _, advantage = jax.lax.scan(back, jnp.zeros(settings.num_envs), (error, decay), reverse=True)
    log_prob = log_probability(network(state.params["actor"], seen["observation"]), seen["action"])
    return Batch(seen["observation"], seen["action"], log_prob, advantage, advantage + value)


def loss(params: Any, batch: Batch, settings: Settings) -> jax.Array:
    """-min(rA, clip(r, 1 ± ε) A) + c_v ½ (v - target)² - c_e entropy, averaged."""
    logits = network(params["actor"], batch.observation)
    ratio = jnp.exp(log_probability(logits, batch.action) - batch.log_prob)
    advantage = (batch.advantage - batch.advantage.mean()) / (batch.advantage.std() + 1e-8)
    clipped = jnp.clip(ratio, 1.0 - settings.clip_epsilon, 1.0 + settings.clip_epsilon)
    policy_loss = -jnp.minimum(ratio * advantage, clipped * advantage).mean()
    value = network(params["critic"], batch.observation)[..., 0]
    value_loss = 0.5 * jnp.square(value - batch.target).mean()
    log_p = jax.nn.log_softmax(logits)
    entropy = -jnp.sum(jnp.exp(log_p) * log_p, axis=-1).mean()
    return policy_loss + settings.value_coefficient * value_loss - settings.entropy_coefficient * entropy


def update(key: jax.Array, state: State, batch: Batch, fraction: jax.Array, settings: Settings) -> State:
    """Adam on minibatches, several passes, each in an order of its own."""
    optimiser = make_optimiser(settings, fraction)
    samples = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batch)
    count = settings.num_envs * settings.num_steps
    orders = permutations(key, settings.num_epochs, count).reshape(settings.num_epochs * settings.num_minibatches, -1)

    def descend(carry: tuple, chosen: jax.Array) -> tuple[tuple, None]:
        params, optimiser_state = carry
        gradient = jax.grad(loss)(params, jax.tree.map(lambda leaf: leaf[chosen], samples), settings)
        changes, optimiser_state = optimiser.update(gradient, optimiser_state)
        return (optax.apply_updates(params, changes), optimiser_state), None

    (params, optimiser_state), _ = jax.lax.scan(descend, (state.params, state.optimiser), orders)
    return state._replace(params=params, optimiser=optimiser_state)


def permutations(key: jax.Array, num_epochs: int, count: int) -> jax.Array:
    """One order of all samples per epoch: random bits with the index in their lowest places, sorted."""
    mask = jnp.uint32((1 << (count - 1).bit_length()) - 1)
    bits = jax.random.bits(key, (num_epochs, count))
    return (jnp.sort((bits & ~mask) | jnp.arange(count, dtype=jnp.uint32), axis=1) & mask).astype(jnp.int32)


def make_optimiser(settings: Settings, fraction: jax.Array | float) -> optax.GradientTransformation:
    """Clipping by the global norm, then Adam, whose step shrinks to nothing over the run."""
    rate = settings.learning_rate * (1.0 - fraction)
    return optax.chain(optax.clip_by_global_norm(settings.max_gradient_norm), optax.adam(rate, eps=1e-5))


# --- the run ------------------------------------------------------------------------------------------------------


def init(key: jax.Array, env: jaxrl.Environment, settings: Settings) -> State:
    """Fresh parameters in fresh episodes."""
    params_key, reset_key, run_key = jax.random.split(key, 3)
    params = initial_params(params_key, env.spec.observation.shape[0], env.spec.action.n)
    env_state, observation = jax.vmap(env.reset, (0, None))(jax.random.split(reset_key, settings.num_envs), env.params)
    return State(params, make_optimiser(settings, 0.0).init(params), env_state, observation, run_key)


def iterate(state: State, index: jax.Array, env: jaxrl.Environment, settings: Settings) -> tuple[State, jax.Array]:
    """One iteration, and the mean return of the episodes that would go on from now on as they do now."""
    total = settings.total_steps // (settings.num_envs * settings.num_steps)
    act_key, update_key, _ = jax.random.split(jax.random.fold_in(state.key, index), 3)
    collected, seen = collect(act_key, state, env, settings)
    batch = estimate(collected, seen, settings)
    # Steps per episode that ended: with a reward of 1 per step, as in CartPole, also its return.
    return update(update_key, collected, batch, index / total, settings), seen["reward"].sum() / seen["done"].sum()


def train(key: jax.Array, env: jaxrl.Environment, settings: Settings) -> tuple[State, jax.Array]:
    """A whole run: one compiled program, and `vmap` over `key` makes it a run of many seeds."""
    total = settings.total_steps // (settings.num_envs * settings.num_steps)
    step = partial(iterate, env=env, settings=settings)
    return jax.lax.scan(step, init(key, env, settings), jnp.arange(total))


def main(settings: Settings) -> None:
    """Trains all seeds and prints what they reach."""
    env = jaxrl.make(settings.environment)
    keys = jax.random.split(jax.random.key(0), settings.seeds)
    began = time.perf_counter()
    _, returns = jax.block_until_ready(jax.jit(jax.vmap(lambda key: train(key, env, settings)))(keys))
    print(f"{settings.seeds} seeds in {time.perf_counter() - began:.1f} s, compilation included")
    for share in (0.1, 0.25, 0.5, 1.0):
        row = returns[:, int(share * returns.shape[1]) - 1]
        print(f"after {share:4.0%}: return {jnp.mean(row):6.1f}, worst seed {jnp.min(row):6.1f}")


if __name__ == "__main__":
    main(tyro.cli(Settings))
