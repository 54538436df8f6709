"""Implements transfer: examples that were made for one network are tried on another."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from trainables.attacks.config import Norm
from trainables.attacks.pgd import PgdAttack
from trainables.models.build import frozen


@dataclass(frozen=True, kw_only=True, eq=False)
class TransferAttack:
    """PGD on another network, whose examples are handed on as they are (arXiv 1605.07277).

    Attributes:
        source: the network that the examples are made for, on the same device.
        steps: steps of PGD.
    """

    epsilon: float
    norm: Norm
    source: nn.Module
    steps: int
    passes: int = 0
    sound: bool = True

    @property
    def bound(self) -> float:
        return self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        with frozen(self.source), torch.enable_grad():
            return PgdAttack(epsilon=self.epsilon, steps=self.steps, norm=self.norm)(self.source, x, target, generator)
