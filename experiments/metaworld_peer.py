"""What Meta-World does, for our own to be compared with: tests/metaworld_peer.json.

    python experiments/metaworld_peer.py

Runs in an environment of its own, with `pip install metaworld==3.1.1 packaging` and without jaxrl: the package asks
for an older MuJoCo than MJX. Records, for each task: first observations; states along noisy runs of the package's
scripted policies, with what the reward reads of them, the reward and the metrics; and one run of the scripted policy
with its actions and every `EVERY`th position of hand and object.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

TARGET = Path(__file__).parents[1] / "tests" / "metaworld_peer.json"
TASKS = (
    "reach",
    "push",
    "pick-place",
    "door-open",
    "drawer-open",
    "drawer-close",
    "button-press-topdown",
    "peg-insert-side",
    "window-open",
    "window-close",
    "door-close",
    "reach-wall",
    "button-press",
    "faucet-open",
    "faucet-close",
    "handle-press",
    "button-press-wall",
    "button-press-topdown-wall",
    "handle-press-side",
    "coffee-button",
    "sweep",
    "sweep-into",
    "basketball",
    "shelf-place",
    "push-wall",
    "pick-place-wall",
    "push-back",
    "hand-insert",
    "pick-out-of-hole",
    "soccer",
    "handle-pull",
    "handle-pull-side",
    "bin-picking",
    "dial-turn",
    "plate-slide",
    "plate-slide-back",
    "plate-slide-side",
    "plate-slide-back-side",
    "lever-pull",
    "door-lock",
    "door-unlock",
    "coffee-push",
    "coffee-pull",
    "peg-unplug-side",
    "assembly",
    "disassemble",
    "box-close",
    "hammer",
    "stick-push",
    "stick-pull",
)
NUM_EPISODES, NUM_STATES, EVERY, AFTER = 5, 4, 10, 30
# How often an action of a noisy run is random; what is dropped or knocked over can make success impossible.
NOISE, NOISES = 0.3, {"basketball": 0.05, "box-close": 0.1, "stick-pull": 0.05}


def build(name: str) -> tuple[Any, Any]:
    """The original's environment, its goal observed, and its scripted policy."""
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS
    from metaworld.policies import ENV_POLICY_MAP

    environment = ALL_V3_ENVIRONMENTS[f"{name}-v3"]()
    environment._partially_observable = False
    environment.__dict__.pop("sawyer_observation_space", None)
    environment._freeze_rand_vec = environment._set_task_called = True
    if name == "disassemble":
        _clear_the_peg(environment)
    return environment, ENV_POLICY_MAP[f"{name}-v3"]()


def _clear_the_peg(environment: Any) -> None:
    """Else the nut starts turned, for it falls beside the peg while the hand is put in its place."""
    settle = environment._reset_hand

    def cleared() -> None:
        environment.model.body("peg").pos = np.array([0.5, 0.9, 0.05])
        settle()

    environment._reset_hand = cleared


def draw(environment: Any, generator: np.random.Generator) -> np.ndarray:
    """One of the task's variations, by the original's rule, to six decimals.

    The lid that is to close the box stands where the hand, coming down, does not meet it while it falls to the table.
    """
    space, lid = environment._random_reset_space, "BoxClose" in type(environment).__name__
    apart = 0.25 if lid else 0.15
    while True:
        vector = np.round(generator.uniform(space.low, space.high), 6)
        if lid and vector[1] > 0.507:
            continue
        if vector.size == 3 or np.linalg.norm(vector[:2] - vector[3:5]) >= apart:
            return vector


def start(environment: Any, vector: np.ndarray) -> tuple[np.ndarray, dict[str, list[float]]]:
    """The first observation under a variation, and the variation as jaxrl names it."""
    environment._last_rand_vec = vector
    if "DialTurn" in type(environment).__name__:
        # Its first observation and its reward see the dial where it stood in the episode before.
        environment.reset()
    observation, _ = environment.reset()
    place = environment.obj_init_pos if vector.size == 6 else vector
    if "PegUnplug" in type(environment).__name__:
        place = environment._target_pos - np.array([0.15, 0.0, 0.0])
    if hasattr(environment, "stick_init_pos"):
        place = environment.stick_init_pos
    return observation, {"object": numbers(place), "goal": numbers(environment._target_pos)}


