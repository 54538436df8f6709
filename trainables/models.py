"""Networks. Normalization of pixels lives inside them, so that attacks work in [0, 1]."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from trainables.recipe import Network

_PIXELS = {"digits": (0.305, 0.376), "fashion_mnist": (0.286, 0.353)}  # mean and deviation of the training pixels


class PixelNorm(nn.Module):
    """(x - mean) / deviation, for images (batch, channels, height, width) in [0, 1]."""

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation


def build(network: Network, data: str, image_shape: tuple[int, ...], classes: int = 10) -> nn.Module:
    """A freshly initialised network, from torch's global generator.

    Args:
        network: which one.
        data: name of the data set, for its pixel statistics.
        image_shape: (channels, height, width).
        classes: number of outputs.
    """
    channels, height, width = image_shape
    widths, hidden = _ARCHITECTURES[network.name]
    layers: list[nn.Module] = [PixelNorm(*_PIXELS[data])]
    for block in widths:
        for out in block:
            layers.append(nn.Conv2d(channels, out, 3, padding=1, bias=not network.normalization))
            if network.normalization:
                layers.append(nn.BatchNorm2d(out))
            layers.append(nn.ReLU())
            channels = out
        layers.append(nn.MaxPool2d(2))
        height, width = height // 2, width // 2
    layers += [nn.Flatten(), nn.Linear(channels * height * width, hidden), nn.ReLU(), nn.Linear(hidden, classes)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


# 3×3 convolutions by block (each block ends in 2×2 max pooling), and the width of the hidden linear layer.
# eight_layer is the network of arXiv 2403.09441: six convolutions and two linear layers.
_ARCHITECTURES: dict[str, tuple[tuple[tuple[int, ...], ...], int]] = {
    "small": (((32, 32), (64, 64)), 64),
    "eight_layer": (((32, 32), (64, 64), (128, 128)), 256),
}


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Eval mode (BatchNorm statistics stay) and no parameter gradients (2k+3 instead of 3k+3 forwards)."""
    modes = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)


def classifier(model: nn.Module) -> nn.Linear:
    """The last linear layer: its outputs are the classes, so compression leaves them alone."""
    return [module for module in model.modules() if isinstance(module, nn.Linear)][-1]


def load_compressed(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Load a state_dict whose layers may be narrower than the model's, shrinking the model to fit.

    This is how a pruned network is rebuilt without unpickling it: shapes come from the tensors.

    Args:
        model: the uncompressed network of convolution, linear and batch-norm layers.
        state: the weights of a compressed one, with the same names.
    """
    for name, value in state.items():
        owner, _, key = name.rpartition(".")
        module = model.get_submodule(owner)
        present = getattr(module, key)
        if present.shape != value.shape:
            fitting = torch.empty_like(value, device=present.device)
            setattr(module, key, nn.Parameter(fitting) if isinstance(present, nn.Parameter) else fitting)
    model.load_state_dict(dict(state))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.out_channels, module.in_channels = len(module.weight), module.weight.shape[1] * module.groups
        elif isinstance(module, nn.Linear):
            module.out_features, module.in_features = module.weight.shape
        elif isinstance(module, nn.BatchNorm2d):
            module.num_features = len(module.weight)
    return model.to(memory_format=torch.channels_last)
