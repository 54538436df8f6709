"""Defines what a study may say of the loss, and of soft labels for distillation. Imports no torch."""

from typing import Annotated, Literal

from pydantic import Field

from trainables.config import Frozen, PositiveFloat, Share


class CrossEntropy(Frozen):
    """Loss: cross-entropy of the perturbed images.

    Attributes:
        label_smoothing: share of the label that is spread over all classes.
    """

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Mixed(Frozen):
    """Loss: a weighted mean of the cross-entropies of clean and of perturbed images (arXiv 1412.6572, eq. 3.1).

    Attributes:
        clean_weight: weight of the clean images' cross-entropy, 0–1; the perturbed images' has the rest.
    """

    kind: Literal["mixed"] = "mixed"
    clean_weight: Share = 0.5


class Trades(Frozen):
    """TRADES: cross-entropy of clean images plus beta × KL(clean ‖ perturbed predictions) (arXiv 1901.08573, eq. 5).

    The perturbation raises that divergence, and not the cross-entropy of the labels.

    Attributes:
        beta: weight of the divergence.
    """

    kind: Literal["trades"] = "trades"
    beta: PositiveFloat = 6.0


class SoftTerm(Frozen):
    """How a teacher's soft labels enter a loss.

    The loss becomes (1 - weight) × loss + weight × T² × KL(teacher ‖ student), with both softened by T. The teacher
    sees the clean image, the student the perturbed one (arXiv 1905.09747; arXiv 1503.02531, section 2).

    Attributes:
        temperature: T, by which the logits of both networks are divided.
        weight: share of the soft labels in the loss, (0–1].
    """

    temperature: PositiveFloat = 4.0
    weight: Annotated[float, Field(gt=0, le=1, description="a number in (0, 1]")] = 0.5


Loss = Annotated[CrossEntropy | Mixed | Trades, Field(discriminator="kind")]
