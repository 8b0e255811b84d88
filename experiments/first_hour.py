"""The first fifteen things of a researcher's day, as docs/tutorial.md shows them: runs each, from an empty folder, timed.

    python experiments/first_hour.py            # writes results/first_hour.json, from which the page is written

Every step is one command or a few lines. What is timed is the whole step as a user waits for it: imports, compilation
(nothing is kept from before), training, tables and figures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "first_hour.json"


class Step(NamedTuple):
    """One thing to do.

    Attributes:
        title: what.
        says: what there is to see or to know, a paragraph.
        shell: commands, a line each; or
        python: a program.
        file: name of a file that `python` is saved as first, for `shell` to use.
    """

    title: str
    says: str
    shell: str = ""
    python: str = ""
    file: str = ""


STEPS = (
    Step(
        "Train an agent",
        "The table of evaluations is printed, and `runs/cartpole` holds it with checkpoints, figures and all that it takes to "
        "repeat the run.",
        "jaxrl train ppo gymnax/CartPole-v1 --total-steps 200000 --out runs/cartpole",
    ),
    Step(
        "Sweep seeds and settings",
        "Twelve runs are one compiled program.",
        "jaxrl sweep ppo gymnax/CartPole-v1 --seeds 4 --sweep learning_rate=3e-4,1e-3,3e-3 --total-steps 100000 --out runs/sweep",
    ),
    Step(
        "See the curve of a run in progress",
        "Rows of `metrics.csv` come with every chunk of iterations; `jaxrl plot` draws what is there, and `jaxrl runs` says how "
        "far each run has come.",
        "jaxrl train ppo gymnax/Acrobot-v1 --total-steps 2000000 --progress False --out runs/acrobot > train.log &\n"
        "until [ -s runs/acrobot/metrics.csv ]; do sleep 1; done\n"
        "jaxrl plot runs/acrobot\n"
        "jaxrl runs runs\n"
        "wait",
    ),
    Step(
        "Compare two agents",
        "Interquartile means with bootstrap intervals, performance profiles and the probability of improvement.",
        "jaxrl compare ppo,a2c gymnax/CartPole-v1 --seeds 4 --total-steps 100000 --out runs/comparison",
    ),
    Step(
        "Load a policy",
        "A policy is a function of a key and an observation.",
        python="""\
import jax, jaxrl

policy, env = jaxrl.load("runs/cartpole"), jaxrl.make("gymnax/CartPole-v1")
state, observation = env.reset(jax.random.key(0), env.params)
print(policy(jax.random.key(1), observation))
""",
    ),
    Step(
        "Look at it",
        "An episode as a GIF, an mp4 or pictures; and a page with everything about the run, which opens without a network.",
        "jaxrl watch runs/cartpole --max-steps 200 --out episode.gif\njaxrl report runs/cartpole",
    ),
    Step(
        "Log where your group logs",
        "Also `wandb` and `mlflow`, and a logger of your own.",
        "jaxrl train a2c gymnax/CartPole-v1 --total-steps 100000 --log csv,tensorboard --out runs/logged",
    ),
    Step(
        "Your own environment",
        "Pure functions and a description; here one that wraps another.",
        "jaxrl train ppo own/balance --import my_env --total-steps 100000 --out runs/balance",
        """\
import jaxrl


def balance():
    env = jaxrl.make("gymnax/CartPole-v1")

    def step(key, state, action, params):
        state, seen = env.step(key, state, action, params)
        return state, seen._replace(reward=seen.reward - abs(seen.observation[:1]))  # and stay in the middle

    return env._replace(step=step)


jaxrl.register("own/balance", balance)
""",
        "my_env.py",
    ),
    Step(
        "Your own network",
        "A flax module, by name in the shell or as it is in Python.",
        "jaxrl train ppo gymnax/CartPole-v1 --import my_net --network gated --total-steps 100000 --out runs/gated",
        """\
import flax.linen as nn
import jaxrl


@jaxrl.register_network("gated")
class Gated(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(64)(x) * nn.sigmoid(nn.Dense(64)(x))
""",
        "my_net.py",
    ),
    Step(
        "Your own loss",
        "Its parameters are traced: swept, and meta-learned, as any others.",
        "jaxrl sweep ppo gymnax/CartPole-v1 --import my_loss --surrogate soft_clip --sweep softness=0.1,0.3 --seeds 2 \\\n"
        "    --total-steps 100000 --out runs/loss",
        """\
import jax.numpy as jnp
import jaxrl
from jaxrl.objectives.base import Surrogate


@jaxrl.register_objective("soft_clip")
def soft_clip():
    def apply(inputs, parameters, state):
        s = parameters["softness"]
        return -s * jnp.tanh(inputs.log_ratio / s) * inputs.advantage

    return Surrogate(lambda key: {"softness": jnp.asarray(0.2)}, apply)
""",
        "my_loss.py",
    ),
    Step(
        "Go on after a kill",
        "A run that is killed, here after fifteen seconds, goes on from its last checkpoint to the same bits as one that was not.",
        "timeout -s KILL 15 jaxrl train ppo gymnax/CartPole-v1 --total-steps 8000000 --checkpoint-seconds 1 --out runs/killed || true\n"
        "jaxrl resume runs/killed",
    ),
    Step(
        "Other physics",
        "Constants of the environment are traced; evaluation uses the swept ones.",
        "jaxrl sweep ppo gymnax/CartPole-v1 --sweep environment.gravity=5,9.8,20 --seeds 4 --total-steps 100000 --out runs/gravity",
    ),
    Step(
        "Use two devices",
        "Members of a sweep lie on all devices by themselves. So does one wide run: devices divide the copies of its environment.",
        "jaxrl train ppo gymnax/CartPole-v1 --num-envs 2048 --num-steps 16 --total-steps 2000000 --out runs/wide",
    ),
    Step(
        "Use a cluster",
        "`--on slurm` and `--on ray` do the same elsewhere; the results come back as one sweep.",
        "jaxrl sweep ppo gymnax/CartPole-v1 --seeds 4 --total-steps 100000 --on local --jobs 2 --out runs/jobs",
    ),
    Step(
        "Take the policy elsewhere",
        "Without jaxrl: ONNX, or `jax.export`. What is written has acted as the policy does on 1,000 observations.",
        "jaxrl export runs/cartpole --format onnx --out policy.onnx",
    ),
)


def run(step: Step, folder: Path, environment: dict[str, str]) -> tuple[float, str]:
    """Seconds, and the last lines that the step printed."""
    if step.file:
        (folder / step.file).write_text(step.python)
    words = ["bash", "-e", "-c", step.shell] if step.shell else [sys.executable, "-c", step.python]
    start = time.perf_counter()
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{step.title}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds, done.stdout


def main() -> None:
    """Runs all steps in an empty folder and writes what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "XDG_CACHE_HOME": str(folder / ".cache")}
        for step in STEPS:
            seconds, printed = run(step, folder, environment)
            print(f"{step.title}: {seconds:.1f} s", flush=True)
            found.append({**step._asdict(), "seconds": round(seconds, 1), "printed": printed.strip().splitlines()[-3:]})
    arguments.out.write_text(json.dumps({"cores": os.cpu_count(), "steps": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
