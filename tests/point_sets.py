"""Random sets of return vectors with what makes them hard: ties, duplicates, dominated points, flat faces, masks."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

CAPACITY = 13
# Few distinct values, so that duplicates, ties and dominated points are common.
GRID = st.integers(-3, 6).map(lambda n: n / 2)
# Subnormals are flushed to zero by compiled code, and are not what this is about.
REAL = st.floats(-2, 3, width=32, allow_subnormal=False)
SHAPES = ("random", "concave", "convex", "duplicated", "grid", "flat")

quick = settings(max_examples=120, deadline=None)


@st.composite
def masked_sets(draw, num_objectives, capacity=CAPACITY):
    values = draw(st.sampled_from([GRID, REAL]))
    points = draw(hnp.arrays(np.float32, (capacity, num_objectives), elements=values))
    mask = draw(hnp.arrays(bool, capacity))
    return points, mask


def sets_of(*sizes):
    return st.sampled_from(sizes).flatmap(masked_sets)


def shaped(shape, count, num_objectives, seed=0):
    """A larger set of one of `SHAPES`, positive; `flat` lies on one hyperplane."""
    generator = np.random.default_rng(seed)
    points = np.abs(generator.normal(size=(count, num_objectives)))
    if shape in ("concave", "convex"):
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        points = 1.0 - points if shape == "convex" else points
    if shape == "duplicated":
        points = np.concatenate([points[: -(-count // 3)]] * 3)[:count]
    if shape == "grid":
        points = np.round(2.0 * points) / 2.0
    if shape == "flat":
        points = np.round(generator.dirichlet(np.ones(num_objectives), count) * 8.0) / 8.0
    return points.astype(np.float32)


def brute_non_dominated(points, mask):
    keep = mask.copy()
    for j in np.flatnonzero(mask):
        for i in np.flatnonzero(mask):
            better = np.all(points[i] >= points[j]) and np.any(points[i] > points[j])
            if better or (i < j and np.array_equal(points[i], points[j])):
                keep[j] = False
    return keep
