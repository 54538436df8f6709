"""Evaluation: measures the clean and the robust accuracy of networks.

- `config`: defines how hard and how often networks are scored, without torch
- `metrics`: lists every number that a recipe reports, and what each may be used for, without torch
- `score`: scores a network on clean and on attacked images
"""
