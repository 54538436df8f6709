"""Preflight: what is known about a search before it starts.

- `workload`: what a study will compute
- `dry_run`: the plan in words
- `estimate`: hours and cost
- `doctor`: the cluster examined and the study timed on it
"""
