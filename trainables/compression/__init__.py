"""Compression: makes a network smaller by pruning its channels, rounding its numbers, or the user's method.

- `config`: defines what a study may say of each method, without torch
- `compressor`: defines the protocol of a method, and applies the methods of one recipe in order
- `pruning`: removes channels
- `weight_layers`: says which layers have weights that can be quantized, and what is left in floating point
- `calibration`: samples what each layer is given, by which its range is fitted
- `quantization`, `quantized_layers`: train with rounded numbers, and write them for the deployed file
- `user_compressor`: makes the user's method
- `size`: counts the bit operations and the stored bytes of the result
"""
