"""Estimation: what a recipe will cost, known or measured before it runs.

- `flops_planner`: FLOPs of the whole schedule
- `memory_footprint`: memory of the device
- `speed`: seconds, from a short timed run
"""
