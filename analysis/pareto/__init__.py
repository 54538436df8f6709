"""Pareto: dominance, frontier, hypervolume and parity with the reference.

- `dominance`: which points no other beats
- `frontier`: which recipes those are
- `hypervolume`: what they win, as one number
- `parity`: whether a recipe is as robust as the reference, and the verdict in a sentence
"""
