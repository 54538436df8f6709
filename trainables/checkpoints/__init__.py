"""Checkpoints: what a recipe in progress and a finished one leave on disk, and how both are read back.

- `tensors`: networks and training state as plain tensors
- `checkpoint`: writing and reading checkpoint/<epoch>/, torn ones told from whole ones
- `trained_model`: what a finished recipe hands to recipes that start or learn from it
- `recovery`: rebuilding that from a run directory
"""
