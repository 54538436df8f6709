"""Halving: early stopping of proposals by successive halving over several objectives.

- `rung`: what a rung has seen, and who goes on
- `judge`: who is stopped where
- `scheduler`: the same as Ray Tune's scheduler
"""
