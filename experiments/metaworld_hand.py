"""How the hand of Meta-World moves: the constants of jaxrl/environments/metaworld/models.py, fitted to the original.

    python experiments/metaworld_hand.py

Runs in an environment of its own, with `pip install metaworld==3.1.1 packaging` and without jaxrl. Pulls the resting
hand with known forces for its stiffness; flies it between random points of the workspace, closed loop at three gains,
and fits damping per axis and the reach of the arm (`models.aim`) to where it went, open loop from the targets alone;
lets the open door go, which its frame pushes back.
"""

from typing import Any

import numpy as np
from metaworld_peer import build, draw, start
from scipy.optimize import least_squares

MASS, STIFFNESS, SUBSTEPS, STEP = 5.0, 8170.0, 3, 0.0125
OFFSET = np.array([0.0, 0.0002, -0.0038])
NUM_FLIGHTS, NUM_STEPS, LEG = 24, 200, 50
FAR = np.array([0.6, 0.9, 0.02])


def begin(environment: Any) -> None:
    """A reset, with the puck out of the way."""
    start(environment, draw(environment, np.random.default_rng(0)))
    environment._set_obj_xyz(FAR)


def towards(environment: Any, point: np.ndarray) -> np.ndarray:
    """The action that moves the hand's target to `point`, fingers open."""
    delta = (point - environment.data.mocap_pos[0]) / environment.action_scale
    return np.append(np.clip(delta, -1.0, 1.0), -1.0).astype(np.float32)


def pull(environment: Any, point: tuple[float, float, float]) -> np.ndarray:
    """Stiffness along each axis, N/m, at `point`."""
    stiffness = np.zeros(3)
    for axis in range(3):
        begin(environment)
        for _ in range(90):
            environment.step(towards(environment, np.array(point)))
        before = environment.get_endeff_pos().copy()
        environment.data.xfrc_applied[environment.model.body("hand").id][axis] = 20.0
        for _ in range(60):
            environment.step(np.array([0.0, 0.0, 0.0, -1.0], np.float32))
        stiffness[axis] = 20.0 / (environment.get_endeff_pos() - before)[axis]
        environment.data.xfrc_applied[:] = 0.0
    return stiffness


def fly(environment: Any, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Targets [flight, time, 3] and the hand's positions [flight, time + 1, 3]."""
    targets, hands = [], []
    for _ in range(NUM_FLIGHTS):
        begin(environment)
        flown, seen = [], [environment.get_endeff_pos().copy()]
        for step in range(NUM_STEPS):
            if step % LEG == 0:
                goal, gain = generator.uniform((-0.2, 0.45, 0.06), (0.2, 0.95, 0.35)), generator.choice([5, 10, 25])
            motion = np.clip(gain * (goal - environment.get_endeff_pos()), -1.0, 1.0)
            environment.step(np.append(motion, -1.0).astype(np.float32))
            flown.append(environment.data.mocap_pos[0].copy())
            seen.append(environment.get_endeff_pos().copy())
        targets.append(flown)
        hands.append(seen)
    return np.array(targets), np.array(hands)


def follow(constants: np.ndarray, targets: np.ndarray, hands: np.ndarray) -> np.ndarray:
    """Errors [flight, time, 3] of the damped spring; constants: damping (3), shoulder's y and z, reach, softness."""
    damping, shoulder = constants[:3] * 100.0, np.array([0.0, constants[3], constants[4]])
    reach, softness = constants[5], constants[6]
    away = targets - shoulder
    distance = np.linalg.norm(away, axis=-1, keepdims=True)
    aimed = shoulder + away * (reach - softness * np.logaddexp(0.0, (reach - distance) / softness)) / distance + OFFSET
    position, velocity, h, path = hands[:, 0].copy(), np.zeros((len(hands), 3)), STEP / SUBSTEPS, []
    for step in range(targets.shape[1]):
        for _ in range(SUBSTEPS):
            velocity = (velocity + h * STIFFNESS / MASS * (aimed[:, step] - position)) / (1.0 + h * damping / MASS)
            position = position + h * velocity
        path.append(position)
    return np.stack(path, axis=1) - hands[:, 1:]


def main() -> None:
    """Prints what `models.py` holds."""
    environment, _ = build("reach")
    environment.max_path_length = 10**9
    print("stiffness, N/m:", *(pull(environment, point).round(-1) for point in ((0.0, 0.6, 0.2), (0.1, 0.7, 0.15))))
    targets, hands = fly(environment, np.random.default_rng(1))
    first = np.array([4.0, 5.0, 4.0, 0.3, 0.27, 0.61, 0.05])
    fitted = least_squares(
        lambda constants: follow(constants, targets, hands).ravel(), first, x_scale=first, loss="soft_l1", f_scale=3e-3
    ).x
    print("damping, N s/m:", (100.0 * fitted[:3]).round(), "shoulder, reach, softness, m:", fitted[3:].round(4))
    for name, constants in (("fitted", fitted), ("without reach", np.append(fitted[:5], [10.0, 0.05]))):
        error = 1000.0 * np.linalg.norm(follow(constants, targets, hands), axis=-1)
        print(f"{name}: median {np.median(error):.1f} mm, 99 % below {np.quantile(error, 0.99):.1f} mm")
    door, _ = build("door-open")
    start(door, draw(door, np.random.default_rng(0)))
    door.data.qpos[9], angles = -1.5708, []
    for _ in range(40):
        door.do_simulation([-1.0, 1.0], door.frame_skip)
        angles.append(float(door.data.qpos[9]))
    print("the open door, let go:", np.round(angles[::8], 3))


if __name__ == "__main__":
    main()
