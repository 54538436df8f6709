"""Pareto: computes dominance, frontier, hypervolume, and parity with the reference.

- `dominance`: finds the points that no other point dominates
- `frontier`: finds the recipes that no other recipe dominates
- `reference_point`: finds the point that bounds the region which a search is about
- `hypervolume`: computes the area that they dominate, as one number for a whole search
- `growth`: computes how that area grew with the proposals and the compute of a search
- `no_verdict`: says why there is nothing to compare, where there is not
- `parity`: tells whether a recipe is as robust as the reference, and writes the verdict in a sentence
"""
