"""Networks of agents."""

from jaxrl.environments.spaces import encode
from jaxrl.networks.actor_critic import ActorCritic, actor_critic, values_along
from jaxrl.networks.attention import Attention
from jaxrl.networks.custom import NETWORKS, custom_network, is_custom
from jaxrl.networks.heads import Heads, first_head, split_heads, total_parameters
from jaxrl.networks.images import patches
from jaxrl.networks.initialisation import Scales, orthogonal_params
from jaxrl.networks.layers import ACTIVATIONS
from jaxrl.networks.masking import legal_action_conditional, legal_policy, without_mask
from jaxrl.networks.memory import RECURRENT

__all__ = [
    "ACTIVATIONS",
    "NETWORKS",
    "RECURRENT",
    "ActorCritic",
    "Attention",
    "Heads",
    "Scales",
    "actor_critic",
    "custom_network",
    "encode",
    "first_head",
    "is_custom",
    "legal_action_conditional",
    "legal_policy",
    "orthogonal_params",
    "patches",
    "split_heads",
    "total_parameters",
    "values_along",
    "without_mask",
]
