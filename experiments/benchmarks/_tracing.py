"""Seconds to trace and to lower one program of jaxrl, at this or an earlier commit: `python _tracing.py ppo`."""

import json
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

import jaxrl


def build(name: str) -> Any:
    """PPO, C-MORL or LPG as the command line builds them."""
    if name == "ppo":
        return jaxrl.trainer("ppo", "gymnax/CartPole-v1", total_steps=100_000)
    if name == "c_morl":
        return jaxrl.study("c_morl", "mo/deep-sea-treasure", total_steps=1_000_000)
    from jaxrl.meta.methods import meta_learner

    return meta_learner("lpg", "grid/tiny")


def equations(jaxpr: Any) -> int:
    """Equations of a program, those of its loops and branches included."""
    return sum(1 + sum(map(equations, core.jaxprs_in_params(equation.params))) for equation in jaxpr.eqns)


def main() -> None:
    """Prints seconds of one processor as JSON."""
    try:
        from jaxrl.sweeps.program import program
    except ImportError:
        from jaxrl.program import program

    built = build(sys.argv[1])
    compiled = program(built, 32)
    index = jnp.asarray(0, jnp.int32)
    key, hyperparameters = jax.random.key(0), jax.tree.map(jnp.asarray, built.hyperparameters)
    # What JAX does once in a process, whatever is traced.
    jax.jit(lambda x: jnp.tanh(x) @ x).trace(jnp.ones((2, 2))).lower()
    start = time.process_time()
    init = compiled.init.function.trace(key, hyperparameters)
    advance = compiled.advance.function.trace(init.out_info, hyperparameters, index, index)
    traced = time.process_time()
    lowered = [init.lower(), advance.lower()]
    end = time.process_time()
    print(
        json.dumps(
            {
                "trace": traced - start,
                "lower": end - traced,
                "equations": sum(equations(part.jaxpr.jaxpr) for part in (init, advance)),
                "bytes": sum(len(part.as_text()) for part in lowered),
            }
        )
    )


if __name__ == "__main__":
    main()
