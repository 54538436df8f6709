"""Holds what a finished recipe passes on to others: its weights, their compute, and soft labels if it is a teacher."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from trainables.compression.compressor import Compressors
from trainables.compute.flops import forward_flops
from trainables.compute.ledger import Lineage
from trainables.data.splits import Splits, pixel_statistics
from trainables.models.build import build, frozen
from trainables.recipe.recipe import Recipe

BATCH = 256  # images per forward pass of a teacher; it is fixed because the last bits of the logits depend on it


@dataclass(frozen=True)
class SoftLabels:
    """The predictions of a teacher for the training images, clean and not augmented, from which students learn.

    Attributes:
        logits: (n, classes), in the order of the training split; an array, which processes of a node share through Ray.
        flops: FLOPs of one forward pass of the teacher over one image, of as many as were computed at once.
    """

    logits: NDArray[np.float32]
    flops: float


@dataclass(frozen=True)
class TrainedModel:
    """A finished model, which serves other recipes as their base or teacher.

    Attributes:
        weights: content of a safetensors file.
        lineage: the compute of its recipe, and of each base and teacher that it goes back to.
        soft_labels: its predictions for the training images; None where no recipe learns from them.
    """

    weights: bytes
    lineage: Lineage
    soft_labels: SoftLabels | None = None


def inherited(base: TrainedModel | None, teacher: TrainedModel | None) -> Lineage:
    """Joins the lineages of a recipe's base and teacher; an ancestor of both is counted once."""
    return {**(base.lineage if base else {}), **(teacher.lineage if teacher else {})}


def soft_labels(recipe: Recipe, weights: bytes, splits: Splits, images: Tensor) -> SoftLabels:
    """Computes the predictions of a finished recipe's network for the training images.

    The network is in its deployed form: pruned, quantized, with the weights of the epoch that the recipe keeps. The
    predictions depend on these weights alone, so that the teacher's trial and a student's trial compute the same.

    Args:
        recipe: the teacher.
        weights: the teacher's weights, content of a safetensors file.
        splits: the data.
        images: training images (n, channels, height, width) on the device to compute on.
    """
    model = rebuild(recipe, splits, weights).to(images.device)
    with frozen(model), torch.no_grad():
        batches = (part.contiguous(memory_format=torch.channels_last) for part in torch.split(images, BATCH))
        logits = torch.cat([model(part) for part in batches])
    return SoftLabels(logits.float().cpu().numpy(), teaching_flops(model, images))


def teaching_flops(teacher: nn.Module, images: Tensor) -> float:
    """Returns the FLOPs for each image that `soft_labels` takes for all of them."""
    return forward_flops(teacher, images[:1], batch=len(images) / math.ceil(len(images) / BATCH))


def rebuild(recipe: Recipe, splits: Splits, weights: bytes, *, epochs: int | None = None) -> nn.Module:
    """Rebuilds a network as it was saved, on the CPU and in eval mode; nothing is trained or fitted.

    PyTorch's global generator is left as it was.

    Args:
        recipe: the recipe of the network.
        splits: the data, for the shape of the images, the number of classes and the statistics of the pixels.
        weights: the network's parameters and buffers, content of a safetensors file.
        epochs: number of epochs that had begun when it was saved, which says how far it was compressed; None: all.
    """
    pixels, state = pixel_statistics(recipe.data, splits.train), load_tensors(weights)
    with torch.random.fork_rng(devices=[]):  # building draws initial weights on the CPU, which the state then replaces
        model = build(recipe.model, splits.train.images.shape[1:], classes=splits.classes, pixels=pixels)
    return Compressors(recipe.methods, seed=recipe.seed).load(model, state, epochs=epochs).eval()


def floating_point_parent(recipe: Recipe, splits: Splits, weights: bytes) -> nn.Module:
    """Rebuilds a quantized network without its quantization: the floating-point weights that rounding starts from.

    Args:
        recipe: the recipe of the quantized network.
        splits: the data.
        weights: the quantized network's parameters and buffers, content of a safetensors file.
    """
    assert recipe.quantization is not None, "only what is quantized has such a parent"
    whole = recipe.model_copy(update={"quantization": None})
    plain = Compressors([recipe.quantization], seed=recipe.seed).plain(load_tensors(weights))
    return rebuild(whole, splits, save_tensors(plain))
