"""Simulation: a search rehearsed on a virtual cluster by recorded learning curves.

- `recording`: the recorded curves
- `virtual_cluster`: workers in virtual time
- `driver`: events that drive searcher and scheduler
- `simulate`: the outcome in words
"""
