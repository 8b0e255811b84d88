"""Locomotion's reward formulas and bounds, written out a second time; no physics."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments.multi_objective.locomotion import TASKS
from jaxrl.environments.multi_objective.locomotion.tasks import Transition, healthy, reward

X, Y, DZ, CONTROL = 5.25, -0.75, 0.5, np.array([0.5, -0.25, 1.0])
ENERGY = np.sum(CONTROL**2)
FORCE = np.array([[3.0, -0.5, 0.0, 0.25, -7.0, 1.0], [0.0, 0.0, 2.0, 0.0, 0.0, -0.125]])
CONTACT_ANT = 5e-4 * np.sum(np.clip(FORCE, -1, 1) ** 2)
CONTACT_HUMANOID = 5e-7 * np.sum(FORCE**2)
# Written out from the sources of MO-Gymnasium 1.3.2 and of PGMORL, h being 0 or 1.
FORMULAS = {
    "halfcheetah": lambda h: [X, -ENERGY],
    "hopper-2": lambda h: [X - 1e-3 * ENERGY + h, 10 * DZ - 1e-3 * ENERGY + h],
    "hopper-3": lambda h: [X + h, 10 * DZ + h, -ENERGY + h],
    "walker2d": lambda h: [X + h, -ENERGY + h],
    "ant-2": lambda h: [v - 0.5 * ENERGY + h - CONTACT_ANT for v in (X, Y)],
    "ant-3": lambda h: [v + h - CONTACT_ANT for v in (X, Y, -ENERGY)],
    "humanoid": lambda h: [v + 5 * h - CONTACT_HUMANOID for v in (X, -ENERGY)],
    "swimmer": lambda h: [X, -ENERGY],
    "halfcheetah-pgmorl": lambda h: [min(4.0, X) + 1, 4 - ENERGY + 1],
    "hopper-2-pgmorl": lambda h: [1.5 * X + 1 - 2e-4 * ENERGY, 12 * DZ + 1 - 2e-4 * ENERGY],
    "hopper-3-pgmorl": lambda h: [1.5 * X + 1, 12 * DZ + 1, 4 - ENERGY + 1],
    "walker2d-pgmorl": lambda h: [X + 1, 4 - ENERGY + 1],
    "ant-2-pgmorl": lambda h: [X - 0.5 * ENERGY + 1, Y - 0.5 * ENERGY + 1],
    "humanoid-pgmorl": lambda h: [1.25 * X + 3, 3 - 4 * ENERGY + 3],
    "swimmer-pgmorl": lambda h: [X, 0.3 - 0.15 * ENERGY],
}


def transition(alive, force=FORCE, speed=X):
    arrays = (
        jnp.array([speed, Y]),
        jnp.float32(DZ),
        jnp.asarray(CONTROL, jnp.float32),
        jnp.asarray(force, jnp.float32),
    )
    return Transition(*arrays, healthy=jnp.array(alive))


@pytest.mark.parametrize("alive", [True, False])
@pytest.mark.parametrize("name", list(TASKS))
def test_reward_is_the_published_formula(name, alive):
    expected = FORMULAS[name](float(alive))
    np.testing.assert_allclose(reward(TASKS[name], transition(alive)), expected, rtol=1e-6, atol=1e-6)


def test_caps_of_speed_and_of_contact_cost():
    slow = reward(TASKS["halfcheetah-pgmorl"], transition(True, speed=2.5))
    assert float(slow[0]) == 3.5
    crushed = reward(TASKS["humanoid"], transition(True, force=1e5 * FORCE))
    np.testing.assert_allclose(crushed, [X + 5 - 10, -ENERGY + 5 - 10], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "index", "inside", "outside"),
    [
        ("hopper-2", 1, 0.71, 0.69),
        ("hopper-2", 2, -0.19, -0.21),
        ("hopper-3", 8, 99.0, 101.0),
        ("walker2d", 1, 1.99, 2.01),
        ("ant-3", 2, 0.99, 1.01),
        ("ant-2-pgmorl", 2, 9.0, np.nan),
        ("humanoid", 2, 1.01, 0.99),
        ("halfcheetah-pgmorl", 2, 0.87, 0.88),
        ("hopper-3-pgmorl", 5, -1.57, -1.58),
        ("hopper-2-pgmorl", 1, 0.41, 0.39),
        ("halfcheetah", 2, 9.0, None),
        ("swimmer-pgmorl", 2, 9.0, None),
    ],
)
def test_bounds_of_health(name, index, inside, outside):
    size = 30
    state = np.zeros(size, np.float32)
    state[1 if TASKS[name].robot.startswith(("hopper", "walker2d")) else 2] = 1.25
    if name.startswith(("ant", "swimmer", "halfcheetah")):
        state[2] = 0.5
    for value, expected in ((inside, True), (outside, False)):
        if value is not None:
            state[index] = value
            assert bool(healthy(TASKS[name], jnp.asarray(state[:15]), jnp.asarray(state[15:]))) == expected
