"""Networks of agents."""

from jaxrl.environments.spaces import encode
from jaxrl.networks.actor_critic import ActorCritic, actor_critic
from jaxrl.networks.images import patches
from jaxrl.networks.initialisation import orthogonal_params
from jaxrl.networks.layers import ACTIVATIONS

__all__ = ["ACTIVATIONS", "ActorCritic", "actor_critic", "encode", "orthogonal_params", "patches"]
