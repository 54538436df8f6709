"""What one trial does, in plain PyTorch: from a recipe to its numbers.

Each room has a `config.py` without torch (what a study may say) beside the code that does it. From the ground up:

- `errors`, `config`, `storage`, `user_code`: exceptions, validation, folders anywhere, functions of the user's own
- `models`, `data`: networks and images
- `attacks`, `losses`: what training adds to images, and what it minimises
- `compute`, `compression`, `evaluation`, `deployment`: FLOPs, smaller networks, accuracy under attack, ONNX files
- `recipe`: all that determines one trained network
- `checkpoints`, `training`, `execution`: one recipe from start to numbers
- `estimation`: what that will cost
- `trainable`: the same for Ray Tune; the only module here that knows Ray
"""
