"""Tidying: drops from a run what nothing needs any more.

- `needed`: tells whose weights are still needed, and why
- `drop`: drops the weights of the others, and what is needed only to train on
"""
