"""Comparison: holds several runs against each other, on one reference point.

- `comparable`: refuses runs whose numbers mean different things, with the reason
- `differences`: lists the keys in which the studies of runs differ
- `sides`: sums each run up by the same yardstick: frontier, hypervolume by compute, best scores by cost
- `words`: tells a comparison in lines, and as plain data
- `page`: writes a comparison as one HTML page
"""
