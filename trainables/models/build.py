"""Builds networks, with the normalization of pixels inside, so that attacks work on images in [0, 1]."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import UninitializedParameter

from trainables.broken_kernels import go_around
from trainables.errors import InvalidInput
from trainables.models.config import NETWORKS, Network
from trainables.models.misfits import precision_advice, scores_advice
from trainables.models.module_sizes import save_drawn_buffers
from trainables.models.resnets import resnet18, wide_resnet
from trainables.models.wrappers import unwrapped
from trainables.user_code import TORCHVISION, user_function
from trainables.user_errors import misfit, reported
from trainables.value_forms import counted

Pixels = tuple[tuple[float, ...], tuple[float, ...]]


class PixelNorm(nn.Module):
    """Layer that normalizes pixels, (x - mean) / deviation by channel, of images (batch, channels, height, width)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, means: Sequence[float], deviations: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(means).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviations).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation


class Repeat(nn.Module):
    """Layer that repeats grey images (batch, 1, height, width) in three channels, for networks of colour images."""

    def forward(self, x: Tensor) -> Tensor:
        return x.expand(-1, 3, -1, -1)


def build(
    network: Network, image_shape: tuple[int, ...], *, classes: int = 10, pixels: Pixels = ((0.0,), (1.0,))
) -> nn.Module:
    """Builds a network for images in [0, 1]; its weights are initialised from PyTorch's global generator.

    Args:
        network: the architecture.
        image_shape: (channels, height, width).
        classes: number of outputs.
        pixels: means and deviations of the training pixels by channel, by which they are normalized unless `network`
            says otherwise; the user's own network is given pixels as they are.

    Raises:
        InvalidInput: there is no such network, or it does not give a score for each class for such images.
    """
    model: nn.Module
    if network.is_users:
        model = _of_user(network.name, image_shape, classes)
    else:
        try:
            model = nn.Sequential(_pixel_norm(network, image_shape, pixels), *_layers(network, image_shape, classes))
        except InvalidInput:
            raise
        except Exception as error:  # torchvision's constructors raise whatever their checks do, such as AssertionError
            raise InvalidInput(
                f"model.name: {network.name}: cannot be built for images of shape {image_shape} "
                f"({str(error) or type(error).__name__})"
            ) from error
    if isinstance(model, nn.Module) and network.name not in NETWORKS:
        model.register_forward_hook(first_output)
    _check(model, network.name, image_shape, classes)
    if network.is_users:
        save_drawn_buffers(model, lambda: _of_user(network.name, image_shape, classes))
    go_around()
    return to_channels_last(model)


def _pixel_norm(network: Network, image_shape: tuple[int, ...], pixels: Pixels) -> PixelNorm:
    """Makes the layer that normalizes pixels; with three numbers, it makes three channels of a grey image's one.

    Raises:
        InvalidInput: the network says numbers for more or fewer channels.
    """
    mean, std, channels = network.pixel_mean, network.pixel_std, image_shape[0]
    if mean is None or std is None:
        return PixelNorm(*pixels)
    fitting = {1, channels, *((3,) if channels == 1 and network.name.startswith(TORCHVISION) else ())}
    if len(mean) not in fitting:
        raise InvalidInput(
            f"model.pixel_mean: got {counted(len(mean), 'number')} for images of {counted(channels, 'channel')}, "
            "expected one for each"
        )
    return PixelNorm(mean, std)


def normalization(
    network: Network, pixels: Pixels, *, said: str = "pixel_mean and pixel_std of the model"
) -> str | None:
    """Returns in words how pixels are normalized for weights that may have been trained otherwise.

    None where the user normalizes them, or has said how they are.

    Args:
        network: the network.
        pixels: mean and standard deviation of the training images, by channel.
        said: how the user says others.
    """
    if network.is_users or network.pixel_mean is not None:
        return None
    mean, std = (", ".join(f"{one:.4g}" for one in numbers) for numbers in pixels)
    return (
        f"pixels are normalized by mean {mean} and standard deviation {std}, of the training images; weights that were "
        f"trained with others need these as {said}"
    )


def _of_user(name: str, image_shape: tuple[int, ...], classes: int) -> Any:
    """Calls the user's function that makes a network. Raises InvalidInput: it takes other arguments, or fails."""
    function = user_function(name, "model.name")
    advice = f"it is called with image_shape={image_shape}, classes={classes}"
    if isinstance(function, nn.Module):
        raise InvalidInput(
            f"model.name: {name} is a {type(function).__name__}, expected a function of image_shape and classes that "
            "makes one"
        )
    if problem := misfit(function, image_shape=image_shape, classes=classes):
        raise InvalidInput(
            f"model.name: {name} takes {inspect.signature(function)} {problem}, expected a function of image_shape and "
            "classes, by these names"
        )
    with reported(f"model.name: {name}", ": cannot be built", advice):
        made = function(image_shape=image_shape, classes=classes)
    return unwrapped(made, f"model.name: {name}") if isinstance(made, nn.Module) else made


