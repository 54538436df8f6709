"""What a study may say of an attack: its kind, radius, steps and warm-up. Imports no torch."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from trainables.config import Frozen, PositiveFloat, PositiveInt, Share

EPSILON = "a number in (0, 0.5], for pixels in [0, 1] (8/255 is 0.0314)"
Epsilon = Annotated[float, Field(gt=0, le=0.5, description=EPSILON)]
Norm = Literal["linf", "l2"]


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
    """PGD as the code of arXiv 2403.09441 runs it, to repeat that study; see `trainables.attacks.adver_fine`.

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


Perturbation = Annotated[NoPerturbation | FGSM | NFGSM | PGD | PublishedPGD, Field(discriminator="kind")]
