"""A uniform policy in highway-env; run by the driver inside the peer's environment."""

import time

import gymnasium
import highway_env  # noqa: F401
import numpy as np
from _protocol import read_settings, report, versions


def main() -> None:
    """Plays episodes and reports their returns, and the time of stepping and resetting."""
    settings = read_settings()
    environment = gymnasium.make(settings["environment"])
    generator, returns, num_steps = np.random.default_rng(settings["seed"]), [], 0
    wall, processor = time.perf_counter(), time.process_time()
    for episode in range(settings["episodes"]):
        environment.reset(seed=1000 * settings["seed"] + episode)
        total, ended = 0.0, False
        while not ended:
            _, reward, terminated, truncated, _ = environment.step(int(generator.integers(5)))
            total, num_steps, ended = total + float(reward), num_steps + 1, terminated or truncated
        returns.append(total)
    report(
        env_steps=num_steps,
        run_seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - processor,
        compile_seconds=0.0,
        returns=returns,
        versions=versions("highway-env"),
    )


if __name__ == "__main__":
    main()
