"""Defines what a study may say of its data: which set, how much of it, and how it is split. Imports no torch."""

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from trainables.config import Frozen, PositiveInt
from trainables.user_code import known

DATA_SETS = ("digits", "fashion_mnist", "mnist", "cifar10", "cifar100", "svhn", "image_folder")


class DataSet(Frozen):
    """A data set: where its images come from.

    Attributes:
        name: `digits`, `fashion_mnist`, `mnist`, `cifar10`, `cifar100`, `svhn`, `image_folder`, or the user's own as
            `module:function`, which is called with "train" or "test" and returns images (n, channels, height, width) in
            [0, 1] or as bytes, and class numbers (n,).
        path: path of an image folder, which holds train/ and test/, each with a folder for every class.
        image_size: height and width that an image folder's images are cut to.
    """

    name: str
    path: str | None = None
    image_size: PositiveInt | None = None

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        hint = f"; a folder of images is name: image_folder with path: {name}" if "/" in name else ""
        return known(name, DATA_SETS, hint)

    @model_validator(mode="after")
    def _has_its_folder(self) -> Self:
        folder = self.name == "image_folder"
        if (self.path is not None) != folder or (self.image_size is not None) != folder:
            raise ValueError(f"got name {self.name}, expected path and image_size with image_folder, and with no other")
        return self


class Data(DataSet):
    """The data of a recipe: which data set it uses, and how that is split.

    Attributes:
        train_size: number of training images used, the first of a fixed shuffle; None: all that validation leaves.
        validation_size: number of images held out of the training files to score recipes.
        split_seed: seed of that fixed shuffle.
    """

    train_size: Annotated[int, Field(ge=10)] | None = None
    validation_size: Annotated[int, Field(ge=10)]
    split_seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="a whole number from 0 to 4294967295")] = 0
