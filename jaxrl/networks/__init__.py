"""Networks of agents."""

from jaxrl.networks.actor_critic import ActorCritic, actor_critic
from jaxrl.networks.encoding import encode, patches
from jaxrl.networks.initialisation import orthogonal_params
from jaxrl.networks.layers import ACTIVATIONS

__all__ = ["ACTIVATIONS", "ActorCritic", "actor_critic", "encode", "orthogonal_params", "patches"]
