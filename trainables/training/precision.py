"""Mixed precision: the passes of training in bfloat16 where that is safe, everything that is kept in float32."""

import torch
from torch import Tensor, nn

from trainables.recipe.schedule import Precision


class MixedPrecision(nn.Module):
    """A network whose passes compute in bfloat16 under PyTorch's autocast (after arXiv 1710.03740).

    Weights, their gradients, logits and the gradients of images stay in float32. bfloat16 has float32's range, so
    losses need no scaling.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) in float32 of images (batch, channels, height, width) in float32."""
        with torch.autocast(x.device.type, torch.bfloat16):
            logits: Tensor = self.network(x)
        return logits.float()


def in_precision(network: nn.Module, precision: Precision) -> nn.Module:
    """The network as it is trained: the very same parameters, with passes in a precision."""
    return MixedPrecision(network) if precision == "bf16-mixed" else network
