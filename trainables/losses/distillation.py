"""The distillation loss: it mixes the soft labels of a teacher into another loss."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from trainables.losses.config import SoftTerm


@dataclass(frozen=True)
class SoftLoss:
    """Joins soft labels to a loss (arXiv 1503.02531, section 2; of perturbed images: arXiv 1905.09747).

    Attributes:
        target: (n, classes) log-probabilities of the teacher's softened answers to the training images.
        temperature: T, what logits are divided by. KL is multiplied by its square, which keeps gradients of one size
            while answers are close; where they are far apart, a gradient is up to T times that of cross-entropy, so
            that a rate that suits labels alone can be too high.
        weight: share of the soft labels.
    """

    target: Tensor
    temperature: float
    weight: float

    @classmethod
    def of(cls, term: SoftTerm, logits: Tensor) -> "SoftLoss":
        """Soften a teacher's logits (n, classes) on the training images."""
        return cls(log_softmax(logits / term.temperature, 1), term.temperature, term.weight)

    def __call__(self, loss: Tensor, logits: Tensor, index: Tensor) -> Tensor:
        """(1 - weight) × loss + weight × T² × mean KL(teacher ‖ student), a scalar.

        Args:
            loss: of the same batch, a scalar.
            logits: the student's, of the perturbed images (batch, classes).
            index: which training images they are (batch,).
        """
        student = log_softmax(logits / self.temperature, 1)
        divergence = kl_div(student, self.target[index], reduction="batchmean", log_target=True)
        return (1 - self.weight) * loss + self.weight * self.temperature**2 * divergence
