"""Defines how every recipe of a study is scored: against which threat model, how hard and how often."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationInfo, field_validator

from trainables.attacks.config import Norm, radius
from trainables.config import Frozen, Length, PositiveInt
from trainables.value_forms import radius_words

ScoringKind = Literal["two_losses", "pgd"]
Strength = Literal["quick", "standard", "full"]  # of the ensemble that networks are attacked by once they are trained
_NORMS: Mapping[Norm, str] = {"linf": "L∞", "l2": "L2"}
_WORDS: Mapping[ScoringKind, str] = {"two_losses": "PGD-{steps} on two losses", "pgd": "PGD-{steps}"}


class Scoring(Frozen):
    """How hard robustness is measured on the validation split, by gradient steps from a random start.

    The progress score is measured after every epoch; the full score, in addition, after the last.

    Attributes:
        attack: two_losses: cross-entropy for half of the steps, then the margin, with steps that fall, see
            `trainables.attacks.scoring_attack`; pgd: PGD with a constant step, as in versions before 0.3.
        steps: the attack's steps in the full score.
        examples: validation images of the full score; None: all.
        progress_steps: its steps in the progress score.
        progress_examples: validation images of the progress score.
        batch_size: images per forward pass.
    """

    attack: ScoringKind = "two_losses"
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
    epsilon: Length

    @field_validator("epsilon")
    @classmethod
    def _in_pixels(cls, epsilon: float, info: ValidationInfo) -> float:
        return radius(epsilon, info)


class ScoringProtocol(Scoring, ThreatModel):
    """How recipes are scored: the threat model, and how hard robustness against it is measured.

    Attributes:
        attack: as in `Scoring`; records of versions before 0.3 do not have it, and were scored by PGD.
    """

    attack: ScoringKind = "pgd"


def attack_words(evaluation: Mapping[str, Any]) -> str:
    """Describes the attack of the full score, such as `PGD-20 on two losses`.

    Args:
        evaluation: a `ScoringProtocol` as plain data, which another version of Temper may have written.
    """
    kind = str(evaluation.get("attack", "pgd"))
    words = {str(name): words for name, words in _WORDS.items()}.get(kind, f"{kind}, {{steps}} steps")
    return words.format(steps=evaluation["steps"])


def threat_words(threat_model: ThreatModel) -> str:
    """Returns a threat model in words, such as `L∞ ε 8/255`."""
    return f"{_NORMS[threat_model.norm]} ε {radius_words(threat_model.epsilon, digits=4)}"
