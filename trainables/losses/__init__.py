"""Losses: compute what training minimises.

- `config`: defines what a study may say of a loss, without torch
- `losses`: implements cross-entropy, the mixed loss and TRADES
- `distillation`: mixes the soft labels of a teacher into any of them
"""
