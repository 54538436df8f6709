"""Makes networks and data that no run has made out of what the options of `temper evaluate` say of them."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from trainables.config import parse
from trainables.data.config import Data
from trainables.data.splits import Splits, pixel_statistics
from trainables.deployment.onnx_runtime import OnnxModel, OnnxNetwork
from trainables.errors import InvalidInput
from trainables.models.build import build, normalization
from trainables.models.config import Network, Weights
from trainables.models.weights import load_weights
from trainables.user_path import user_path

VALIDATION = 10  # images that are held out where no validation split is used: the fewest that there may be
TYPED = {  # what a user typed, by how problems with it begin
    "data.path": "--data",
    "data.name": "--data",
    "data.image_size": "--image-size",
    "model.name": "MODEL",
    "model: name": "MODEL",
    "model: got one of pixel_mean and pixel_std": "--pixel-mean and --pixel-std: got one of them",
    "model.pixel_mean": "--pixel-mean",
    "model: pixel_mean": "--pixel-mean",
    "model: pixel_std": "--pixel-std",
    "pretrained.path": "--weights",
    "threat model: epsilon": "--epsilon",
}


def data_of(name: str, image_size: int | None) -> Data:
    """Make the configuration of a data set that is no run's."""
    if user_path(name, "--data").is_dir():
        if image_size is None:
            raise InvalidInput("--image-size: is needed with an image folder, such as --image-size 64")
        given = {"name": "image_folder", "path": name, "image_size": image_size}
    else:
        given = {"name": name}
    return parse(Data, {**given, "validation_size": VALIDATION}, where="--data")


def of_onnx(model: str, weights: str | None, say: Callable[[str], object]) -> nn.Module:
    """Load the network of an ONNX file, for which no weights may be given, and say which output is taken of several."""
    if weights is not None:
        raise InvalidInput("--weights: goes with module:function, an ONNX file has its own")
    try:
        content = Path(model).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{model}: {error.strerror}") from error
    loaded = OnnxModel(content, threads=torch.get_num_threads())
    if len(loaded.outputs) > 1:
        say(f"{model}: of its outputs {', '.join(loaded.outputs)}, the first is taken for the scores")
    return OnnxNetwork(loaded)


def of_weights(
    name: str,
    weights: str | None,
    normalized: tuple[tuple[float, ...] | None, tuple[float, ...] | None],
    data: Data,
    splits: Splits,
    say: Callable[[str], object],
) -> nn.Module:
    """Build a network by its name and load its weights.

    Args:
        name: `module:function`, or another network's name.
        weights: file of its weights.
        normalized: mean and standard deviation of pixels by channel, as its weights were trained; each None: those of
            the training images, which are then said.
        data: which data they are.
        splits: the images.
        say: prints a line.
    """
    mean, std = normalized
    network = parse(Network, {"name": name, "pixel_mean": mean, "pixel_std": std}, where="model")
    if weights is None:
        raise InvalidInput(f"{name}: --weights FILE is needed: without it the network would be untrained")
    shape = splits.train.images.shape[1:]
    pixels = pixel_statistics(data, splits.train)
    if (text := normalization(network, pixels, said="--pixel-mean and --pixel-std")) is not None:
        say(text)
    with torch.random.fork_rng(devices=[]):
        model = build(network, shape, classes=splits.classes, pixels=pixels)
    load_weights(model, parse(Weights, {"path": weights}, where="--weights"))
    return model.eval()