def numbers(values: Any, decimals: int = 7) -> list[float]:
    """Rounded, without negative zeros."""
    return (np.round(np.asarray(values, float), decimals) + 0.0).tolist()


def scene(environment: Any, observation: np.ndarray) -> dict[str, Any]:
    """What a reward reads."""
    model = environment.model
    sites, geoms, joints = (
        [part(i).name for i in range(count)]
        for part, count in ((model.site, model.nsite), (model.geom, model.ngeom), (model.joint, model.njnt))
    )
    head = next((name for name in ("pegHead", "stick_end", "RoundNut") if name in sites), None)
    moving = 16 if "NailSlideJoint" in joints else 9 if model.nq == 10 else None
    return {
        "hand": numbers(observation[:3]),
        "opening": numbers(observation[3]),
        "tip": numbers(environment.tcp_center),
        "left": numbers(environment.get_body_com("leftpad")[1]),
        "right": numbers(environment.get_body_com("rightpad")[1]),
        "object": numbers(observation[4:7]),
        "head": numbers(observation[4:7] if head is None else environment._get_site_pos(head)),
        "joint": numbers(0.0 if moving is None else environment.data.qpos[moving]),
        "second": numbers(observation[11:14]),
        "quaternion": numbers(observation[7:11]),
        "touching": bool(
            model.nq in (16, 18) and "objGeom" in geoms and environment.touching_object(model.geom("objGeom").id)
        ),
    }


def states(environment: Any, policy: Any, generator: np.random.Generator, noise: float) -> list[dict[str, Any]]:
    """Scenes along one noisy run, spread from its start to `AFTER` steps after success."""
    observation, variation = start(environment, draw(environment, generator))
    first, recorded, left = numbers(observation, 6), [], AFTER
    for _ in range(500):
        action = np.clip(policy.get_action(observation.copy()), -1.0, 1.0)
        if generator.uniform() < noise:
            action = generator.uniform(-1.0, 1.0, 4)
        action = np.round(action, 3).astype(np.float32)
        observation, reward, _, _, info = environment.step(action)
        info = {name: float(value) for name, value in info.items() if name != "unscaled_reward"}
        recorded.append(
            {"scene": scene(environment, observation), "action": numbers(action, 3), "reward": round(float(reward), 6)}
            | {"info": {name: round(value, 6) for name, value in info.items()}}
        )
        left -= bool(info["success"]) or left < AFTER
        if left <= 0:
            break
    chosen = np.sort(generator.choice(len(recorded), NUM_STATES, replace=False))
    return {"variation": variation, "first": first, "states": [recorded[i] for i in chosen]}


def flight(environment: Any, policy: Any, generator: np.random.Generator) -> dict[str, Any]:
    """One run of the scripted policy."""
    observation, variation = start(environment, draw(environment, generator))
    actions, positions, solved, left = [], [], None, AFTER
    for step in range(500):
        action = np.round(np.clip(policy.get_action(observation.copy()), -1.0, 1.0), 3).astype(np.float32)
        observation, _, _, _, info = environment.step(action)
        actions.append(numbers(action, 3))
        positions.append(numbers(observation[:7], 5))
        solved = step if solved is None and info["success"] else solved
        left -= solved is not None
        if left <= 0:
            break
    return {"variation": variation, "actions": actions, "positions": positions[EVERY - 1 :: EVERY], "solved": solved}


def main() -> None:
    """Records every task."""
    record: dict[str, Any] = {"versions": {name: version(name) for name in ("metaworld", "mujoco")}, "every": EVERY}
    for name in TASKS:
        environment, policy = build(name)
        generator = np.random.default_rng(0)
        episodes = [states(environment, policy, generator, NOISES.get(name, NOISE)) for _ in range(NUM_EPISODES)]
        record[name] = {"episodes": episodes, "flight": flight(environment, policy, generator)}
        print(name, record[name]["flight"]["solved"], [state["reward"] for state in episodes[0]["states"]])
    TARGET.write_text(json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
