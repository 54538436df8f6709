"""Builds the network that a recipe starts from, and loads the weights of its base or its file into it."""

from dataclasses import dataclass

from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from trainables.checkpoints.trained_model import TrainedModel
from trainables.compression.compressor import Compressors
from trainables.compute.flops import forward_flops
from trainables.data.splits import Splits, pixel_statistics
from trainables.models.build import build
from trainables.models.weights import load_compressed, load_weights
from trainables.recipe.recipe import Recipe


@dataclass(frozen=True)
class InitialNetwork:
    """The network that a recipe starts from.

    Attributes:
        model: the network, on the device to compute on.
        dense_flops: FLOPs of one forward pass of one image through its architecture before any compression.
    """

    model: nn.Module
    dense_flops: float


def initial_network(recipe: Recipe, base: TrainedModel | None, splits: Splits, images: Tensor) -> InitialNetwork:
    """Builds the network that a recipe starts from, without the recipe's own compression.

    PyTorch's global generator must be seeded before.

    Args:
        recipe: the recipe.
        base: the trained base; None where the recipe has none.
        splits: the data, for the number of classes and the statistics of the pixels.
        images: training images on the device to compute on.

    Raises:
        InvalidInput: the recipe's file of weights is missing, has changed, or is not of this network.
    """
    pixels = pixel_statistics(recipe.data, splits.train)
    model = build(recipe.model, tuple(images.shape[1:]), classes=splits.classes, pixels=pixels)
    dense_flops = forward_flops(model, images[:1].cpu())
    if recipe.weights is not None:
        load_weights(model, recipe.weights)
    if base is not None and recipe.base is not None:
        before = Compressors(recipe.base.methods, seed=recipe.base.seed)
        load_compressed(model, before.plain(load_tensors(base.weights)))
    return InitialNetwork(model.to(images.device), dense_flops)
