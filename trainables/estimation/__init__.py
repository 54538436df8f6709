"""Estimation: predicts what a recipe will cost before it runs.

- `flops_planner`: counts the FLOPs of the whole schedule, without training
- `memory_footprint`: measures how much memory of the device a trial takes
- `speed`: measures how fast a device is, in a short timed run
"""
