"""SET: one policy for several bodies, a transformer over limbs that is equivariant to rotations about gravity.

Chen et al., 2023 (3D-SGRL, arXiv 2305.18951), section 4. Every limb has scalars h and vectors Z (place, speed, goal,
relative to the root). With gravity g beside them, the Gram matrix [Z, g]ᵀ[Z, g] is invariant to rotations about g, so
that

    (h', M) = MLP([Z, g]ᵀ[Z, g], h),  Z' = [Z, g] M

is a message whose vectors turn with the body. Attention between the limbs of a body is weighted by invariant scalars;
an action is a vector per limb. Without symmetry, the same transformer reads the coordinates themselves as scalars.

Bodies are trees of masses joined by springs on a floor with friction; every limb but the root can push, and the root is
to reach a goal. In training goals lie ahead (within 20° of one axis), in the test anywhere. Differing from the paper,
which trains TD3, policies are learned by gradients through the simulator, and there is no critic.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.rows.base import Measured, Row, above
from experiments.rows.network import apply, layers
from jaxrl.types import Array, Float, Int, PRNGKeyArray, PyTree

LIMBS, SEEDS, WIDTH, VECTORS = 6, 5, 24, 4
TIME, HORIZON, PUSH, GRAVITY = 0.05, 40, 6.0, jnp.array([0.0, 0.0, -1.0])
ITERATIONS, EPISODES, RATE = 150, 8, 5e-3
# Parents of limbs; -1 is the root, or a limb that is not there.
BODIES = {"line": (-1, 0, 1), "star": (-1, 0, 0, 0), "tree": (-1, 0, 0, 1, 1, 2)}
NEW_BODY = (-1, 0, 0, 1, 2)


class Body(NamedTuple):
    """Parents (of the root, itself) and which limbs are there."""

    parent: Int[Array, " limb"]
    there: Float[Array, " limb"]


class State(NamedTuple):
    """Places and speeds of limbs, and the goal of the root."""

    place: Float[Array, "limb 3"]
    speed: Float[Array, "limb 3"]
    goal: Float[Array, "3"]


def body(parents: tuple[int, ...]) -> Body:
    """A body with `LIMBS` slots."""
    padded = np.zeros(LIMBS, np.int32)
    padded[1 : len(parents)] = parents[1:]
    return Body(jnp.asarray(padded), (jnp.arange(LIMBS) < len(parents)).astype(jnp.float32))


def start(key: PRNGKeyArray, limbs: Body, spread: float) -> State:
    """Limbs about their parents, on the floor, turned at random; the goal at a heading within ±`spread`."""
    keys = jax.random.split(key, 4)
    angle = 2.0 * jnp.pi * jnp.arange(LIMBS) / LIMBS + jax.random.uniform(keys[0], maxval=2.0 * jnp.pi)
    offset = 0.3 * jnp.stack([jnp.cos(angle), jnp.sin(angle), jnp.zeros(LIMBS)], -1).at[0].set(0.0)
    place = offset
    for _ in range(3):  # no body is deeper
        place = offset + place[limbs.parent] * (jnp.arange(LIMBS) > 0)[:, None]
    heading = jax.random.uniform(keys[1], minval=-spread, maxval=spread)
    distance = jax.random.uniform(keys[2], minval=0.8, maxval=1.2)
    goal = distance * jnp.stack([jnp.cos(heading), jnp.sin(heading), jnp.zeros(())])
    return State(place, jnp.zeros((LIMBS, 3)), goal)


def advance(state: State, limbs: Body, push: Float[Array, "limb 3"]) -> State:
    """One step: springs along the tree, floor, gravity, friction, and pushes of at most `PUSH` of limbs but the "
    "root."""
    moves = limbs.there * (jnp.arange(LIMBS) > 0)
    size = jnp.sqrt(jnp.sum(push**2, -1, keepdims=True) + 1e-6)
    force = PUSH * jnp.tanh(size) * push / size * moves[:, None]
    arm = state.place - state.place[limbs.parent]
    length = jnp.sqrt(jnp.sum(arm**2, -1, keepdims=True) + 1e-6)
    pull = -60.0 * (length - 0.3) * arm / length * moves[:, None]
    force = (force + pull).at[limbs.parent].add(-pull)
    depth = jnp.maximum(-state.place[:, 2:], 0.0)
    floor = jnp.concatenate([jnp.zeros((LIMBS, 2)), 200.0 * depth - 5.0 * (depth > 0) * state.speed[:, 2:]], -1)
    acceleration = force + floor + 9.81 * GRAVITY - 3.0 * state.speed
    speed = (state.speed + TIME * acceleration) * limbs.there[:, None]
    return State(state.place + TIME * speed, speed, state.goal)


