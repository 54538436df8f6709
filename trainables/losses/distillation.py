"""Implements distillation: mixes the soft labels of a teacher into another loss."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from trainables.losses.config import SoftTerm


@dataclass(frozen=True)
class SoftLoss:
    """Loss that adds soft labels to another loss (arXiv 1503.02531, section 2; perturbed images: arXiv 1905.09747).

    Attributes:
        target: (n, classes) log-probabilities of the teacher's softened predictions for the training images.
        temperature: T, by which logits are divided. KL is multiplied by T², which keeps the size of the gradients while
            the predictions of teacher and student are close. Where they are far apart, a gradient is up to T times that
            of cross-entropy, so that a learning rate that suits labels alone can be too high.
        weight: share of the soft labels, (0–1].
    """

    target: Tensor
    temperature: float
    weight: float

    @classmethod
    def of(cls, term: SoftTerm, logits: Tensor) -> "SoftLoss":
        """Makes the loss from a teacher's logits (n, classes) for the training images."""
        return cls(log_softmax(logits / term.temperature, 1), term.temperature, term.weight)

    def __call__(self, loss: Tensor, logits: Tensor, index: Tensor) -> Tensor:
        """Returns (1 - weight) × loss + weight × T² × mean KL(teacher ‖ student), a scalar.

        Args:
            loss: the other loss of the same batch, a scalar.
            logits: the student's logits for the perturbed images (batch, classes).
            index: positions of these images in the training split (batch,).
        """
        student = log_softmax(logits / self.temperature, 1)
        divergence = kl_div(student, self.target[index], reduction="batchmean", log_target=True)
        return (1 - self.weight) * loss + self.weight * self.temperature**2 * divergence
