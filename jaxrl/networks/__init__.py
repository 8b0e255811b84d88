"""Networks of agents."""

from jaxrl.environments.spaces import encode
from jaxrl.networks.actor_critic import ActorCritic, actor_critic
from jaxrl.networks.heads import Heads, first_head, split_heads, total_parameters
from jaxrl.networks.images import patches
from jaxrl.networks.initialisation import orthogonal_params
from jaxrl.networks.layers import ACTIVATIONS

__all__ = [
    "ACTIVATIONS",
    "ActorCritic",
    "Heads",
    "actor_critic",
    "encode",
    "first_head",
    "orthogonal_params",
    "patches",
    "split_heads",
    "total_parameters",
]
