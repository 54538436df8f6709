"""How every recipe of a study is scored, as data: against which threat model, how hard and how often."""

from pydantic import ValidationInfo, field_validator

from trainables.attacks.config import Norm, radius
from trainables.config import Frozen, PositiveFloat, PositiveInt


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
