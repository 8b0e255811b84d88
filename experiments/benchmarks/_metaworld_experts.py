"""Meta-World's own scripted policies in its own environment; run by the driver inside the peer's environment."""

import sys
import time
from pathlib import Path

import numpy as np
from _protocol import read_settings, report, versions

sys.path.append(str(Path(__file__).parents[1]))
from metaworld_peer import build, start


def main() -> None:
    """Plays every variation of one task and reports when it was solved, and the speed of stepping alone."""
    settings = read_settings()
    environment, policy = build(settings["task"])
    solved, returns, stepping, num_steps = [], [], 0.0, 0
    for vector in settings["variations"]:
        observation, _ = start(environment, np.array(vector))
        first, total = None, 0.0
        for step in range(settings["limit"]):
            action = np.clip(policy.get_action(observation.copy()), -1.0, 1.0)
            began = time.process_time()
            observation, reward, _, _, info = environment.step(action)
            stepping, num_steps = stepping + time.process_time() - began, num_steps + 1
            total += float(reward)
            if info["success"] and first is None:
                first = step
        solved.append(first)
        returns.append(total)
    report(
        solved=solved,
        returns=returns,
        steps_per_processor_second=num_steps / stepping,
        versions=versions("metaworld", "mujoco"),
    )


if __name__ == "__main__":
    main()
