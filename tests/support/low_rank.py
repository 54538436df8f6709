"""A compression method of the user's own, as docs/your-own.md shows it: convolutions become pairs of cheaper ones."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainables.compression.compressor import Compressor


class LowRank(Compressor):
    """Each k×k convolution as a thinner k×k one and a 1×1 one."""

    def __init__(self, share: float, steps: int, seed: int) -> None:
        self.share = share  # of the singular values to keep; it takes one step and draws nothing

    def step(self, number: int, model: nn.Module, x: Tensor, y: Tensor) -> None:
        """Before training: the best approximation of each layer's matrix (out, in × k × k)."""
        for name, layer in convolutions(model).items():
            u, s, v = torch.linalg.svd(layer.weight.detach().flatten(1), full_matrices=False)
            rank = max(1, round(self.share * len(s)))
            thin, wide = replace(model, name, layer, rank)
            thin.weight.data = (s[:rank, None] * v[:rank]).reshape(thin.weight.shape)
            wide.weight.data = u[:, :rank].reshape(wide.weight.shape)
            wide.bias = layer.bias

    def attach(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        """To load a saved network: the same layers, as wide as its tensors."""
        for name, layer in convolutions(model).items():
            replace(model, name, layer, rank=len(state[f"{name}.thin.weight"]))

    def plain(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """For recipes that start from this network: one k×k convolution again, the product of the two."""
        plain = {key.replace(".wide.", "."): value for key, value in state.items() if ".thin." not in key}
        for key, thin in state.items():
            name, found, _ = key.partition(".thin.")
            if found:
                wide = plain[f"{name}.weight"]
                plain[f"{name}.weight"] = (wide.flatten(1) @ thin.flatten(1)).reshape(-1, *thin.shape[1:])
        return plain


def convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    """Those of more than one pixel, by name."""
    found = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    return {name: layer for name, layer in found.items() if layer.kernel_size != (1, 1) and layer.groups == 1}


def replace(model: nn.Module, name: str, layer: Any, rank: int) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Put two layers in the place of one, and return them."""
    thin = nn.Conv2d(layer.in_channels, rank, layer.kernel_size, layer.stride, layer.padding, bias=False)
    wide = nn.Conv2d(rank, layer.out_channels, 1, bias=layer.bias is not None)
    model.set_submodule(name, nn.Sequential(OrderedDict(thin=thin, wide=wide)))
    return thin, wide
