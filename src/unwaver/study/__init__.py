"""From recipes to steps, and from finished steps to numbers: plans, grids, what is owed, clusters, statistics."""
