"""What a finished recipe leaves to others: its weights, what they cost, and its soft labels where it teaches."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from trainables.compression.compressor import Compressors
from trainables.compute.flops import forward_flops
from trainables.compute.ledger import Lineage
from trainables.data.splits import Splits, pixel_statistics
from trainables.models.build import build, frozen
from trainables.recipe.recipe import Recipe

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
class TrainedModel:
    """A finished model, to start other recipes from or to teach them.

    Attributes:
        weights: as a safetensors file.
        lineage: what it cost, and what each recipe that it builds on cost.
        soft_labels: its logits on the training images, where some recipe learns from them.
    """

    weights: bytes
    lineage: Lineage
    soft_labels: SoftLabels | None = None


def inherited(base: TrainedModel | None, teacher: TrainedModel | None) -> Lineage:
    """The lineage of a recipe that builds on these: an ancestor of both is there once."""
    return {**(base.lineage if base else {}), **(teacher.lineage if teacher else {})}


def soft_labels(recipe: Recipe, weights: bytes, splits: Splits, images: Tensor) -> SoftLabels:
    """The answers of a finished recipe's network, as it is deployed: pruned, quantized, of the epoch it keeps.

    They are a function of the weights alone: the recipe's own trial and any student that finds none get the same.

    Args:
        recipe: the teacher.
        weights: its result, a safetensors file.
        splits: the data.
        images: training images (n, channels, height, width) on the device to compute on.
    """
    model = rebuild(recipe, splits, weights).to(images.device)
    with frozen(model), torch.no_grad():
        batches = (part.contiguous(memory_format=torch.channels_last) for part in torch.split(images, BATCH))
        logits = torch.cat([model(part) for part in batches])
    return SoftLabels(logits.float().cpu().numpy(), forward_flops(model, images[:1]))


def rebuild(recipe: Recipe, splits: Splits, weights: bytes, *, epochs: int | None = None) -> nn.Module:
    """A network as it was saved, on the CPU and in eval mode; nothing is trained or fitted.

    torch's global generator is left as it was.

    Args:
        recipe: that it is of.
        splits: its data, for the shape of the images, the classes and the pixels.
        weights: its parameters and buffers as a safetensors file.
        epochs: that had begun when it was saved, by which it may not have been compressed in full; None: all.
    """
    pixels, state = pixel_statistics(recipe.data, splits.train), load_tensors(weights)
    with torch.random.fork_rng(devices=[]):  # initial weights, drawn on the CPU, which the state replaces
        model = build(recipe.model, splits.train.images.shape[1:], classes=splits.classes, pixels=pixels)
    return Compressors(recipe.methods, seed=recipe.seed).load(model, state, epochs=epochs).eval()
