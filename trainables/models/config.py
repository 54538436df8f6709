"""What a study may say of its network, and of a file of trained weights. Imports no torch."""

from typing import Annotated

from pydantic import Field, field_validator

from trainables.config import Frozen, PositiveInt
from trainables.user_code import known

NETWORKS = ("small", "eight_layer", "resnet18", "wide_resnet")


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


class Weights(Frozen):
    """A file of trained weights, of the network as it is before compression.

    Attributes:
        path: a safetensors file, or a state_dict saved by torch (loaded without unpickling objects).
        sha256: of the file; None in a study stands for the file as it is when the study is loaded.
    """

    path: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
