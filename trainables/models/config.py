"""Defines what a study may say of its network, and of a file of trained weights. Imports no torch."""

from typing import Annotated

from pydantic import Field, field_validator

from trainables.config import Frozen, PositiveInt, Several
from trainables.user_code import known

NETWORKS = ("small", "eight_layer", "resnet18", "wide_resnet")


class Network(Frozen):
    """The architecture of a network before compression.

    Attributes:
        name: a known network, `torchvision:NAME` without weights, or the user's own as `module:function`, which is
            called with `image_shape` (channels, height, width) and `classes`, and returns a module for images in
            [0, 1].
        normalization: whether `small` and `eight_layer` have batch normalization; it makes no difference to others.
        depth: number of layers of `wide_resnet`, 6 n + 4.
        width: factor of `wide_resnet` by which it has more channels than a ResNet.
        uncounted_operators: operators that the network may run although Temper does not know their FLOPs, such as
            `mylib::attention`; they count as nothing, and a plan says their share.
    """

    name: str
    normalization: bool = True
    depth: PositiveInt = 28
    width: PositiveInt = 10
    uncounted_operators: Several[Annotated[str, Field(pattern=r"^\w+::\w+$")]] = ()

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return name if name.startswith("torchvision:") else known(name, NETWORKS)


class Weights(Frozen):
    """A file of trained weights of the network before compression.

    Attributes:
        path: path of a safetensors file, or of a state_dict saved by torch (loaded without unpickling objects).
        sha256: hash of the file; None in a study: the file is taken as it is when the study is loaded.
    """

    path: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
