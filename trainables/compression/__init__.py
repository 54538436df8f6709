"""Compression: making a network smaller by pruning its channels or rounding its numbers.

- `config`: what a study may say of pruning and quantization, without torch
- `pruning`: channel pruning
- `quantization`: quantization-aware training
- `size`: bit operations and stored bytes of the result
"""
