"""Optimisers of agents: hand-written ones, and learned ones with what they read besides the gradient."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.base import Progress
from jaxrl.agents.minibatches import Batch
from jaxrl.agents.natural_gradient import fisher_product, split_optimiser
from jaxrl.agents.on_policy_parts import Parts
from jaxrl.agents.scheduling import annealed_share, rate
from jaxrl.agents.settings import OnPolicyConfig, OnPolicyHyperparameters
from jaxrl.networks.activity import Place, layer_places
from jaxrl.optimisers import Signals
from jaxrl.optimisers.plain import PLAIN, decayed
from jaxrl.types import Array, Float, PRNGKeyArray, PyTree

__all__ = ["clip_by_global_norm", "learned_steps", "make_optimiser", "optimiser_of", "signals", "training_share"]


class Step(NamedTuple):
    """One descent step of a learned optimiser.

    Attributes:
        key: of its noise.
        epoch: share of the passes that are over.
    """

    key: PRNGKeyArray
    epoch: Float[Array, ""]


def optimiser_of(
    parts: Any, hp: Any, fraction: Float[Array, ""] | float, params: PyTree
) -> optax.GradientTransformationExtraArgs:
    """An agent's optimiser at one point of its training, for networks with such parameters.

    Args:
        parts: of the agent; of an off-policy one no more than `config` and `optimiser` are read.
        hp: its hyperparameters.
        fraction: of training that is over.
        params: of its networks.
    """
    if parts.config.optimiser == "natural":
        return _natural(parts.config, hp, fraction, params)
    if parts.optimiser is None:
        return optax.with_extra_args_support(make_optimiser(parts.config, hp, fraction))
    places = layer_places(params)
    learned = parts.optimiser.transformation(hp.optimiser, places, rate(parts.config, hp, fraction))
    return optax.chain(_clip_apart(hp.max_gradient_norm, places), learned)


def _natural(
    config: OnPolicyConfig, hp: OnPolicyHyperparameters, fraction: Float[Array, ""] | float, params: PyTree
) -> optax.GradientTransformationExtraArgs:
    """The trust region of an iteration is shared out among its steps, and annealed as learning rates are."""
    share = annealed_share(config, hp, fraction) / (config.num_epochs * config.num_minibatches)
    critic = make_optimiser(replace(config, optimiser="adam"), hp, fraction)
    return split_optimiser(critic, config.conjugate_gradient_steps, hp.optimiser, share, params)


def learned_steps(parts: Parts, key: PRNGKeyArray) -> Step | tuple[()]:
    """Every descent step of one iteration, for a learned optimiser; others need nothing."""
    if parts.optimiser is None:
        return ()
    epochs, count = parts.config.num_epochs, parts.config.num_minibatches
    # The key itself draws the minibatches.
    keys = jax.random.split(jax.random.fold_in(key, 1), epochs * count)
    return Step(keys, jnp.repeat(jnp.arange(epochs) / max(1, epochs - 1), count))


def signals(
    parts: Parts, step: Any, params: PyTree, batch: Batch, memory: PyTree, progress: Progress
) -> dict[str, Any]:
    """What a learned optimiser reads at one of its steps, or the natural one's matrix; nothing for others."""
    if parts.config.optimiser == "natural":
        return {"product": fisher_product(parts, params, batch, memory)}
    if parts.optimiser is None:
        return {}
    activity = parts.network.activity(params, batch.observation, batch.weights, memory, batch.start)
    return {"signals": Signals(step.key, training_share(progress), step.epoch, activity)}


def training_share(progress: Progress) -> Float[Array, ""]:
    """Share of training that is over; 1 in the last of T iterations."""
    return progress.fraction * progress.horizon / jnp.maximum(progress.horizon - 1.0, 1.0)


def _clip_apart(max_norm: Float[Array, ""] | float, places: list[Place]) -> optax.GradientTransformation:
    """Clips the gradients of actor and critic by their own norms."""
    clip = clip_by_global_norm(max_norm).update

    def update(updates: PyTree, params: PyTree | None = None) -> PyTree:
        leaves, structure = jax.tree.flatten(updates)
        for actor in (True, False):
            chosen = [i for i, place in enumerate(places) if place.actor == actor]
            clipped, _ = clip([leaves[i] for i in chosen], optax.EmptyState())
            for i, leaf in zip(chosen, clipped, strict=True):
                leaves[i] = leaf
        return jax.tree.unflatten(structure, leaves)

    return optax.stateless(update)


def make_optimiser(config: Any, hp: Any, fraction: Float[Array, ""] | float) -> optax.GradientTransformation:
    """Global-norm clipping, then one of `PLAIN`, as one flat vector (fewer, larger operations)."""
    settings = getattr(hp, "optimiser", {})
    clip, scale = clip_by_global_norm(hp.max_gradient_norm), PLAIN[config.optimiser].scale(settings)
    descend = optax.scale_by_learning_rate(rate(config, hp, fraction))
    if "weight_decay" not in PLAIN[config.optimiser].settings:
        return optax.flatten(optax.chain(clip, scale, descend))
    # Which parameters decay is seen in their shapes.
    return optax.chain(optax.flatten(optax.chain(clip, scale)), decayed(settings["weight_decay"]), descend)


def clip_by_global_norm(max_norm: Float[Array, ""] | float) -> optax.GradientTransformation:
    """g min(1, max_norm / ‖g‖), differentiable at g = 0 too, where optax's slope is not a number."""

    def clip(updates: PyTree, params: PyTree | None = None) -> PyTree:
        square = sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(updates))
        scale = jnp.minimum(1.0, max_norm * jax.lax.rsqrt(jnp.maximum(square, 1e-30)))
        return jax.tree.map(lambda leaf: leaf * scale, updates)

    return optax.stateless(clip)
