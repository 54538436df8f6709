"""What a recipe is made of, as data: examples, network, weights to start from, and how to compress."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainables.config import Frozen
from trainables.own import is_reference
from trainables.regime import PositiveInt

Bits = Literal[2, 3, 4, 5, 6, 7, 8, 16, 32]
Importance = Literal["l1", "l2", "taylor", "random"]
Scope = Literal["global", "uniform"]
MacRatio = Annotated[float, Field(gt=0, lt=1, description="a number in (0, 1)")]
DATA_SETS = ("digits", "fashion_mnist", "mnist", "cifar10", "cifar100", "svhn", "image_folder")
NETWORKS = ("small", "eight_layer", "resnet18", "wide_resnet")
PruningRatio = Annotated[float, Field(ge=0, le=0.95, description="a number in [0, 0.95]")]


class Data(Frozen):
    """Which examples a recipe sees.

    Attributes:
        name: a known data set, `image_folder`, or the user's own as `module:function`, which is called with "train" or
            "test" and gives images (n, channels, height, width) in [0, 1] or bytes, and class numbers (n,).
        path: of an image folder: holds train/ and test/, each with a folder a class.
        image_size: height and width that an image folder's images are cut to.
        train_size: training images used, the first of a fixed shuffle; None: all that validation leaves.
        validation_size: images held out of the training files to score recipes.
        split_seed: seed of that fixed shuffle.
    """

    name: str
    path: str | None = None
    image_size: PositiveInt | None = None
    train_size: Annotated[int, Field(ge=10)] | None = None
    validation_size: Annotated[int, Field(ge=10)]
    split_seed: Annotated[int, Field(ge=0)] = 0

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return known(name, DATA_SETS)

    @model_validator(mode="after")
    def _has_its_folder(self) -> Self:
        folder = self.name == "image_folder"
        if (self.path is not None) != folder or (self.image_size is not None) != folder:
            raise ValueError(f"got name {self.name}, expected path and image_size with image_folder, and with no other")
        return self


class Network(Frozen):
    """The architecture before compression.

    Attributes:
        name: a known network, `torchvision:NAME` without weights, or the user's own as `module:function`, which is
            called with `image_shape` (channels, height, width) and `classes`, and gives a module for images in [0, 1].
        normalization: batch normalization in `small` and `eight_layer`; the others are what they are.
        depth: of `wide_resnet`: 6 n + 4 layers.
        width: of `wide_resnet`: times the channels of a ResNet.
    """

    name: str
    normalization: bool = True
    depth: PositiveInt = 28
    width: PositiveInt = 10

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return name if name.startswith("torchvision:") else known(name, NETWORKS)


def known(name: str, names: tuple[str, ...]) -> str:
    """Check that a name is one of these or a reference to a function."""
    if name not in names and not is_reference(name):
        raise ValueError(f"got {name!r}, expected {', '.join(names)} or module:function")
    return name


class Weights(Frozen):
    """A file of trained weights, of the network as it is before compression.

    Attributes:
        path: a safetensors file, or a state_dict saved by torch (loaded without unpickling objects).
        sha256: of the file; None in a study stands for the file as it is when the study is loaded.
    """

    path: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


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
    """Train with rounded weights and activations, after pruning; see `trainables.quantization`.

    Attributes:
        weight_bits: per output channel; 32: floating point.
        activation_bits: per tensor; 32: floating point.
        calibration_examples: training images that activation ranges are fitted to.
    """

    weight_bits: Bits = 8
    activation_bits: Bits = 8
    calibration_examples: PositiveInt = 256


Compression = Annotated[NoCompression | ChannelPruning, Field(discriminator="method")]
