"""Projections, projected gradients, and the curvature around the meta-parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from jaxrl.errors import UnknownNameError
from jaxrl.multitask.grouping.curvature import first_order_error, hessian_trace
from jaxrl.multitask.grouping.gradients import projected_gradients
from jaxrl.multitask.grouping.projection import ProjectionConfig, random_projection
from tests.grids import pick

pytestmark = pytest.mark.quick_compilation

KEY = jax.random.key(3)
PARAMS = {"bias": jnp.linspace(-1.0, 1.0, 7), "weight": jnp.linspace(0.5, 2.0, 30).reshape(5, 6)}
# 37 parameters in chunks of 8: the last chunk is part padding.
CONFIGS = [
    ProjectionConfig(projection_dimension=11, projection_entries=entries, projection_rows=8)
    for entries in ("gaussian", "rademacher")
]


def flatten(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def whole(projection):
    """P: what every unit vector lifts to."""
    lifted = jax.jit(jax.vmap(lambda x: projection.lift(KEY, x), out_axes=-1))(jnp.eye(projection.dimension))
    return np.concatenate([np.reshape(leaf, (-1, projection.dimension)) for leaf in jax.tree.leaves(lifted)])


def scalar(params, sample):
    return jnp.sum(jnp.tanh(sample @ params["weight"]) * params["weight"][0]) + jnp.sum(params["bias"] ** 2) * sample[0]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.projection_entries)
def test_projection_lift_and_gram_are_one_matrix(config):
    projection = random_projection(PARAMS, config)
    matrix = whole(projection)
    flat, project = flatten(PARAMS), jax.jit(projection.project)
    assert matrix.shape == (projection.num_parameters, 11) and projection.dimension == 11
    np.testing.assert_allclose(project(KEY, PARAMS), flat @ matrix, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(jax.jit(projection.gram)(KEY), matrix.T @ matrix, rtol=1e-5, atol=1e-5)
    assert not np.allclose(project(jax.random.key(4), PARAMS), project(KEY, PARAMS))


@pytest.mark.parametrize("entries", ["gaussian", "rademacher"])
def test_entries_have_variance_one_over_d(entries):
    wide = random_projection(
        jnp.zeros(3000), ProjectionConfig(projection_dimension=40, projection_entries=entries, projection_rows=128)
    )
    matrix = whole(wide)
    error = 5 / np.sqrt(matrix.size)
    assert abs(matrix.mean() * 40**0.5) < error and abs(matrix.var() * 40 - 1) < 2 * error
    # Different chunks and different columns are independent.
    correlations = np.corrcoef(matrix[:128].T) - np.eye(40)
    assert (
        np.abs(correlations).max() < 0.5 and abs(np.corrcoef(matrix[:128].ravel(), matrix[128:256].ravel())[0, 1]) < 0.1
    )
    if entries == "rademacher":
        np.testing.assert_allclose(np.abs(matrix), 40**-0.5, rtol=1e-6)


def test_gradients_do_not_depend_on_the_chunk_of_samples():
    projection = random_projection(PARAMS, CONFIGS[0])
    samples = jax.random.normal(KEY, (13, 5))
    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(scalar), (None, 0)))(PARAMS, samples)
    reference = np.stack([flatten(pick(gradients, i)) for i in range(13)]) @ whole(projection)
    for chunk in (4, 64):
        found = jax.jit(lambda s, chunk=chunk: projected_gradients(scalar, PARAMS, s, projection, KEY, chunk))(samples)
        np.testing.assert_allclose(found.features, reference, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.values, values, rtol=1e-5)


def test_devices_share_the_rows():
    projection = random_projection(PARAMS, CONFIGS[1])
    shared = random_projection(PARAMS, CONFIGS[1], Mesh(np.asarray(jax.devices()[:4]), ("row",)))
    x = jnp.arange(11.0)
    everything = lambda p: (p.project(KEY, PARAMS), p.lift(KEY, x), p.gram(KEY))  # noqa: E731
    one, many = jax.jit(lambda: everything(projection))(), jax.jit(lambda: everything(shared))()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), one, many)


def test_clear_errors():
    with pytest.raises(UnknownNameError, match="Did you mean 'gaussian'"):
        ProjectionConfig(projection_entries="gausian")
    with pytest.raises(ValueError, match="dimension must be at least 1, got 0"):
        ProjectionConfig(projection_dimension=0)
    with pytest.raises(ValueError, match="floats, got int32"):
        random_projection({"count": jnp.arange(3)})
    with pytest.raises(ValueError, match="11 features, got shape"):
        random_projection(PARAMS, CONFIGS[0]).lift(KEY, jnp.zeros(4))
    with pytest.raises(ValueError, match="chunk must be at least 1"):
        projected_gradients(scalar, PARAMS, jnp.zeros((2, 5)), random_projection(PARAMS, CONFIGS[0]), KEY, 0)


def loss(params):
    return jnp.sum(jnp.sin(params["weight"]) ** 2) * jnp.sum(params["bias"] ** 4) + jnp.prod(params["bias"][:3])


def test_hessian_trace_beside_the_explicit_hessian():
    hessian = jax.jit(jax.hessian(loss))(PARAMS)
    exact = {name: np.trace(np.reshape(hessian[name][name], (PARAMS[name].size,) * 2)) for name in PARAMS}
    found = jax.jit(lambda key: hessian_trace(loss, PARAMS, key, num_probes=400, probes_at_once=40))(KEY)
    for name in PARAMS:
        assert abs(found.layers[name] - exact[name]) < 4 * found.layer_errors[name] + 1e-3
    assert 0 < found.standard_error < 0.2 * abs(found.trace)
    assert abs(found.trace - sum(exact.values())) < 4 * found.standard_error
    np.testing.assert_allclose(found.trace, found.layers["bias"] + found.layers["weight"], rtol=1e-4)
    # A diagonal Hessian's trace has no variance under Rademacher probes.
    diagonal = jax.jit(lambda p: hessian_trace(lambda p: jnp.sum(p**4), p, KEY, num_probes=3))(jnp.arange(1.0, 4.0))
    np.testing.assert_allclose(diagonal.trace, 12 * 14.0, rtol=1e-6)
    assert diagonal.standard_error < 1e-3


def test_expansion_error_is_of_second_order():
    directions = jax.tree.map(lambda leaf: jax.random.normal(KEY, (4, *leaf.shape)), PARAMS)
    outputs = lambda params: jnp.stack([loss(params), 2.0 + params["bias"] @ params["bias"]])  # noqa: E731
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (PARAMS, directions))
        found = jax.jit(lambda p, d: first_order_error(outputs, p, d, jnp.asarray([0.0002, 0.0004, 0.0008])))(*wide)
    np.testing.assert_allclose(found.first_order[1:] / found.first_order[:-1], 4.0, rtol=0.1)
    np.testing.assert_allclose(found.zero_order[1:] / found.zero_order[:-1], 2.0, rtol=0.1)
    # f = ‖θ‖² along θ itself: (1 + r)² − 1 − 2r = r².
    square = jax.jit(lambda p: first_order_error(lambda p: p @ p, p, p[None], jnp.asarray([0.1])))(jnp.ones(3))
    np.testing.assert_allclose(square.first_order, 0.01 / 1.21, rtol=1e-4)
    np.testing.assert_allclose(square.zero_order, 0.21 / 1.21, rtol=1e-4)
