"""Summaries, states and learning runs for the tests of aggregators."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import hyperparameters as named
from jaxrl.aggregation import ReturnSummary

WEIGHTS = jnp.asarray([0.2, 0.5, 0.3])
RETURNS = jnp.asarray([1.0, 4.0, 2.5])


def summary(returns, count=3.0, discounted=None):
    returns = jnp.asarray(returns, jnp.float32)
    discounted = returns if discounted is None else jnp.asarray(discounted, jnp.float32)
    return ReturnSummary(returns, discounted, jnp.asarray(11.0), jnp.asarray(count))


NOTHING_ENDED = summary(jnp.zeros(3), count=0.0)


def prepared(aggregator, returns=RETURNS, **changes):
    """Parameters and the state after one iteration with `returns`."""
    parameters = {**aggregator.parameters(3), **{name: jnp.asarray(value) for name, value in changes.items()}}
    state = aggregator.init(3, parameters)
    return aggregator.update(state, summary(returns), WEIGHTS, parameters), parameters


def finite_differences(utility, point, step=1e-4):
    point = np.asarray(point, np.float64)
    return np.array([(utility(point + d) - utility(point - d)) / (2 * step) for d in np.eye(len(point)) * step])


def ascend(aggregator, front, cases, num_steps=3000, rate=0.03):
    """Exact gradient ascent of a softmax over the rows of `front`; the mean returns of the last quarter.

    `cases` maps leaves of the aggregator, or `weights`, to one value per case.
    """
    front = jnp.asarray(front, jnp.float32)

    def run(case):
        case = {name: jnp.asarray(value, jnp.float32) for name, value in case.items()}
        weights = case.pop("weights", jnp.full(front.shape[1], 1.0 / front.shape[1]))
        parameters = {**aggregator.parameters(front.shape[1]), **case}

        def body(carry, _):
            state, logits = carry
            returns = jax.nn.softmax(logits) @ front
            state = aggregator.update(state, summary(returns), weights, parameters)
            coefficients = aggregator.coefficients(state, weights, parameters)
            gradient = jax.grad(lambda x: jax.nn.softmax(x) @ front @ coefficients)(logits)
            return (state, logits + rate * gradient / (1e-6 + jnp.abs(gradient).max())), returns

        carry = aggregator.init(front.shape[1], parameters), jnp.zeros(front.shape[0])
        return jax.lax.scan(body, carry, None, length=num_steps)[1][-num_steps // 4 :].mean(axis=0)

    return np.asarray(jax.jit(jax.vmap(run))({name: jnp.asarray(value) for name, value in cases.items()}))


def learn(trainer, cases, seed=0):
    """Mean episode returns over the last quarter of one run per case; `cases` as in `ascend`, by hyperparameter."""
    defaults = trainer.hyperparameters
    swept = named.replace(defaults, cases, batch_axes=1, ranges=trainer.ranges)
    count = len(next(iter(cases.values())))

    def every(new, old):
        return new if new.ndim > old.ndim else jnp.broadcast_to(new, (count, *new.shape))

    run = jax.jit(jax.vmap(lambda hp: trainer.run(jax.random.key(seed), hp).metrics["episode_return"]))
    returns = np.asarray(run(jax.tree.map(every, swept, defaults)))
    return returns[:, -returns.shape[1] // 4 :].mean(axis=1)
