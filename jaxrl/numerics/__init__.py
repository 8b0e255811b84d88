"""Mathematics that knows no algorithm: statistics, distributions, returns, fronts, weights, linear systems."""
