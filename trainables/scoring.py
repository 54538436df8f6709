"""How a recipe in progress is scored: the study's protocol on its validation images."""

from dataclasses import dataclass

from torch import Tensor, nn

from trainables.attacks import Attack, PgdAttack
from trainables.cost import Ledger, PassCost
from trainables.evaluation import Score, evaluate
from trainables.protocol import Evaluation
from trainables.published import PublishedPgdAttack


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
        protocol = self.protocol
        return self._score(model, self._pgd(protocol.progress_steps), protocol.progress_examples, cost, ledger)

    def full(self, model: nn.Module, cost: PassCost, ledger: Ledger) -> Score:
        """The score that counts."""
        return self._score(model, self._pgd(self.protocol.steps), self.protocol.examples, cost, ledger)

    def as_published(self, model: nn.Module, cost: PassCost, ledger: Ledger) -> Score:
        """The score that the study of arXiv 2403.09441 would have given; see `trainables.published`."""
        attack = PublishedPgdAttack(epsilon=self.protocol.epsilon, steps=self.protocol.steps)
        return self._score(model, attack, self.protocol.examples, cost, ledger)

    def _pgd(self, steps: int) -> PgdAttack:
        return PgdAttack(norm=self.protocol.norm, epsilon=self.protocol.epsilon, steps=steps)

    def _score(self, model: nn.Module, attack: Attack, examples: int | None, cost: PassCost, ledger: Ledger) -> Score:
        images, labels, size = self.images[:examples], self.labels[:examples], self.protocol.batch_size
        return evaluate(model, images, labels, attack, batch_size=size, cost=cost, ledger=ledger)
