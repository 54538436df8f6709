"""Defines what a study may say of its network, and of a file of trained weights. Imports no torch."""

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from trainables.config import Frozen, PositiveFloat, PositiveInt, Several
from trainables.user_code import TORCHVISION, is_reference, known

NETWORKS = ("small", "eight_layer", "resnet18", "wide_resnet")


class Network(Frozen):
    """The architecture of a network before compression.

    Attributes:
        name: `small`, `eight_layer`, `resnet18`, `wide_resnet`, `torchvision:NAME` without weights, or the user's own
            as `module:function`, which is called with `image_shape` (channels, height, width) and `classes`, and
            returns a module for images in [0, 1].
        normalization: whether `small` and `eight_layer` have batch normalization; it makes no difference to others.
        depth: number of layers of `wide_resnet`, 6 n + 4.
        width: factor of `wide_resnet` by which it has more channels than a ResNet.
        uncounted_operators: operators that the network may run although Temper does not know their FLOPs, such as
            `mylib::attention`; they count as nothing, and a plan says their share.
        pixel_mean: what the network subtracts from pixels in [0, 1], one number for each channel or one for all; for
            weights that were trained so, such as [0.485, 0.456, 0.406] for torchvision's. None: the mean of the
            training pixels. A network of the user's own normalizes pixels itself.
        pixel_std: what it divides them by then, such as [0.229, 0.224, 0.225]; None: their standard deviation.
    """

    name: str
    normalization: bool = True
    depth: PositiveInt = 28
    width: PositiveInt = 10
    uncounted_operators: Several[Annotated[str, Field(pattern=r"^\w+::\w+$")]] = ()
    pixel_mean: Several[float] | None = None
    pixel_std: Several[PositiveFloat] | None = None

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return name if name.startswith(TORCHVISION) else known(name, NETWORKS, f"; torchvision's as {TORCHVISION}NAME")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.name == "wide_resnet" and (self.depth < 10 or (self.depth - 4) % 6):
            raise ValueError(f"got depth {self.depth} of a wide_resnet, expected 6 n + 4, such as 16, 28 or 40")
        if (self.pixel_mean is None) != (self.pixel_std is None):
            raise ValueError("got one of pixel_mean and pixel_std, expected both or none")
        if self.pixel_mean is not None and self.is_users:
            raise ValueError(f"got pixel_mean with {self.name}, expected none: a network of yours normalizes pixels")
        if self.pixel_mean is not None and self.pixel_std is not None and len(self.pixel_mean) != len(self.pixel_std):
            raise ValueError(f"got {len(self.pixel_mean)} numbers of pixel_mean and {len(self.pixel_std)} of pixel_std")
        return self

    @property
    def is_users(self) -> bool:
        """Whether the network is the user's own, which is given pixels in [0, 1]."""
        return is_reference(self.name) and not self.name.startswith(TORCHVISION)


class Weights(Frozen):
    """A file of trained weights of the network before compression.

    Attributes:
        path: path of a safetensors file, or of a state_dict saved by torch (loaded without unpickling objects).
        sha256: hash of the file; None in a study: the file is taken as it is when the study is loaded.
    """

    path: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
