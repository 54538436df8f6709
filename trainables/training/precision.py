"""Computes training's passes in mixed precision: in bfloat16 where that is safe, while all that is kept is float32."""

import torch
from torch import Tensor, nn

from trainables.recipe.schedule import Precision


class MixedPrecision(nn.Module):
    """Wrapper of a network whose passes compute in bfloat16 under PyTorch's autocast (after arXiv 1710.03740).

    Weights and their gradients, logits, and the gradients of images stay in float32. bfloat16 has the range of float32,
    so that losses need no scaling.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Returns float32 logits (batch, classes) of float32 images (batch, channels, height, width)."""
        with torch.autocast(x.device.type, torch.bfloat16):
            logits: Tensor = self.network(x)
        return logits.float()


def in_precision(network: nn.Module, precision: Precision) -> nn.Module:
    """Returns a network with the same parameters whose passes compute in a precision."""
    return MixedPrecision(network) if precision == "bf16-mixed" else network
