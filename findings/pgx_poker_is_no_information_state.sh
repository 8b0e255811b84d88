#!/usr/bin/env bash
# pgx 2.6.0: observations of Kuhn poker are the same before any move and after the other player has passed, and Leduc's hide who bet: cards and chips only.
# Wrong guess: that an observation of a game's benchmark is its information state, as in OpenSpiel, so that a policy over it can play an equilibrium.
# Hurt: whoever learns or measures exploitability there: Kuhn's 12 information sets look like 6, and no memoryless policy of them plays both seats of an equilibrium.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'pgx==2.6.0' 'jax==0.10.2' 'jaxlib==0.10.2'
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata as metadata
import itertools

import jax
import jax.numpy as jnp
import pgx

print("pgx", metadata.version("pgx"), "jax", jax.__version__)


def counts(name, decks, held):
    """Information sets, and different observations of the player to move, over all deals and all legal bets."""
    game = pgx.make(name)
    step, observe = jax.jit(game.step), jax.jit(game.observe)
    decisions, waiting = {}, [((), game.init(jax.random.key(0)))]
    while waiting:
        bets, state = waiting.pop()
        if not state.terminated:
            decisions[bets] = state
            legal = [action for action, allowed in enumerate(state.legal_action_mask.tolist()) if allowed]
            waiting += [((*bets, action), step(state, action)) for action in legal]
    known, seen = set(), {}
    for bets, state in decisions.items():
        for cards in set(itertools.permutations(decks, held)):
            player = int(state.current_player)
            public = cards[2] if name == "leduc_holdem" and int(state._round) == 1 else None
            information = cards[player], public, bets
            known.add(information)
            observation = tuple(observe(state.replace(_cards=jnp.asarray(cards, jnp.int32))).tolist())
            seen.setdefault(observation, set()).add(information)
    return len(known), len(seen), seen


kuhn_sets, kuhn_seen, seen = counts("kuhn_poker", (0, 1, 2), 2)
print(f"kuhn_poker: {kuhn_sets} information sets, {kuhn_seen} observations")
for informations in list(seen.values())[:2]:
    print("  one observation for (own card, bets so far; 0 bets, 1 passes):", sorted((i[0], i[2]) for i in informations))
leduc_sets, leduc_seen, _ = counts("leduc_holdem", (0, 0, 1, 1, 2, 2), 3)
print(f"leduc_holdem: {leduc_sets} information sets, {leduc_seen} observations")
assert (kuhn_sets, leduc_sets) == (12, 288)
assert kuhn_seen == 6, "observations of Kuhn poker tell more apart now"
assert leduc_seen < 288, "observations of Leduc hold'em are information states now"
PYTHON
