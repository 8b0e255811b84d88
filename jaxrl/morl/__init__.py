"""Several objectives: Pareto studies, their algorithms, and measures of fronts."""
