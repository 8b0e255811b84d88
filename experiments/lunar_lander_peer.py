"""What MO-Gymnasium's lunar lander does, for our own to be compared with: tests/lunar_lander_peer.json.

    python experiments/lunar_lander_peer.py

Runs in an environment of its own, with `pip install mo-gymnasium box2d` and without jaxrl. Records free flights under
random actions, with the engines' dispersion off (and with wind for continuous actions), until a leg touches the
ground; and means over whole episodes of random actions and of `controller`, with dispersion and without wind.
"""

import json
import warnings
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

TARGET = Path(__file__).parents[1] / "tests" / "lunar_lander_peer.json"
NUM_FLIGHTS, NUM_EPISODES, EVERY = 6, 1000, 10
# Chances of the discrete actions: more of the main engine makes longer flights.
CHANCES = (0.2, 0.2, 0.4, 0.2)
IDS = {"lunar-lander": "mo-lunar-lander-v3", "lunar-lander-continuous": "mo-lunar-lander-continuous-v3"}


def controller(observation: Any, continuous: bool, array: ModuleType = np) -> Any:
    """Leans towards the pad, sinks the slower the lower; `array` is numpy or jax.numpy."""
    x, y, x_velocity, y_velocity, angle, spin, right, left = observation
    grounded = right + left > 0.0
    lean = array.where(grounded, 0.0, array.clip(0.6 * x + 1.1 * x_velocity, -0.4, 0.4))
    turn = 0.6 * (lean - angle) - spin
    sink = array.where(grounded, -0.05, -0.1 - 0.6 * array.maximum(y - 0.6 * array.abs(x), 0.0))
    if continuous:
        return array.stack([array.clip(5.0 * (sink - y_velocity), -1.0, 1.0), array.clip(-10.0 * turn, -1.0, 1.0)])
    side = array.where(turn > 0.04, 1, array.where(turn < -0.04, 3, 0))
    return array.where(y_velocity < sink, 2, side)


class Still:
    """A generator that draws the middle of every range: no dispersion."""

    def uniform(self, low: float, high: float) -> float:
        return 0.5 * (low + high)


def random_action(generator: np.random.Generator, continuous: bool) -> Any:
    """Three decimals, so that the recorded action is the one that was taken."""
    if continuous:
        return np.round(generator.uniform(-1.0, 1.0, 2), 3)
    return int(generator.choice(4, p=CHANCES))


def flight(environment: Any, continuous: bool, seed: int) -> dict[str, Any]:
    """The state after a reset, the actions until a contact, and every `EVERY`th observation and reward."""
    environment.reset(seed=seed)
    environment.np_random = Still()
    bodies = [environment.lander, *environment.legs]
    start = {
        "pin": list(environment.lander.position),
        "angle": [body.angle for body in bodies],
        "velocity": [list(body.linearVelocity) for body in bodies],
        "spin": [body.angularVelocity for body in bodies],
        "terrain": [chunk[0][1] for chunk in environment.sky_polys] + [environment.sky_polys[-1][1][1]],
        "shaping": environment.prev_shaping,
        "wind_phase": [environment.wind_idx, environment.torque_idx] if environment.enable_wind else [0, 0],
    }
    generator, actions, observations, rewards = np.random.default_rng(seed), [], [], []
    while True:
        action = random_action(generator, continuous)
        observation, reward, terminated, _, _ = environment.step(action)
        actions.append(action)
        if terminated or observation[6:].any():
            break
        observations.append(observation)
        rewards.append(reward)
    return {
        "start": {name: np.round(value, 7).tolist() for name, value in start.items()},
        "actions": np.array(actions).tolist(),
        "observations": np.round(observations[EVERY - 1 :: EVERY], 6).tolist(),
        "rewards": np.round(rewards[EVERY - 1 :: EVERY], 4).tolist(),
    }


def episodes(environment: Any, continuous: bool, act: Any) -> dict[str, Any]:
    """Means over episodes, with standard errors: share that landed and that crashed, steps, returns."""
    rows = []
    for seed in range(NUM_EPISODES):
        observation, returns, steps, done = environment.reset(seed=seed)[0], np.zeros(4), 0, False
        while not done:
            observation, reward, terminated, truncated, _ = environment.step(act(observation))
            returns, steps, done = returns + reward, steps + 1, terminated or truncated
        rows.append([returns[0] > 0.0, returns[0] < 0.0, steps, *returns[1:]])
    rows = np.array(rows, float)
    names = ("landed", "crashed", "steps", "shaping", "main_fuel", "side_fuel")
    error = rows.std(axis=0) / np.sqrt(len(rows))
    return {name: [round(m, 4), round(e, 4)] for name, m, e in zip(names, rows.mean(axis=0), error, strict=True)}


def main() -> None:
    """Writes the record."""
    import mo_gymnasium

    warnings.filterwarnings("ignore")
    record: dict[str, Any] = {"versions": {name: version(name) for name in ("mo-gymnasium", "gymnasium", "box2d")}}
    record["every"] = EVERY
    for name, peer_id in IDS.items():
        continuous = name.endswith("continuous")
        environment = mo_gymnasium.make(peer_id)
        windy = mo_gymnasium.make(peer_id, enable_wind=continuous).unwrapped
        generator = np.random.default_rng(1)

        def follow(observation: np.ndarray, continuous: bool = continuous) -> Any:
            return np.asarray(controller(observation, continuous))[()]

        def wander(_, continuous: bool = continuous, generator: np.random.Generator = generator) -> Any:
            return random_action(generator, continuous)

        record[name] = {
            "episodes": {
                "controller": episodes(environment, continuous, follow),
                "random": episodes(environment, continuous, wander),
            },
            "flights": [flight(windy, continuous, seed) for seed in range(NUM_FLIGHTS)],
        }
        print(name, json.dumps(record[name]["episodes"]), flush=True)
    TARGET.write_text(json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
