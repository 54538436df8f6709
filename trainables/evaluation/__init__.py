"""Evaluation: clean and robust accuracy of a network.

- `config`: how hard and how often networks are scored, without torch
- `metrics`: every number that a recipe reports, and what each may be used for, without torch
- `score`: scoring a network under attack
"""
