"""MAML: a policy from which a few gradient steps on a task lead far (Finn et al., 2017, arXiv 1703.03400)."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.agents.on_policy import on_policy
from jaxrl.agents.settings import OnPolicyConfig
from jaxrl.environments.batching import vectorise
from jaxrl.environments.family import TaskFamily
from jaxrl.hyperparameters import split_settings
from jaxrl.multitask.maml.adaptation import Adaptation, Experience, adapt_on, experience, outer_loss
from jaxrl.multitask.maml.contract import Maml, MamlEvaluation, MamlState
from jaxrl.multitask.maml.settings import MamlConfig, MamlHyperparameters, validate
from jaxrl.numerics.finite import mean_of_finite, soundness
from jaxrl.objectives.surrogate import make_surrogate
from jaxrl.training.loop import Result, evaluate_where, evaluation_due, evaluation_iterations, scan_steps
from jaxrl.training.schedule import fit_evaluations
from jaxrl.training.trainer import Trainer, trainer
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree
from jaxrl.validity import choose, pooled

__all__ = ["maml"]


class _Parts(NamedTuple):
    adaptation: Adaptation
    trainer: Trainer
    config: MamlConfig
    num_tasks: int

    @property
    def num_rollouts(self) -> int:
        """Of one iteration."""
        return self.num_tasks * (self.config.adaptation_steps + 1)

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps."""
        return self.num_rollouts * self.trainer.steps_per_iteration


def maml(family: TaskFamily, **settings: Any) -> Maml:
    """MAML: policies from which a few gradient steps on a task lead far (arXiv 1703.03400, section 3.2, algorithm 3).

    θ descends Σᵢ Lᵢ(Uᵢ(θ)) with Uᵢ(θ) = θ − α ∇Lᵢ(θ), taken `adaptation_steps` times; Lᵢ before and after are policy
    losses on rollouts of task i under the policy of that moment, with advantages from a baseline that is fitted to
    each rollout (`linear_baseline`). The outer loss is PPO's, so that rollouts serve several steps.

    Args:
        family: the tasks; its held-out ones are kept for evaluation.
        settings: of `MamlConfig` and `MamlHyperparameters`, by name.

    Raises:
        UnknownNameError: for an unknown setting, with the nearest match.
        ValueError: for counts out of range, or no number of steps where there is no time limit.
    """
    config, hyperparameters = split_settings(settings, MamlConfig, MamlHyperparameters())
    config = fit_evaluations(config, settings, config.num_iterations)
    evaluated = family.held_out if family.num_held_out else family.train
    tasks = {"tasks": family.train.params, "evaluation_tasks": evaluated.params}
    tasks = {name: settings.get(name, params) for name, params in tasks.items()}
    hyperparameters = hyperparameters._replace(**jax.tree.map(jnp.asarray, tasks))
    parts = _make_parts(family, config)
    return Maml(
        init=partial(_init, parts),
        step=partial(_step, parts),
        run=partial(_run, parts),
        adapt=partial(_adapt, parts),
        evaluate=partial(_evaluate, parts),
        hyperparameters=hyperparameters,
        trainer=parts.trainer,
        family=family,
        config=config,
        settings=settings,
        rebuild=lambda **changes: maml(family, **{**settings, **changes}),
        steps_per_iteration=parts.steps_per_iteration,
    )


def _make_parts(family: TaskFamily, config: MamlConfig) -> _Parts:
    validate(family, config)
    spec = family.environment.spec
    agent_config = OnPolicyConfig(
        num_envs=config.num_envs,
        num_steps=config.num_steps or spec.time_limit,
        num_minibatches=1,
        standardise_advantages="none",
        network=config.network,
        hidden_sizes=config.hidden_sizes,
        activation=config.activation,
        initial_log_std=config.initial_log_std,
    )
    steps = agent_config.num_envs * agent_config.num_steps
    acting = trainer(
        lambda spec: on_policy(spec, agent_config), family.environment, total_steps=steps, num_evaluations=1
    )
    adaptation = Adaptation(
        parts=acting.agent.update.args[0],
        inner=make_surrogate(config.inner_surrogate),
        agent=acting.agent,
        environment=vectorise(family.environment, config.num_envs, "pool" if spec.costly_reset else "fresh"),
        second_order=config.order == "second",
    )
    return _Parts(adaptation, acting, config, config.tasks_per_iteration or family.train.num_tasks)


def _optimiser(hp: MamlHyperparameters) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(hp.max_gradient_norm), optax.adam(hp.learning_rate))


def _of_task(parts: _Parts, hp: MamlHyperparameters, task: PyTree) -> Any:
    """The agent's hyperparameters in one task."""
    return parts.adaptation.agent.hyperparameters._replace(
        discount=hp.discount,
        gae_lambda=hp.gae_lambda,
        entropy_coefficient=hp.entropy_coefficient,
        value_coefficient=jnp.zeros(()),
        objective={"clip_epsilon": hp.clip_epsilon},
        environment=task,
    )


def _rates(hp: MamlHyperparameters, count: int) -> Float[Array, " step"]:
    rates = jnp.atleast_1d(hp.inner_learning_rate)
    return rates[jnp.minimum(jnp.arange(count), rates.shape[0] - 1)]


def _init(parts: _Parts, key: PRNGKeyArray, hp: MamlHyperparameters) -> MamlState:
    init_key, run_key = jax.random.split(key)
    params = parts.adaptation.parts.network.init(init_key)
    return MamlState(params, _optimiser(hp).init(params), run_key)


