"""Distillation: a teacher's soft labels on the clean training images, and the loss that learns from them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from trainables.cost import forward_flops
from trainables.data import Splits, pixel_statistics, tensor_of
from trainables.models import build, frozen, load_compressed
from trainables.quantization import quantize, unquantized
from trainables.recipe import Recipe
from trainables.regime import SoftTerm

BATCH = 256  # images per forward pass of a teacher: fixed, since the last bits of logits depend on it


@dataclass(frozen=True)
class SoftLabels:
    """A network's answers to the training images, clean and not augmented.

    Attributes:
        logits: (n, classes), in the order of the training split. An array, which Ray shares on a node without copies.
        flops: of one forward pass of the network over one image.
    """

    logits: NDArray[np.float32]
    flops: float


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
    def of(cls, term: SoftTerm, labels: SoftLabels, device: torch.device) -> "SoftLoss":
        """Soften a teacher's logits."""
        logits = tensor_of(labels.logits).to(device)
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


def soft_labels(recipe: Recipe, weights: bytes, splits: Splits, images: Tensor) -> SoftLabels:
    """The answers of a finished recipe's network, as it is deployed: pruned, quantized, of the epoch it keeps.

    They are a function of the weights alone: the recipe's own trial and any student that finds none get the same.

    Args:
        recipe: the teacher.
        weights: its result, a safetensors file.
        splits: the data.
        images: training images (n, channels, height, width) on the device to compute on.
    """
    model = rebuilt(recipe, weights, splits, images[:1])
    with frozen(model), torch.no_grad():
        batches = (part.contiguous(memory_format=torch.channels_last) for part in torch.split(images, BATCH))
        logits = torch.cat([model(part) for part in batches])
    return SoftLabels(logits.float().cpu().numpy(), forward_flops(model, images[:1]))


def rebuilt(recipe: Recipe, weights: bytes, splits: Splits, example: Tensor) -> nn.Module:
    """A finished recipe's network out of its weights; torch's global generator is left as it was.

    Args:
        recipe: what was trained.
        weights: its result, a safetensors file.
        splits: the data, for its classes and pixels.
        example: an image (1, channels, height, width) on the device that the network shall be on.
    """
    pixels, state = pixel_statistics(recipe.data, splits.train), load_tensors(weights)
    with torch.random.fork_rng(devices=[]):  # initial weights, drawn on the CPU, which the state replaces
        model = build(recipe.model, tuple(example.shape[1:]), classes=splits.classes, pixels=pixels)
    load_compressed(model, unquantized(state)).to(example.device)
    if recipe.quantization is not None:
        quantize(model, recipe.quantization, example)  # ranges fitted to one image, which the state replaces as well
        model.load_state_dict(state)
    return model
