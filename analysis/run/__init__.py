"""Run: a run directory read back.

- `trials`: the run and its trials
- `status`: how far it is
- `summary`: a recipe in a few words
"""
