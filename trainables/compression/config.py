"""What a study may say of pruning and quantization. Imports no torch."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from trainables.config import Frozen, PositiveInt

Bits = Literal[2, 3, 4, 5, 6, 7, 8, 16, 32]
Importance = Literal["l1", "l2", "taylor", "random"]
Scope = Literal["global", "uniform"]
MacRatio = Annotated[float, Field(gt=0, lt=1, description="a number in (0, 1)")]
PruningRatio = Annotated[float, Field(ge=0, le=0.95, description="a number in [0, 0.95]")]


class NoCompression(Frozen):
    """Keep every channel."""

    method: Literal["none"] = "none"


class ChannelPruning(Frozen):
    """Remove whole channels (torch-pruning), before training or also during it. Exactly one of the two ratios is given.

    Both are of the network that the recipe starts from.

    Attributes:
        pruning_ratio: share of channels removed; MACs fall by about its square.
        mac_ratio: share of the MACs to keep; the channel ratio that leaves no more is found by measuring.
        steps: in how many steps the ratio is reached, one before each of the first `steps` epochs; 1: all at once,
            before training. What is removed after step i of n is 1 - (1 - i/n)^3 of what is removed in the end
            (arXiv 1710.01878, eq. 1): most of it early, while there is most to spare and most time to recover.
        importance: what a channel is worth, the least goes first: L1 or L2 norm of its weights; first-order Taylor,
            |weight × gradient| of the clean loss (arXiv 1906.10771); or a random number.
        scope: rank channels across the network (global) or inside each layer (uniform).
        taylor_examples: training images that the Taylor gradient is taken on.
    """

    method: Literal["channel_pruning"] = "channel_pruning"
    pruning_ratio: Annotated[float, Field(gt=0, le=0.95, description="a number in (0, 0.95]")] | None = None
    mac_ratio: MacRatio | None = None
    steps: PositiveInt = 1
    importance: Importance = "l1"
    scope: Scope = "global"
    taylor_examples: PositiveInt = 256

    @model_validator(mode="after")
    def _one_ratio(self) -> Self:
        if (self.pruning_ratio is None) == (self.mac_ratio is None):
            raise ValueError(
                f"got pruning_ratio {self.pruning_ratio} and mac_ratio {self.mac_ratio}, expected one of them"
            )
        return self


class Quantization(Frozen):
    """Train with rounded weights and activations, after pruning; see `trainables.compression.quantization`.

    Attributes:
        weight_bits: per output channel; 32: floating point.
        activation_bits: per tensor; 32: floating point.
        calibration_examples: training images that activation ranges are fitted to.
    """

    weight_bits: Bits = 8
    activation_bits: Bits = 8
    calibration_examples: PositiveInt = 256


Compression = Annotated[NoCompression | ChannelPruning, Field(discriminator="method")]
