"""Defines how a recipe trains: its loop over batches, its epochs and learning rate, and the changes to its images."""

from typing import Annotated, Literal

from pydantic import Field

from trainables.config import Frozen, PositiveFloat, PositiveInt

Decay = Annotated[float, Field(gt=0, lt=1)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
WeightDecay = Annotated[float, Field(ge=0)]
Shape = Literal["one_cycle", "cosine", "step", "constant"]
Precision = Literal["float32", "bf16-mixed"]


class OrdinaryLoop(Frozen):
    """The ordinary loop, which perturbs each batch and then trains on it once."""

    kind: Literal["ordinary"] = "ordinary"


class FreeLoop(Frozen):
    """Free adversarial training (arXiv 1904.12843, algorithm 1): one backward pass updates weights and perturbation.

    Attributes:
        replays: number of times in a row that each batch is trained on (m in the paper).
    """

    kind: Literal["free"] = "free"
    replays: PositiveInt = 4


class Schedule(Frozen):
    """The training schedule: epochs, optimizer and learning rate.

    Attributes:
        epochs: number of passes through the training images; 0: the weights are taken as they are.
        learning_rate: highest value of the learning rate.
        batch_size: images per training step.
        shape: how the rate changes. one_cycle (arXiv 1708.07120): it rises for 30% of the steps, then falls; cosine: it
            falls to 0 (arXiv 1608.03983); step: it is a tenth after half of the steps, a hundredth after three
            quarters; constant.
        optimizer: SGD with Nesterov momentum, or AdamW (arXiv 1711.05101; `momentum` is its first beta).
        momentum: momentum of SGD, first beta of AdamW.
        weight_decay: the optimizer's weight decay.
        averaging: decay per step of an exponential moving average of the weights, which is then scored and kept; None:
            the weights themselves are.
        last_epoch_steps: batches of the last epoch, after which training ends, so that a schedule can be cut to any
            compute; the rate's curve and the attack's warm-up end there too. None, or more than there are: all.
    """

    epochs: Annotated[int, Field(ge=0)]
    learning_rate: PositiveFloat
    batch_size: PositiveInt = 64
    shape: Shape = "one_cycle"
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: Momentum = 0.9
    weight_decay: WeightDecay = 5e-4
    averaging: Decay | None = None
    last_epoch_steps: PositiveInt | None = None


class Augmentation(Frozen):
    """Random changes to each training image before it is perturbed.

    Attributes:
        crop_padding: most pixels that an image is moved by in each direction; the uncovered border is black; 0: no
            move.
        flip: whether half of the images are mirrored, left to right.
    """

    crop_padding: Annotated[int, Field(ge=0, le=16)] = 0
    flip: bool = False


Loop = Annotated[OrdinaryLoop | FreeLoop, Field(discriminator="kind")]
