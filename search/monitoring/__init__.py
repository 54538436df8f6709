"""Monitoring: who shows a search while it runs.

- `tally`: how far a search is, in a few numbers
- `progress`: lines on the terminal
- `tensorboard`: curves for TensorBoard
- `ray_metrics`: metrics for Prometheus
- `hypervolume`: the hypervolume so far
"""
