"""What highway-env does, for our own to be compared with: tests/highway_peer.json.

    python experiments/highway_peer.py

Runs in an environment of its own, with `pip install highway-env==1.10.1` and without jaxrl. Records episodes from their
first state, which is all that is random: actions, places of all vehicles, observations, rewards as a vector. In some
episodes one vehicle has broken down, so that others run into it.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

TARGET = Path(__file__).parents[1] / "tests" / "highway_peer.json"
NUM_EPISODES, NUM_STEPS = 6, 20
# Chances of: lane to the left, nothing, lane to the right, faster, slower.
CHANCES = (0.2, 0.2, 0.2, 0.2, 0.2)


def numbers(values: Any, decimals: int = 4) -> Any:
    """Rounded, without negative zeros."""
    return (np.round(np.asarray(values, float), decimals) + 0.0).tolist()


def start(environment: Any) -> dict[str, Any]:
    """The first state."""
    vehicles = environment.road.vehicles
    return {
        "position": [numbers(vehicle.position, 6) for vehicle in vehicles],
        "speed": numbers([vehicle.speed for vehicle in vehicles], 6),
        "target_speed": numbers([vehicle.target_speed for vehicle in vehicles], 6),
        "timer": numbers([getattr(vehicle, "timer", 0.0) for vehicle in vehicles], 6),
        "exponent": numbers([getattr(vehicle, "DELTA", 4.0) for vehicle in vehicles], 6),
        "crashed": [bool(vehicle.crashed) for vehicle in vehicles],
    }


def episode(environment: Any, seed: int) -> dict[str, Any]:
    """One episode; the fifth vehicle of every third has broken down."""
    environment.reset(seed=seed)
    generator = np.random.default_rng(seed)
    environment.road.vehicles[4].crashed = seed % 3 == 2
    record = {
        "start": start(environment),
        "actions": [],
        "places": [],
        "observations": [],
        "rewards": [],
        "crashed": [],
    }
    record["first"] = numbers(environment.observation_type.observe())
    for _ in range(NUM_STEPS):
        action = int(generator.choice(5, p=CHANCES))
        observation, reward, terminated, _, info = environment.step(action)
        parts = info["rewards"]
        own = np.array([parts["high_speed_reward"], parts["right_lane_reward"], -parts["collision_reward"]])
        own = own * parts["on_road_reward"]
        assert np.isclose(reward, (0.4 * own[0] + 0.1 * own[1] + own[2] + 1.0) / 1.5 * parts["on_road_reward"])
        record["actions"].append(action)
        record["places"].append([numbers(vehicle.position, 2) for vehicle in environment.road.vehicles])
        record["observations"].append(numbers(observation))
        record["rewards"].append(numbers(own))
        record["crashed"].append([bool(vehicle.crashed) for vehicle in environment.road.vehicles])
        if terminated:
            break
    return record


def main() -> None:
    """Records both variants."""
    import gymnasium
    import highway_env  # noqa: F401

    record: dict[str, Any] = {"versions": {"highway-env": version("highway-env")}}
    for name in ("highway", "highway-fast"):
        environment = gymnasium.make(f"{name}-v0").unwrapped
        record[name] = [episode(environment, seed) for seed in range(NUM_EPISODES)]
        for one in record[name]:
            print(name, len(one["actions"]), one["crashed"][-1][0], sum(one["crashed"][-1]))
    TARGET.write_text(json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
