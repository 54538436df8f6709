"""Run: a run directory read back.

- `trials`: the run and its trials
- `format`: which formats of records this version reads
- `sessions`: when drivers worked on it, and for how long
- `status`: how far it is
- `summary`: a recipe in a few words
"""
