"""The network that a recipe starts from: built, and given the weights of its base or its file."""

from dataclasses import dataclass

from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from trainables.checkpoints.trained_model import TrainedModel
from trainables.compression.compressor import Compressors
from trainables.compute.flops import forward_flops
from trainables.data.splits import Splits, pixel_statistics
from trainables.models.build import build, load_compressed
from trainables.models.weights import load_weights
from trainables.recipe.recipe import Recipe


@dataclass(frozen=True)
class InitialNetwork:
    """A network, on its device, and the FLOPs of one forward pass of its architecture before any compression."""

    model: nn.Module
    dense_flops: float


def initial_network(recipe: Recipe, base: TrainedModel | None, splits: Splits, images: Tensor) -> InitialNetwork:
    """Build the network that a recipe starts from; torch's global generator must be seeded before.

    Args:
        recipe: what to build; it is not compressed yet.
        base: what it starts from.
        splits: the data, for its classes and pixels.
        images: training images on the device to compute on.

    Raises:
        InvalidInput: the recipe's file of weights is missing, changed, or not this network's.
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
