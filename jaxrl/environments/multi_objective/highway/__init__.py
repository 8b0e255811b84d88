"""A straight highway in dense traffic."""

from jaxrl.environments.multi_objective.highway.drivers import Traffic
from jaxrl.environments.multi_objective.highway.environment import HighwayParams, highway
from jaxrl.environments.multi_objective.highway.vehicles import Vehicles

__all__ = ["HighwayParams", "Traffic", "Vehicles", "highway"]