def _agent_state(parts: _Parts) -> PyTree:
    """What losses read besides parameters; the parameters in it are never used."""
    return parts.adaptation.agent.init(jax.random.key(0), parts.adaptation.agent.hyperparameters)


def _explore(
    parts: _Parts, key: PRNGKeyArray, params: PyTree, task: PyTree, hp: MamlHyperparameters, count: int
) -> tuple[list[Experience], PyTree, Float[Array, " adaptation"]]:
    """`count` inner steps and the rollout after them: all that was seen, the adapted policy, the returns."""
    own, rates = _of_task(parts, hp, task), _rates(hp, count)
    plain, state = own._replace(entropy_coefficient=jnp.zeros(())), _agent_state(parts)
    seen, found = [], []
    for i, step_key in enumerate(jax.random.split(key, count + 1)):
        batch, value = experience(parts.adaptation, step_key, params, own)
        seen.append(batch)
        found.append(value)
        if i < count:
            params = adapt_on(parts.adaptation, params, batch, rates[i], state, plain)
    return seen, params, jnp.stack(found)


def _step(
    parts: _Parts, state: MamlState, hp: MamlHyperparameters, index: Int[Array, ""]
) -> tuple[MamlState, tuple[dict[str, Array], MamlEvaluation]]:
    config = parts.config
    draw_key, act_key, evaluation_key = jax.random.split(jax.random.fold_in(state.key, index), 3)
    tasks, count = hp.tasks, jax.tree.leaves(hp.tasks)[0].shape[0]
    if config.tasks_per_iteration:
        count = config.tasks_per_iteration
        chosen = jax.random.permutation(draw_key, jax.tree.leaves(tasks)[0].shape[0])[:count]
        tasks = jax.tree.map(lambda leaf: leaf[chosen], tasks)
    collect = lambda key, task: _explore(parts, key, state.params, task, hp, config.adaptation_steps)[::2]  # noqa: E731
    seen, found = jax.vmap(collect)(jax.random.split(act_key, count), tasks)
    params, optimiser, metrics = _descend(parts, state, tasks, seen, hp)
    metrics["faulty_steps"] = sum(jnp.sum(~each.batch.valid, dtype=jnp.float32) for each in seen)
    # Of a whole iteration, as one objective.
    metrics |= {"episode_return": jnp.nanmean(found[:, -1])[None], "return_before": jnp.nanmean(found[:, 0])[None]}
    due = evaluation_due(index, config.num_evaluations, config.num_iterations)
    evaluation = evaluate_where(due, partial(_evaluate, parts), evaluation_key, params, hp)
    evaluation = evaluation._replace(steps=(index + 1.0) * parts.steps_per_iteration)
    return MamlState(params, optimiser, state.key), (metrics, evaluation)


def _descend(
    parts: _Parts, state: MamlState, tasks: PyTree, seen: list[Experience], hp: MamlHyperparameters
) -> tuple[PyTree, PyTree, dict[str, Array]]:
    """Outer steps on the same experience; one whose gradient is not finite is left out."""
    rates = _rates(hp, parts.config.adaptation_steps)
    agent_state = _agent_state(parts)

    def mean_loss(params: PyTree) -> tuple[Float[Array, ""], Float[Array, " task"]]:
        def one(task: PyTree, seen: list[Experience]) -> Float[Array, ""]:
            own = _of_task(parts, hp, task)
            return outer_loss(parts.adaptation, params, seen[:-1], seen[-1], rates, agent_state, own)

        losses = jax.vmap(one)(tasks, seen)
        return losses.mean(), losses

    def body(carry: tuple[PyTree, PyTree], _: None) -> tuple[tuple[PyTree, PyTree], dict[str, Array]]:
        params, optimiser = carry
        gradient, losses = jax.grad(mean_loss, has_aux=True)(params)
        norm = optax.global_norm(gradient)
        sound = soundness(norm, losses)
        changes, updated = _optimiser(hp).update(gradient, optimiser)
        metrics = {
            "outer_loss": mean_of_finite(losses),
            "gradient_norm": norm,
            "diverged_tasks": sound.diverged.sum(),
            "skipped_updates": ~sound.usable,
            "non_finite": sound.lost,
        }
        metrics = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), metrics)
        return choose(sound.usable, (optax.apply_updates(params, changes), updated), carry), metrics

    (params, optimiser), metrics = jax.lax.scan(body, (state.params, state.optimiser), None, parts.config.num_epochs)
    return params, optimiser, pooled(metrics)


def _adapt(parts: _Parts, key: PRNGKeyArray, params: PyTree, task: PyTree, hp: MamlHyperparameters) -> PyTree:
    return _explore(parts, key, params, task, hp, parts.config.adaptation_steps)[1]


def _evaluate(parts: _Parts, key: PRNGKeyArray, params: PyTree, hp: MamlHyperparameters) -> MamlEvaluation:
    tasks, count = hp.evaluation_tasks, parts.config.evaluation_adaptations
    keys = jax.random.split(key, jax.tree.leaves(tasks)[0].shape[0])
    found = jax.vmap(lambda key, task: _explore(parts, key, params, task, hp, count)[2])(keys, tasks)
    return MamlEvaluation(found.T, jnp.zeros(()))


def _run(parts: _Parts, key: PRNGKeyArray, hp: MamlHyperparameters) -> Result:
    config = parts.config
    rows = evaluation_iterations(config.num_evaluations, config.num_iterations)
    return scan_steps(partial(_step, parts), _init(parts, key, hp), hp, config.num_iterations, rows)
