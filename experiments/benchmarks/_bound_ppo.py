"""PPO by jaxrl under one more setting, timed and counted; run by `bound.py` in a process of its own."""

import jax
import numpy as np
from _bound_counts import counts, products
from _jaxrl_ppo import build
from _protocol import compile_ahead, read_settings, report, run_repeatedly, versions

import jaxrl


def rebuilt(trainer: jaxrl.Trainer, changed: dict) -> jaxrl.Trainer:
    """The trainer under other settings."""
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in changed.items()}
    return trainer.rebuild(**plain) if plain else trainer


def main() -> None:
    """Trains one seed and reports time, and the operations of the compiled program."""
    settings = read_settings()
    trainer = rebuilt(build(settings), settings["changed"])
    arguments = jax.random.key(settings["seed"]), trainer.hyperparameters
    compiled, compile_seconds = compile_ahead(trainer.run, *arguments)
    result, seconds = run_repeatedly(compiled, *arguments)
    text = compiled.as_text()
    report(
        compile_seconds=compile_seconds,
        **seconds,
        env_steps=trainer.num_iterations * trainer.steps_per_iteration,
        returns=np.asarray(result.evaluation.returns)[-1].tolist(),
        counts=counts(text, settings["turns"]),
        products=products(text, settings["turns"]),
        versions=versions("jaxrl", "gymnax", "jax", "jaxlib"),
    )


if __name__ == "__main__":
    main()
