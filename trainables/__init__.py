"""Trainables: the code that one trial runs, in plain PyTorch; it takes a recipe and returns its numbers.

Each room has a `config.py` without torch, which holds what a study may say, beside the code that carries it out. Each
line below may import only from the lines above it:

- `errors`, `config`, `storage`, `memory_limit`: exceptions, validation, folders on any storage, memory that may be used
- `user_errors`, `user_modules`, `user_code`: the user's functions, and what goes wrong in them
- `models`, `data`: networks and images
- `attacks`, `losses`: how training perturbs images, and what it minimises
- `channels`, `pruning`, `compression`: which channels depend on each other, removing them, smaller networks
- `compute`, `evaluation`, `deployment`: FLOPs, accuracy under attack, ONNX files
- `recipe`: everything that determines one trained network
- `checkpoints`, `training`, `execution`: training and scoring one recipe from its start to its end
- `estimation`: what a recipe will cost in FLOPs, memory and seconds
- `network_check`: does once, on a few images, all that a study will do with its network
- `trainable`: the interface to Ray Tune; the only module here that knows Ray
"""
