"""Defines how every recipe of a study is scored: against which threat model, how hard and how often."""

from pydantic import ValidationInfo, field_validator

from trainables.attacks.config import Norm, radius
from trainables.config import Frozen, PositiveFloat, PositiveInt


class Scoring(Frozen):
    """How hard robustness is measured on the validation split, by PGD with a random start.

    The progress score is measured after every epoch; the full score, in addition, after the last.

    Attributes:
        steps: PGD steps of the full score.
        examples: validation images of the full score; None: all.
        progress_steps: PGD steps of the progress score.
        progress_examples: validation images of the progress score.
        batch_size: images per forward pass.
    """

    steps: PositiveInt = 20
    examples: PositiveInt | None = None
    progress_steps: PositiveInt = 5
    progress_examples: PositiveInt = 128
    batch_size: PositiveInt = 256


class ThreatModel(Frozen):
    """The threat model that robustness is measured against.

    Attributes:
        norm: norm of the ball within which an attack may move an image.
        epsilon: radius of the ball, for pixels in [0, 1].
    """

    norm: Norm = "linf"
    epsilon: PositiveFloat

    @field_validator("epsilon")
    @classmethod
    def _in_pixels(cls, epsilon: float, info: ValidationInfo) -> float:
        return radius(epsilon, info)


class Evaluation(Scoring, ThreatModel):
    """How recipes are scored: the threat model, and how hard robustness against it is measured."""
