"""Losses: what training minimises.

- `config`: what a study may say of a loss, without torch
- `losses`: cross-entropy, mixed and TRADES
- `distillation`: soft labels of a teacher
"""
