"""Checks that a deployed file computes for any number of images what the network computes in PyTorch.

Tracing records the operators that run for two images. A network that reads their number as a plain number, for example
by `len(x)`, or loops over them, leaves that number in the file.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trainables.compression.quantized_layers import RoundedInput
from trainables.deployment.onnx_runtime import OnnxModel
from trainables.errors import InvalidInput
from trainables.value_forms import counted

TRACED = 2  # number of images that the operators are recorded for
NUMBERS = (TRACED, 1, 3)  # numbers of images that are tried
# Largest difference of scores, as a share of their range: sums in another order differ by 1e-6 of it, and where inputs
# are rounded to few bits, single values fall on the other side of an edge, which made 0.013 at most (nine networks).
FAR, FAR_ROUNDED = 1e-3, 0.1
_OTHERWISE = "it draws random numbers, or PyTorch's exporter writes one of its operators otherwise"
_ADVICE = "it may keep the number of images as a plain number: use x.shape[0] in place of len(x) or int(x.shape[0])"


def check_numbers_of_images(content: bytes, model: nn.Module, image_shape: tuple[int, ...]) -> None:
    """Compares the file with the network on images that are drawn at random.

    Args:
        content: content of the file.
        model: the network that was traced, on the CPU and in eval mode.
        image_shape: (channels, height, width).

    Raises:
        InvalidInput: the file fails, or gives other scores, for some number of images.
    """
    deployed = OnnxModel(content, integer=False)
    far = FAR_ROUNDED if any(isinstance(module, RoundedInput) for module in model.modules()) else FAR
    for number in NUMBERS:
        advice = _OTHERWISE if number == TRACED else _ADVICE
        images = torch.rand(number, *image_shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = model(images).numpy()
        try:
            scores = deployed.scores(images.numpy())
        except InvalidInput as error:
            raise InvalidInput(
                f"model.name: the network cannot be written as ONNX, since its file fails on "
                f"{counted(number, 'image')} ({advice}): {error}"
            ) from error
        if scores.shape != expected.shape:
            difference = f"an output of shape {scores.shape} instead of {expected.shape}"
        elif (apart := float(np.abs(scores - expected).max())) > far * _range(expected):
            difference = f"scores that differ by up to {apart:.3g} from PyTorch's"
        else:
            continue
        raise InvalidInput(
            f"model.name: the network cannot be written as ONNX, since its file gives {difference} for "
            f"{counted(number, 'image')} ({advice})"
        )


def _range(scores: NDArray[np.float32]) -> float:
    """Returns the range of all scores and 0; at least a little."""
    return max(float(np.ptp(scores)), float(np.abs(scores).max()), 1e-6)
