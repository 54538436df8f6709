"""The network that a recipe trains: built, given its base's weights, pruned and quantized."""

from dataclasses import dataclass

from safetensors.torch import load as load_tensors
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.cost import Ledger, forward_flops
from trainables.data import Splits, pixel_statistics
from trainables.models import build, load_compressed
from trainables.pruning import prune_channels
from trainables.quantization import attach, quantize, unquantized
from trainables.recipe import Recipe
from trainables.weights import load_weights


@dataclass(frozen=True)
class Trained:
    """A finished model, to start other recipes from: weights as safetensors bytes, and what they cost."""

    weights: bytes
    ledger: dict[str, float]


@dataclass(frozen=True)
class Assembled:
    """A network, on its device, and the FLOPs of one forward pass of its architecture before any compression."""

    model: nn.Module
    dense_flops: float


def assemble(
    recipe: Recipe, base: Trained | None, splits: Splits, train: tuple[Tensor, Tensor], ledger: Ledger
) -> Assembled:
    """Build a recipe's network; torch's global generator must be seeded before.

    Args:
        recipe: what to build.
        base: what it starts from; its compute is inherited.
        splits: the data, for its classes and pixels.
        train: training images and labels on the device to compute on, for Taylor importance and calibration.
        ledger: charged for every pass that compression takes, as it runs.

    Raises:
        InvalidInput: the recipe's file of weights is missing, changed, or not this network's.
    """
    images, labels = train
    pixels = pixel_statistics(recipe.data, splits.train)
    model = build(recipe.model, tuple(images.shape[1:]), classes=splits.classes, pixels=pixels)
    dense_flops = forward_flops(model, images[:1].cpu())
    if recipe.weights is not None:
        load_weights(model, recipe.weights)
    if base is not None:
        load_compressed(model, unquantized(load_tensors(base.weights)))
        ledger.inherit(Ledger.from_dict(base.ledger))
    model.to(images.device)
    with FlopCounterMode(display=False) as counter:
        _compress(model, recipe, images, labels)
    ledger.add("compression", counter.get_total_flops())
    return Assembled(model, dense_flops)


def rebuild(recipe: Recipe, splits: Splits, weights: bytes) -> nn.Module:
    """A finished network as it was saved, on the CPU and in eval mode; nothing is trained or fitted.

    Args:
        recipe: that it is of.
        splits: its data, for the shape of the images, the classes and the pixels.
        weights: its parameters and buffers as safetensors bytes.
    """
    pixels = pixel_statistics(recipe.data, splits.train)
    model = build(recipe.model, splits.train.images.shape[1:], classes=splits.classes, pixels=pixels)
    state = load_tensors(weights)
    if recipe.quantization is None:
        return load_compressed(model, state).eval()
    return attach(model, recipe.quantization, state).eval()


def _compress(model: nn.Module, recipe: Recipe, images: Tensor, labels: Tensor) -> None:
    pruning, quantization = recipe.compression, recipe.quantization
    if pruning.method == "channel_pruning":
        count = pruning.taylor_examples
        prune_channels(model, pruning, images[:count], labels[:count], seed=recipe.seed)
    if quantization is not None:
        quantize(model, quantization, images[: quantization.calibration_examples])