def vectors(state: State) -> Float[Array, "limb 3 vector"]:
    """What each limb sees: its place from the root, its speed, the root's speed and the goal from the root."""
    root = jnp.broadcast_to(state.speed[:1], (LIMBS, 3))
    goal = jnp.broadcast_to(state.goal - state.place[0], (LIMBS, 3))
    return jnp.stack([state.place - state.place[0], state.speed, root, goal], -1)


def scalars(state: State, limbs: Body) -> Float[Array, "limb scalar"]:
    """Height, and whether a limb is the root or hangs on it."""
    first = jnp.arange(LIMBS) == 0
    return jnp.stack([state.place[:, 2], first * 1.0, (~first & (limbs.parent == 0)) * 1.0], -1)


def init(symmetric: bool, key: PRNGKeyArray) -> dict[str, PyTree]:
    """Parameters: two message functions about an attention, and the head."""
    keys = jax.random.split(key, 4)
    gram = (VECTORS + 1) ** 2
    first = 3 + (gram if symmetric else 3 * VECTORS)
    mixed = (VECTORS + 1) * VECTORS if symmetric else 3 * VECTORS
    second = 2 * WIDTH + (4 * VECTORS**2 + 4 * VECTORS + 1 if symmetric else 6 * VECTORS)
    return {
        "first": layers(keys[0], (first, 48, WIDTH + mixed)),
        "attention": layers(keys[1], (WIDTH, 2 * WIDTH), last=1.0),
        "second": layers(keys[2], (second, 48, 2 * VECTORS + 1 if symmetric else 3), last=0.3),
    }


def gram(z: Float[Array, "limb 3 vector"]) -> Float[Array, "limb entry"]:
    """Inner products of all vectors."""
    products = jnp.einsum("ixa,ixb->iab", z, z)
    return products.reshape(len(z), -1)


def with_gravity(z: Float[Array, "limb 3 vector"]) -> Float[Array, "limb 3 one_more"]:
    """[Z, g]."""
    return jnp.concatenate([z, jnp.broadcast_to(GRAVITY[None, :, None], (len(z), 3, 1))], -1)


def act(symmetric: bool, params: dict[str, PyTree], state: State, limbs: Body) -> Float[Array, "limb 3"]:
    """Pushes of all limbs."""
    h, z = scalars(state, limbs), vectors(state)
    known = with_gravity(z)
    out = apply(params["first"], jnp.concatenate([h, gram(known) if symmetric else z.reshape(LIMBS, -1)], -1))
    h, rest = jnp.tanh(out[:, :WIDTH]), out[:, WIDTH:]
    new = jnp.einsum("ixa,iab->ixb", known, rest.reshape(LIMBS, VECTORS + 1, VECTORS)) if symmetric else rest
    query, key = jnp.split(apply(params["attention"], h), 2, -1)
    weight = jax.nn.softmax(jnp.where(limbs.there > 0, query @ key.T / np.sqrt(WIDTH), -1e9))
    gathered = jnp.concatenate([h, weight @ h], -1)
    if not symmetric:
        both = jnp.concatenate([new, weight @ new], -1)
        return apply(params["second"], jnp.concatenate([gathered, both], -1))
    both = with_gravity(jnp.concatenate([new, jnp.einsum("ij,jxa->ixa", weight, new)], -1))
    mix = apply(params["second"], jnp.concatenate([gathered, gram(both)], -1))
    return jnp.einsum("ixa,ia->ix", both, mix)


