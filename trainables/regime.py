"""How a recipe trains, as data: what it adds to the input, what it minimises, how it steps, and on what schedule."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from trainables.config import Frozen

EPSILON = "a number in (0, 0.5], for pixels in [0, 1] (8/255 is 0.0314)"
Epsilon = Annotated[float, Field(gt=0, le=0.5, description=EPSILON)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1, description="a number in [0, 1]")]
Decay = Annotated[float, Field(gt=0, lt=1)]
Norm = Literal["linf", "l2"]
Shape = Literal["one_cycle", "cosine", "step", "constant"]
Precision = Literal["float32", "bf16-mixed"]


class NoPerturbation(Frozen):
    """Ordinary training."""

    kind: Literal["none"] = "none"


class _Attack(Frozen):
    """What every perturbation has.

    Attributes:
        warm_up: share of the training steps over which epsilon (and the step size) rises from 0, in a line; 0: none.
    """

    warm_up: Share = 0.0


class FGSM(_Attack):
    """One gradient step from a uniform start, projected (arXiv 2001.03994).

    Attributes:
        epsilon: radius of the L-infinity ball, in [0, 1] pixel units.
        step_size: length of the step; None: 1.25 epsilon, as published.
    """

    kind: Literal["fgsm"] = "fgsm"
    epsilon: Epsilon
    step_size: PositiveFloat | None = None


class NFGSM(_Attack):
    """One gradient step from noise of twice its size, not projected (arXiv 2202.01181)."""

    kind: Literal["n_fgsm"] = "n_fgsm"
    epsilon: Epsilon


class PGD(_Attack):
    """Projected gradient ascent from a random start (arXiv 1706.06083).

    Attributes:
        norm: of the ball: largest pixel difference (linf) or Euclidean length (l2).
        epsilon: radius of the ball, for pixels in [0, 1].
        steps: gradient steps per batch.
        step_size: length of a step; None: 2.5 epsilon / steps.
    """

    kind: Literal["pgd"] = "pgd"
    norm: Norm = "linf"
    epsilon: PositiveFloat
    steps: PositiveInt
    step_size: PositiveFloat | None = None

    @field_validator("epsilon")
    @classmethod
    def _in_pixels(cls, epsilon: float, info: ValidationInfo) -> float:
        return radius(epsilon, info)


class PublishedPGD(_Attack):
    """PGD as the code of arXiv 2403.09441 runs it, to repeat that study; see `trainables.published`.

    Attributes:
        epsilon: radius of the L-infinity ball, in [0, 1] pixel units; a step is 2 epsilon / steps.
        steps: gradient steps per batch.
    """

    kind: Literal["pgd_as_published"] = "pgd_as_published"
    epsilon: Epsilon
    steps: PositiveInt = 20


def radius(epsilon: float, info: ValidationInfo) -> float:
    """Check an epsilon by the norm validated before it: an L-infinity one above 0.5 is in 0–255 units by mistake."""
    if info.data.get("norm") == "linf" and epsilon > 0.5:
        raise ValueError(f"got {epsilon:g}, expected {EPSILON}")
    return epsilon


class CrossEntropy(Frozen):
    """Cross-entropy of the perturbed images.

    Attributes:
        label_smoothing: share of the label that is spread over all classes.
    """

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Mixed(Frozen):
    """Cross-entropy of clean and perturbed images (arXiv 1412.6572, eq. 3.1).

    Attributes:
        clean_weight: share of the clean images' loss.
    """

    kind: Literal["mixed"] = "mixed"
    clean_weight: Share = 0.5


class Trades(Frozen):
    """TRADES: cross-entropy of clean images plus beta × KL(clean ‖ perturbed predictions) (arXiv 1901.08573, eq. 5).

    The perturbation raises that divergence, not the cross-entropy.
    """

    kind: Literal["trades"] = "trades"
    beta: PositiveFloat = 6.0


class SoftTerm(Frozen):
    """How soft labels enter a loss: (1 - weight) × the loss + weight × T² × KL(teacher ‖ student), both softened by T.

    The teacher sees the clean image, the student the perturbed one (arXiv 1905.09747; arXiv 1503.02531, section 2).

    Attributes:
        temperature: T, what both networks' logits are divided by.
        weight: share of the soft labels in the loss.
    """

    temperature: PositiveFloat = 4.0
    weight: Annotated[float, Field(gt=0, le=1, description="a number in (0, 1]")] = 0.5


class OrdinaryLoop(Frozen):
    """Each batch is perturbed, then trained on once."""

    kind: Literal["ordinary"] = "ordinary"


class FreeLoop(Frozen):
    """Free adversarial training (arXiv 1904.12843, algorithm 1): one backward pass updates weights and perturbation.

    Attributes:
        replays: times in a row that each batch is trained on (m in the paper).
    """

    kind: Literal["free"] = "free"
    replays: PositiveInt = 4


class Schedule(Frozen):
    """Optimizer and learning rate.

    Attributes:
        epochs: times through the training images; 0: none, for weights that are taken as they are.
        learning_rate: its highest value.
        shape: one_cycle (arXiv 1708.07120): up for 30% of the steps, then down; cosine: down to 0 (arXiv 1608.03983);
            step: a tenth after half of the steps, a hundredth after three quarters; constant.
        optimizer: SGD with Nesterov momentum, or AdamW (arXiv 1711.05101; `momentum` is its first beta).
        averaging: decay per step of an exponential moving average of the weights, which is then what is scored and
            kept; None: the weights themselves.
    """

    epochs: Annotated[int, Field(ge=0)]
    learning_rate: PositiveFloat
    batch_size: PositiveInt = 64
    shape: Shape = "one_cycle"
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    averaging: Decay | None = None


class Augmentation(Frozen):
    """Random changes to each training image, before it is perturbed.

    Attributes:
        crop_padding: the image moves by up to so many pixels, and what comes into view is black; 0: no move.
        flip: half of the images are mirrored, left to right.
    """

    crop_padding: Annotated[int, Field(ge=0, le=16)] = 0
    flip: bool = False


Perturbation = Annotated[NoPerturbation | FGSM | NFGSM | PGD | PublishedPGD, Field(discriminator="kind")]
Loss = Annotated[CrossEntropy | Mixed | Trades, Field(discriminator="kind")]
Loop = Annotated[OrdinaryLoop | FreeLoop, Field(discriminator="kind")]
