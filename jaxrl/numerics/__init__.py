"""Mathematics that knows no environment: statistics, distributions, returns, normalisation, linear systems."""
