"""Mathematics that knows no algorithm: statistics, distributions, returns, weights, fronts, normalisation, linear systems."""
