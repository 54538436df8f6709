"""How a recipe in progress is scored: the study's protocol on its validation images."""

from dataclasses import dataclass

from torch import Tensor, nn

from trainables.attacks import PgdAttack
from trainables.cost import Ledger, PassCost
from trainables.evaluation import Score, evaluate
from trainables.recipe import Evaluation


@dataclass(frozen=True)
class Scorer:
    """Scores networks on the same images, by the same attacks.

    Attributes:
        protocol: how hard, and on how many images.
        images: validation images (n, channels, height, width), on the device to compute on.
        labels: theirs (n,).
    """

    protocol: Evaluation
    images: Tensor
    labels: Tensor

    @property
    def progress_examples(self) -> int:
        """Images that a point of the curve is measured on."""
        return min(self.protocol.progress_examples, len(self.labels))

    def progress(self, model: nn.Module, cost: PassCost, ledger: Ledger) -> Score:
        """A point of the curve."""
        return self._score(model, self.protocol.progress_steps, self.protocol.progress_examples, cost, ledger)

    def full(self, model: nn.Module, cost: PassCost, ledger: Ledger) -> Score:
        """The score that counts."""
        return self._score(model, self.protocol.steps, self.protocol.examples, cost, ledger)

    def _score(self, model: nn.Module, steps: int, examples: int | None, cost: PassCost, ledger: Ledger) -> Score:
        attack = PgdAttack(norm=self.protocol.norm, epsilon=self.protocol.epsilon, steps=steps)
        images, labels, size = self.images[:examples], self.labels[:examples], self.protocol.batch_size
        return evaluate(model, images, labels, attack, batch_size=size, cost=cost, ledger=ledger)