def episode(symmetric: bool, params: dict[str, PyTree], first: State, limbs: Body) -> Float[Array, ""]:
    """Mean over time of minus the root's distance to the goal along the floor."""

    def step(state: State, _: None) -> tuple[State, Array]:
        state = advance(state, limbs, act(symmetric, params, state, limbs))
        away = (state.goal - state.place[0])[:2]
        return state, -jnp.sqrt(jnp.sum(away**2) + 1e-6)

    return jax.lax.scan(step, first, None, HORIZON)[1].mean()


def train(symmetric: bool, key: PRNGKeyArray) -> dict[str, PyTree]:
    """Parameters after gradient ascent on all bodies at once, goals ahead."""
    bodies = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(body, BODIES.values()))
    init_key, run_key = jax.random.split(key)
    params = init(symmetric, init_key)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(RATE, ITERATIONS)))

    def loss(params: dict[str, PyTree], key: PRNGKeyArray) -> Array:
        keys = jax.random.split(key, (len(BODIES), EPISODES))
        starts = jax.vmap(jax.vmap(partial(start, spread=np.pi / 9), (0, None)))(keys, bodies)
        play = jax.vmap(jax.vmap(partial(episode, symmetric, params), (0, None)))
        return -play(starts, bodies).mean()

    def update(carry: tuple, key: PRNGKeyArray) -> tuple[tuple, None]:
        params, state = carry
        updates, state = optimiser.update(jax.grad(loss)(params, key), state)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(update, (params, optimiser.init(params)), jax.random.split(run_key, ITERATIONS))[0][0]


def turned(state: State, angle: Float[Array, ""] | float) -> State:
    """The same, turned about gravity."""
    c, s = jnp.cos(angle), jnp.sin(angle)
    rotation = jnp.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return State(state.place @ rotation.T, state.speed @ rotation.T, rotation @ state.goal)


def scores(symmetric: bool, key: PRNGKeyArray) -> dict[str, Array]:
    """Returns of a trained policy: goals ahead, the same turned anywhere, and a new body ahead and anywhere."""
    params = train(symmetric, key)
    keys = jax.random.split(jax.random.fold_in(key, 1), 32)
    angles = jnp.linspace(0.0, 2.0 * jnp.pi, 32, endpoint=False)

    def returns(limbs: Body, angle: Array) -> Array:
        starts = jax.vmap(partial(start, spread=np.pi / 9), (0, None))(keys, limbs)
        starts = jax.vmap(turned)(starts, angle)
        return jax.vmap(partial(episode, symmetric, params), (0, None))(starts, limbs).mean()

    known = [body(parents) for parents in BODIES.values()]
    return {
        "ahead": jnp.stack([returns(one, 0.0 * angles) for one in known]).mean(),
        "anywhere": jnp.stack([returns(one, angles) for one in known]).mean(),
        "new ahead": returns(body(NEW_BODY), 0.0 * angles),
        "new anywhere": returns(body(NEW_BODY), angles),
    }


def measure() -> Measured:
    """Returns with goals anywhere."""
    keys = jax.random.split(jax.random.key(0), SEEDS)
    found = {name: jax.device_get(jax.jit(jax.vmap(partial(scores, name == "set")))(keys)) for name in ("set", "plain")}
    shown = lambda name: ", ".join(f"{case} {found[name][case].mean():.3f}" for case in found[name])  # noqa: E731
    change = np.abs(found["set"]["anywhere"] - found["set"]["ahead"]).max()
    note = (
        f"Minus mean distance to the goal, SET: {shown('set')}; without symmetry: {shown('plain')}. Turning start and "
        f"goal changes SET's return by at most {change:.1e}; standing still has about -1."
    )
    value, baseline = found["set"]["anywhere"], found["plain"]["anywhere"]
    new_body = above(found["set"]["new anywhere"], found["plain"]["new anywhere"])
    return Measured(value, baseline, above(value, baseline) and new_body and change < 1e-3, note)


ROW = Row(
    "S042",
    "Subequivariant Graph Reinforcement Learning in 3D Environments",
    "Three bodies and a new one: turned starts and goals leave the return unchanged; without symmetry it drops",
    "return at goals anywhere, SET",
    "return at goals anywhere, without symmetry",
    measure,
)
