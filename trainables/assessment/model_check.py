"""Checks before an evaluation that images and labels fit a network, and that it can be attacked; in words if not."""

import torch
from torch import Tensor, nn

from trainables.errors import InvalidInput
from trainables.models.build import frozen
from trainables.user_errors import reported
from trainables.value_forms import counted

FEW = 2  # images that are tried
WITHOUT = "from Python, `white_box=False` attacks without gradients"


def check_model(model: nn.Module, images: Tensor, labels: Tensor, *, white_box: bool) -> None:
    """Checks what an evaluation is given, on copies of a few images; the network is left as it was.

    Args:
        model: the network.
        images: what should be (n, channels, height, width) in [0, 1].
        labels: what should be their labels (n,).
        white_box: whether gradients will be asked for.

    Raises:
        InvalidInput: images, labels and scores do not fit each other; the network cannot be called, changes the images
            that it is given, or has no gradient where one will be asked for.
    """
    _check_data(images, labels)
    few = images[:FEW]
    scores = _scores(model, few)
    if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(few) or scores.shape[1] < 2:
        got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise InvalidInput(f"model: gave {got}, expected scores of shape (n, classes), two classes or more")
    if not scores.is_floating_point():
        raise InvalidInput(f"model: gave {scores.dtype}, expected floating-point scores, not labels")
    if int(labels.min()) < 0 or int(labels.max()) >= scores.shape[1]:
        raise InvalidInput(
            f"labels: got {int(labels.min())} to {int(labels.max())}, the model scores {scores.shape[1]} classes"
        )
    _scores(model, images[:1])
    if white_box:
        _check_gradient(model, few)


def _check_data(images: Tensor, labels: Tensor) -> None:
    if images.ndim != 4 or not len(images) or not images.is_floating_point():
        raise InvalidInput(
            f"images: got {images.dtype} of shape {tuple(images.shape)}, expected floating-point numbers of shape "
            "(n, channels, height, width), n ≥ 1"
        )
    if labels.shape != images.shape[:1] or labels.is_floating_point() or labels.dtype == torch.bool:
        raise InvalidInput(
            f"labels: got {labels.dtype} of shape {tuple(labels.shape)}, expected whole numbers of shape "
            f"({len(images)},)"
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        raise InvalidInput(f"images: got pixels from {low:.4g} to {high:.4g}, expected them in [0, 1]")


def _scores(model: nn.Module, x: Tensor) -> object:
    """Returns what a network gives for images. Raises InvalidInput: it fails, or changes them."""
    given = x.clone()
    count = counted(len(x), "image")
    with frozen(model), torch.no_grad(), reported("model", f": cannot be called with {count}", _expected(model, x)):
        scores: object = model(given)
    if not torch.equal(given, x):
        raise InvalidInput(
            "model: changes the images that it is given, expected them left as they are: let it begin with "
            "`x = x.clone()`, or without an operation in place"
        )
    return scores


def _expected(model: nn.Module, x: Tensor) -> str:
    """Returns what is expected of a network, and its numbers where they are others than those of the images."""
    others = sorted({str(one.dtype) for one in model.parameters() if one.is_floating_point()} - {str(x.dtype)})
    apart = f"; the images are {x.dtype}, its parameters {', '.join(others)}: `model.to({x.dtype})` takes them"
    return "expected a network that takes any number of images" + (apart if others else "")


def _check_gradient(model: nn.Module, x: Tensor) -> None:
    """Raises InvalidInput: no gradient reaches the images. One of zeros does: the checks afterwards tell of it."""
    leaf = x.clone().requires_grad_(True)
    expected = "expected one, since attacks follow it"
    with frozen(model), torch.enable_grad():
        with reported("model", ": fails on images that need a gradient", WITHOUT):
            scores = model(leaf)
        if not scores.requires_grad:
            raise InvalidInput(
                f"model: no gradient reaches its images, {expected}: something on the way is cut off, such as "
                f"`detach()`, `no_grad()`, a cast to whole numbers or argmax; {WITHOUT}"
            )
        with reported("model", ": the gradient of its images cannot be computed", WITHOUT):
            (gradient,) = torch.autograd.grad(scores.sum(), leaf, allow_unused=True)
    if gradient is None:
        raise InvalidInput(
            f"model: no gradient reaches its images, {expected}: its scores do not depend on them; {WITHOUT}"
        )
