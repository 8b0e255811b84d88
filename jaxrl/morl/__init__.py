"""Several objectives: Pareto studies, their algorithms, and measures of fronts."""

import sys

from jaxrl.numerics import archive, boxes, dominance, hypervolume, weights

# What aggregation and rollouts use as well lives in `numerics`; the former paths stay importable.
for _module in (archive, boxes, dominance, hypervolume, weights):
    sys.modules[_module.__name__.replace("numerics", "morl")] = _module
