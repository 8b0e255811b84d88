"""Affinity by bias and variance (NonLinCTFA): does regressing on the mean of two targets beat one regression each?"""

import jax.numpy as jnp

from jaxrl.types import Array, Float

__all__ = ["variance_affinity"]


def variance_affinity(
    features: Float[Array, "sample feature"], targets: Float[Array, "sample task"]
) -> Float[Array, "task task"]:
    """min over i and j of what the mean squared error gains if both regress on (y_i + y_j)/2: variance saved less bias.

        gain_i = v_i − v_ij + b_ij − (b_i + b_j)/2,   v = s² D/(N − 1),   b = R² (Var y − s²)

    of the least-squares fits of y_i, y_j and their mean, with s² the residual variance; the first phase of NonLinCTFA
    (Bonetti, Metelli and Restelli, 2024, arXiv 2406.07991) aggregates two targets where it is at least ε for both. The
    paper's greedy pass over targets is left to the clustering. All tasks are measured on the same samples, such as
    several objectives of the same transitions; nothing else of it applies to tasks with data of their own.

    Args:
        features: D of them, such as projected gradients; centred here. N must exceed D + 1.
        targets: y, such as advantages or returns; comparable in scale, because the gains are in their squared units.

    Raises:
        ValueError: for too few samples.
    """
    samples, dimension = features.shape
    if samples <= dimension + 1:
        raise ValueError(
            f"least squares with {dimension} features needs more than {dimension + 1} samples, got {samples}"
        )
    features = features - features.mean(axis=0)
    targets = targets - targets.mean(axis=0)
    basis, _ = jnp.linalg.qr(features)
    residuals = targets - basis @ (basis.T @ targets)
    paired = lambda moments: (jnp.diag(moments)[:, None] + 2 * moments + jnp.diag(moments)[None]) / 4  # noqa: E731
    # Fits are linear in their target: those of a mean are means. On the diagonal the mean is the target itself.
    unexplained, total = paired(residuals.T @ residuals), paired(targets.T @ targets)
    noise = unexplained / (samples - dimension - 1)
    variance = noise * dimension / (samples - 1)
    fitted = (1 - unexplained / jnp.maximum(total, 1e-30)) * (total / (samples - 1) - noise)
    bias = fitted - (jnp.diag(fitted)[:, None] + jnp.diag(fitted)[None]) / 2
    gain = jnp.diag(variance)[:, None] - variance + bias
    return jnp.minimum(gain, gain.T)
