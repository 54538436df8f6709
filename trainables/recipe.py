"""A recipe: everything that determines one trained model, as frozen data with a stable identity."""

import hashlib
import json
from typing import Annotated, Literal, Optional, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from trainables.config import Frozen
from trainables.own import is_reference
from trainables.regime import (
    FGSM,
    Augmentation,
    CrossEntropy,
    Loop,
    Loss,
    NoPerturbation,
    Norm,
    OrdinaryLoop,
    Perturbation,
    PositiveFloat,
    PositiveInt,
    Schedule,
    SoftTerm,
    radius,
)

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


class Distillation(SoftTerm):
    """Learning from the soft labels of another recipe's network; see `trainables.distillation`.

    Attributes:
        teacher: that recipe; None: the one that the student starts from.
    """

    teacher: Optional["Recipe"] = None


class Recipe(Frozen):
    """Everything that determines one trained model.

    Attributes:
        base: the recipe whose weights it starts from; None: from scratch, or from `weights`.
        distillation: whose soft labels it learns from beside the labels; None: the labels alone.
        weights: a file to start from. What it took to train is not known, and counts as nothing.
        keep: which epoch's weights are the result: the last, or the best by the progress score on validation images
            (both stay in the checkpoint).
    """

    data: Data
    model: Network
    base: Optional["Recipe"] = None
    weights: Weights | None = None
    compression: Compression = NoCompression()
    quantization: Quantization | None = None
    perturbation: Perturbation = NoPerturbation()
    loss: Loss = CrossEntropy()
    loop: Loop = OrdinaryLoop()
    distillation: Distillation | None = None
    augmentation: Augmentation = Augmentation()
    schedule: Schedule
    keep: Literal["last", "best"] = "last"
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = unfit(self.perturbation, self.loss, self.loop, self.distillation)
        problems += unreached(self.compression, self.schedule)
        if self.weights is not None and self.base is not None:
            problems.append("weights: got a file and a base, expected one of them")
        if self.schedule.epochs == 0 and self.weights is None and self.base is None:
            problems.append("schedule.epochs: got 0 without base or weights, expected at least 1")
        if self.distillation is not None:
            problems += self._unfit_distillation()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _unfit_distillation(self) -> list[str]:
        problems, teacher = [], self.separate_teacher
        if self.schedule.epochs == 0:
            problems.append("schedule.epochs: got 0 with distillation, expected at least 1")
        if teacher is None and self.base is None:
            problems.append("distillation.teacher: got null without a base, expected a recipe")
        if teacher is not None and teacher == self.base:  # one recipe, one id
            problems.append("distillation.teacher: got the recipe's own base, expected null, which stands for it")
        if self.teacher is not None and self.teacher.data != self.data:
            problems.append("distillation.teacher.data: got other data than the recipe's, expected the same images")
        return problems

    @property
    def id(self) -> str:
        """The recipe's identity: 16 hex digits of the SHA-256 of its canonical JSON."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def teacher(self) -> Optional["Recipe"]:
        """Whose soft labels it learns from, if it is distilled."""
        if self.distillation is None:
            return None
        return self.distillation.teacher or self.base

    @property
    def separate_teacher(self) -> Optional["Recipe"]:
        """The teacher, where it is another recipe than the base."""
        return None if self.distillation is None else self.distillation.teacher

    @property
    def compressed_from(self) -> int:
        """The first epoch, counted from 1, of the network compressed as far as the recipe says."""
        return self.compression.steps if self.compression.method == "channel_pruning" else 1

    @property
    def is_ordinary_pretraining(self) -> bool:
        """Trained without attack, without compression and without a teacher, itself and all it starts from."""
        compressed = self.compression.method != "none" or self.quantization is not None
        own = not compressed and self.perturbation.kind == "none" and self.distillation is None
        return own and (self.base is None or self.base.is_ordinary_pretraining)


def unfit(perturbation: Perturbation, loss: Loss, loop: Loop, soft: SoftTerm | None = None) -> list[str]:
    """What is wrong with a perturbation, a loss, a loop and soft labels together."""
    problems = []
    if perturbation.kind == "none" and loss.kind != "cross_entropy":
        problems.append(f"loss.kind: got {loss.kind} without a perturbation, expected cross_entropy")
    if loop.kind == "free" and perturbation.kind != "fgsm":
        problems.append(f"loop.kind: got free with perturbation {perturbation.kind}, expected perturbation fgsm")
    elif loop.kind == "free" and isinstance(perturbation, FGSM) and (perturbation.warm_up or perturbation.step_size):
        problems.append("loop.kind: got free with a warm_up or step_size, expected neither: it steps by epsilon")
    if loop.kind == "free" and loss.kind != "cross_entropy":
        problems.append(f"loop.kind: got free with loss {loss.kind}, expected loss cross_entropy")
    if loop.kind == "free" and soft is not None:
        problems.append("loop.kind: got free with distillation, expected the ordinary loop")
    return problems


def unreached(compression: Compression, schedule: Schedule) -> list[str]:
    """What is wrong with a compression and a schedule together."""
    steps = compression.steps if compression.method == "channel_pruning" else 1
    if steps <= max(1, schedule.epochs):
        return []
    most = max(1, schedule.epochs)
    return [f"compression.steps: got {steps} with {schedule.epochs} epochs, expected at most {most}"]


class Scoring(Frozen):
    """How hard and how often robustness is measured on the validation split, by PGD with a random start.

    Attributes:
        steps: PGD steps of the score after the last epoch.
        examples: validation images of that score; None: all.
        progress_steps: PGD steps of the curve after every other epoch.
        progress_examples: validation images of that curve.
        batch_size: images per forward pass.
    """

    steps: PositiveInt = 20
    examples: PositiveInt | None = None
    progress_steps: PositiveInt = 5
    progress_examples: PositiveInt = 128
    batch_size: PositiveInt = 256


class ThreatModel(Frozen):
    """What robustness is measured against.

    Attributes:
        norm: of the ball that an attack may move an image in.
        epsilon: its radius, for pixels in [0, 1].
    """

    norm: Norm = "linf"
    epsilon: PositiveFloat

    @field_validator("epsilon")
    @classmethod
    def _in_pixels(cls, epsilon: float, info: ValidationInfo) -> float:
        return radius(epsilon, info)


class Evaluation(Scoring, ThreatModel):
    """Scoring against a threat model."""