def _layers(network: Network, image_shape: tuple[int, ...], classes: int) -> list[nn.Module]:
    channels = image_shape[0]
    if network.name.startswith(TORCHVISION):
        made = _of_torchvision(network.name.removeprefix(TORCHVISION), classes)
        return [Repeat(), made] if channels == 1 else [made]
    if network.name == "resnet18":
        return [resnet18(channels, classes)]
    if network.name == "wide_resnet":
        return [wide_resnet(channels, classes, network.depth, network.width)]
    return _plain(network, image_shape, classes)


def _of_torchvision(name: str, classes: int) -> nn.Module:
    """Builds a network of torchvision's without weights, and without the auxiliary classifiers that some have."""
    from torchvision import models  # late, so that trials start sooner: see `data.sources`

    check_torchvision(name)
    # Without `init_weights` these two warn that its default will change to False.
    settings = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    made: nn.Module = models.get_model(name, weights=None, num_classes=classes, **settings)
    return made


def check_torchvision(name: str) -> None:
    """Checks that torchvision has a network of a name that classifies images. Raises InvalidInput if not."""
    from torchvision import models  # late, as above

    known = models.list_models(module=models) + models.list_models(module=models.quantization)
    if name not in known:  # those that detect, segment or take videos are not built either: some load weights
        such_as = "".join(f", such as {near}" for near in get_close_matches(name, known, n=1))
        raise InvalidInput(
            f"model.name: torchvision:{name} is none of torchvision's networks that classify images, expected one of "
            f"torchvision.models.list_models(torchvision.models){such_as}"
        )


def to_channels_last(model: nn.Module) -> nn.Module:
    """Lays out the weights of two-dimensional convolutions as their kernels prefer, and returns the model.

    `nn.Module.to` refuses models with tensors of five dimensions (torch 2.14.1), and changes tensors of the user's own
    that must have another layout.
    """
    for module in model.modules():
        if isinstance(module, _ConvNd) or type(module).__module__.startswith("torch."):
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                if tensor.dim() == 4:
                    tensor.data = tensor.data.to(memory_format=torch.channels_last)
    return model


def first_output(model: nn.Module, inputs: object, output: object) -> object:
    """Returns what is called logits of several outputs, else the first; it is a hook of networks that give several."""
    if isinstance(output, Mapping):
        return output.get("logits", next(iter(output.values()), output))
    if isinstance(logits := getattr(output, "logits", None), Tensor):
        return logits
    return output[0] if isinstance(output, tuple | list) and output else output


def _plain(network: Network, image_shape: tuple[int, ...], classes: int) -> list[nn.Module]:
    channels, height, width = image_shape
    widths, hidden = _ARCHITECTURES[network.name]
    layers: list[nn.Module] = []
    for block in widths:
        for out in block:
            layers.append(nn.Conv2d(channels, out, 3, padding=1, bias=not network.normalization))
            if network.normalization:
                layers.append(nn.BatchNorm2d(out))
            layers.append(nn.ReLU())
            channels = out
        layers.append(nn.MaxPool2d(2))
        height, width = height // 2, width // 2
    return [*layers, nn.Flatten(), nn.Linear(channels * height * width, hidden), nn.ReLU(), nn.Linear(hidden, classes)]


def _check(model: object, name: str, image_shape: tuple[int, ...], classes: int) -> None:
    if not isinstance(model, nn.Module):
        raise InvalidInput(f"model.name: {name} gave a {type(model).__name__}, expected a torch.nn.Module")
    images = torch.zeros(1, *image_shape)
    try:
        if any(isinstance(parameter, UninitializedParameter) for parameter in model.parameters()):
            with torch.no_grad():  # lazy layers get their shapes, and BatchNorm would learn of these images in training
                model.eval()(images)
                model.train()
        with frozen(model), torch.no_grad():
            scores = model(images)
    except Exception as error:  # whatever the user's forward raises
        raise InvalidInput(
            f"model.name: {name} does not take images of shape {image_shape} ({error}){precision_advice(model)}"
        ) from error
    if not isinstance(scores, Tensor) or scores.shape != (1, classes):
        raise InvalidInput(
            f"model.name: {name} does not give a tensor with a score for each of {classes} classes; "
            f"{scores_advice(scores, classes)}"
        )


# For each network, the widths of its 3×3 convolutions by block (each block ends in 2×2 max pooling), and the width of
# the hidden linear layer. eight_layer is the network of arXiv 2403.09441: six convolutions and two linear layers.
_ARCHITECTURES: dict[str, tuple[tuple[tuple[int, ...], ...], int]] = {
    "small": (((32, 32), (64, 64)), 64),
    "eight_layer": (((32, 32), (64, 64), (128, 128)), 256),
}


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Keeps a model in eval mode and without parameter gradients inside the context, and restores both after it.

    In eval mode BatchNorm's statistics do not change. Without parameter gradients, training against a k-step attack
    takes the compute of 2k+3 forward passes instead of 3k+3.
    """
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
