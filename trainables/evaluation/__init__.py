"""Evaluation: clean and robust accuracy of a network.

- `config`: how hard and how often networks are scored, without torch
- `score`: scoring a network under attack
"""
