"""Models: the networks that a study may name, built or loaded.

- `config`: what a study may say of its network, without torch
- `build`: building a network with its pixels' normalization inside
- `resnets`: ResNet-18 and wide residual networks for small images
- `weights`: reading a user's file of weights
"""
