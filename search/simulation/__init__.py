"""Simulation: runs a search on a virtual cluster, with recorded learning curves in place of training.

- `recording`: writes and reads the recorded learning curves
- `virtual_cluster`: describes workers, and trials on them, in virtual time
- `driver`: drives the real searcher and scheduler by events in virtual time
- `simulate`: simulates a search, and says its outcome in words
"""
