"""Which tasks belong together, for any `loss(params, task)`: projected gradients, subsets, affinities, partitions."""
