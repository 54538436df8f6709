"""Fuzzing: generated inputs, each of which Temper must take through to the end, or refuse in words.

- `random_networks`: draws networks by number, out of the kinds of layers that people use
- `networks`: takes them through a plan, training, compression, reloading, export and an attack
"""
