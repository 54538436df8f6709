"""A compression method of the user's own that takes steps: weights are set to 0 for good, the smallest first."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from trainables.compression.compressor import Compressor, layers_of


class Mask(nn.Module):
    """A parametrization: weights, but for those that are masked."""

    mask: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones_like(weight, dtype=torch.bool))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask


class Masks(Compressor):
    """A share of each layer's weights, by the cubic law (arXiv 1710.01878, eq. 1)."""

    def __init__(self, share: float, steps: int, seed: int) -> None:
        self.share, self.steps = share, steps

    def step(self, number: int, model: nn.Module, x: Tensor, y: Tensor) -> None:
        if number == 1:
            self._add(model)
        share = self.share * (1 - (1 - number / self.steps) ** 3)
        for layer in layers_of(model).values():
            parts: Any = layer.parametrizations
            size = (parts["weight"].original.detach() * parts["weight"][0].mask).abs()
            parts["weight"][0].mask.copy_(size > size.flatten().quantile(share))

    def attach(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        self._add(model)

    def plain(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Masked weights as zeros."""
        plain = {name: value for name, value in state.items() if ".parametrizations." not in name}
        for name, value in state.items():
            layer, found, _ = name.partition(".parametrizations.weight.original")
            if found:
                plain[f"{layer}.weight"] = value * state[f"{layer}.parametrizations.weight.0.mask"]
        return plain

    def _add(self, model: nn.Module) -> None:
        for layer in layers_of(model).values():
            parametrize.register_parametrization(layer, "weight", Mask(layer.weight))
