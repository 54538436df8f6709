"""A recipe: everything that determines one trained model, as frozen data with a stable identity."""

import hashlib
import json
from typing import Annotated, Literal, Optional

from pydantic import Field

from trainables.config import Frozen

Epsilon = Annotated[
    float, Field(gt=0, le=0.5, description="a number in (0, 0.5], for pixels in [0, 1] (8/255 is 0.0314)")
]
PruningRatio = Annotated[float, Field(ge=0, le=0.95, description="a number in [0, 0.95]")]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]


class Data(Frozen):
    """Which examples a recipe sees.

    Attributes:
        name: the data set.
        train_size: training images used, the first of a fixed shuffle; None: all that validation leaves.
        validation_size: images held out of the training files to score recipes.
        split_seed: seed of that fixed shuffle.
    """

    name: Literal["digits", "fashion_mnist"] = Field(description="the name of a data set")
    train_size: Annotated[int, Field(ge=10)] | None = None
    validation_size: Annotated[int, Field(ge=10)]
    split_seed: Annotated[int, Field(ge=0)] = 0


class Network(Frozen):
    """The architecture before compression."""

    name: Literal["small", "eight_layer"] = Field(description="the name of a network")
    normalization: bool = True


class NoCompression(Frozen):
    """Keep every channel."""

    method: Literal["none"] = "none"


class ChannelPruning(Frozen):
    """Remove whole channels, one shot, before training (torch-pruning).

    Attributes:
        pruning_ratio: share of channels removed; MACs fall by about its square.
        importance: norm of the weights a channel owns; the smallest go first.
        scope: rank channels across the network (global) or inside each layer (uniform).
    """

    method: Literal["channel_pruning"] = "channel_pruning"
    pruning_ratio: Annotated[float, Field(gt=0, le=0.95, description="a number in (0, 0.95]")]
    importance: Literal["l1", "l2"] = "l1"
    scope: Literal["global", "uniform"] = "global"


class NoPerturbation(Frozen):
    """Ordinary training."""

    kind: Literal["none"] = "none"


class NFGSM(Frozen):
    """One gradient step from noise of twice its size, not projected (arXiv 2202.01181)."""

    kind: Literal["n_fgsm"] = "n_fgsm"
    epsilon: Epsilon


class PGD(Frozen):
    """Projected gradient ascent from a random start (arXiv 1706.06083).

    Attributes:
        epsilon: radius of the L-infinity ball, in [0, 1] pixel units.
        steps: gradient steps per batch.
        step_size: length of a step; None: 2.5 epsilon / steps.
    """

    kind: Literal["pgd"] = "pgd"
    epsilon: Epsilon
    steps: PositiveInt
    step_size: PositiveFloat | None = None


class Schedule(Frozen):
    """SGD with Nesterov momentum under a one-cycle learning rate (arXiv 1708.07120).

    Attributes:
        learning_rate: peak of the cycle.
    """

    epochs: PositiveInt
    learning_rate: PositiveFloat
    batch_size: PositiveInt = 64
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4


Compression = Annotated[NoCompression | ChannelPruning, Field(discriminator="method")]
Perturbation = Annotated[NoPerturbation | NFGSM | PGD, Field(discriminator="kind")]


class Recipe(Frozen):
    """Everything that determines one trained model. Its loss is cross-entropy and its loop the ordinary one."""

    data: Data
    model: Network
    base: Optional["Recipe"] = None
    compression: Compression = NoCompression()
    perturbation: Perturbation = NoPerturbation()
    schedule: Schedule
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def id(self) -> str:
        """The recipe's identity: 16 hex digits of the SHA-256 of its canonical JSON."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def is_ordinary_pretraining(self) -> bool:
        """Trained without attack and without compression, itself and all it starts from."""
        own = self.compression.method == "none" and self.perturbation.kind == "none"
        return own and (self.base is None or self.base.is_ordinary_pretraining)


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


class Evaluation(Scoring):
    """Scoring against a threat model.

    Attributes:
        epsilon: the threat model's radius, L-infinity, in [0, 1] pixel units.
    """

    epsilon: Epsilon
