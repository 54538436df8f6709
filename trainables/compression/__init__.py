"""Compression: making a network smaller by pruning its channels, rounding its numbers, or a method of the user's own.

- `config`: what a study may say of each method, without torch
- `compressor`: the protocol of a method, and those of one recipe in their order
- `pruning`: channel pruning
- `quantization`, `quantized_layers`: quantization-aware training, and its layers as the deployed file has them
- `user_compressor`: a user's own method, and what is checked of it
- `size`: bit operations and stored bytes of the result
"""
