"""Checks the scores of a network: their shape and values, in eval and in train mode, for one image and for several."""

from contextlib import suppress

import torch
from torch import Tensor, nn

from trainables.errors import InvalidInput
from trainables.evaluation.probabilities import looks_like_probabilities
from trainables.models.build import frozen
from trainables.network_check.error_words import in_words
from trainables.network_check.findings import Finding, note, warning
from trainables.value_forms import counted

ROUNDING = 1e-3  # how far scores that should be equal may be apart, as a share of the largest score
FAR = 1000.0  # times a pixel: where logits have left what probabilities cannot leave
NO_TRY = "`--no-try` leaves this check out"


def check_scores(model: nn.Module, x: Tensor, classes: int, name: str) -> list[Finding]:
    """Checks what a network gives in eval mode; it is left as it was.

    Args:
        model: a network that takes one image, with its initial weights.
        x: at least two images (n, channels, height, width) in [0, 1].
        classes: number of classes.
        name: the key and the name of the network, for messages.

    Returns:
        A warning if the scores are probabilities.

    Raises:
        InvalidInput: the network cannot be called with several images, changes them, gives something else than finite
            floating-point scores (n, classes), is not deterministic, or lets images affect each other's scores.
    """
    kept = x.clone()
    with frozen(model), torch.no_grad():
        with in_words(
            f"{name}: cannot be called with {counted(len(x), 'image')} at once",
            f"expected a network that takes any number of images, with sizes read off them; {NO_TRY}",
        ):
            scores = model(x)
        if not torch.equal(x, kept):
            raise InvalidInput(
                f"{name}: changes the images that it is given, expected them left as they are: let it begin with "
                f"`x = x.clone()`, or without an operation in place; {NO_TRY}"
            )
        _expect_scores(scores, (len(x), classes), name, "in eval mode")
        if not bool(scores.isfinite().all()):
            raise InvalidInput(
                f"{name}: gives scores that are not finite with its initial weights"
                f"{_first_not_finite(model, x)}, expected finite ones"
            )
        with in_words(f"{name}: cannot be called with one image, after {len(x)}", NO_TRY):
            alone = torch.cat([model(x[number : number + 1]) for number in range(len(x))])
            again = model(x[-1:])
        if not same_scores(again, alone[-1:]):
            raise InvalidInput(
                f"{name}: gives other scores when it is called again in eval mode, expected the same: dropout or random"
                f" draws must stop where `self.training` is false, and nothing may be kept from call to call; {NO_TRY}"
            )
    _expect_scores(alone, (len(x), classes), name, "for one image")
    if not same_scores(alone, scores):
        raise InvalidInput(
            f"{name}: gives an image other scores beside other images than alone, by up to "
            f"{float((alone - scores).abs().max()):.3g}, expected scores that do not mix across the batch in eval mode "
            f"(BatchNorm keeps running statistics; a reshape keeps the first axis); {NO_TRY}"
        )
    form = _as_probabilities(model, x, scores)
    if not form:
        return []
    return [
        warning(
            f"{name}: gives probabilities ({form}), expected logits: the loss applies a softmax itself, so training is "
            "slow, and attacks find too small gradients, which looks like robustness; "
            "remove the last softmax or sigmoid"
        )
    ]


def check_train_mode(model: nn.Module, x: Tensor, classes: int, name: str, leftover: str) -> list[Finding]:
    """Checks what a network gives in train mode, where it may behave otherwise; a copy should be given.

    Args:
        model: the network, whose buffers change.
        x: at least two images (n, channels, height, width).
        classes: number of classes.
        name: the key and the name of the network, for messages.
        leftover: says which batches of the study have one image; empty: none has.

    Returns:
        A note if the network cannot be trained on one image, which no batch of the study has.

    Raises:
        InvalidInput: the network cannot be called in train mode, or not with one image although a batch has one.
    """
    model.train()
    with in_words(f"{name}: cannot be called in train mode with {counted(len(x), 'image')}", NO_TRY):
        scores = model(x)
    _expect_scores(scores, (len(x), classes), name, "in train mode")
    try:
        with in_words(f"{name}: cannot be trained on a batch of one image"):
            alone = model(x[:1])
        _expect_scores(alone, (1, classes), name, "in train mode for one image")
    except InvalidInput as refused:
        if leftover:
            raise InvalidInput(f"{refused}; {leftover}") from refused
        return [note(f"{refused}; no batch of the study has one")]
    return []


def _expect_scores(scores: object, shape: tuple[int, int], name: str, when: str) -> None:
    if not isinstance(scores, Tensor):
        raise InvalidInput(f"{name}: gives a {type(scores).__name__} {when}, expected a tensor of shape {shape}")
    if scores.shape != shape:
        raise InvalidInput(
            f"{name}: gives a tensor of shape {tuple(scores.shape)} {when}, expected {shape}: a row of scores for each "
            "image"
        )
    if not scores.is_floating_point():
        dtype = str(scores.dtype).removeprefix("torch.")
        raise InvalidInput(f"{name}: gives {dtype} numbers {when}, expected floating-point scores, not labels")


def same_scores(one: Tensor, other: Tensor, rounding: float = ROUNDING) -> bool:
    """Returns whether scores are equal within rounding; kernels for another number of images round otherwise."""
    return one.shape == other.shape and bool((one - other).abs().max() <= rounding * other.abs().max())


def _as_probabilities(model: nn.Module, x: Tensor, scores: Tensor) -> str:
    """Returns what makes scores look like probabilities; empty if nothing does. Scores of 0 may come from a ReLU.

    A few logits lie between 0 and 1 by chance, so those of images far outside of the pixels' range must do so too.
    """
    if looks_like_probabilities(scores):
        return "each row lies in [0, 1] and sums to 1"
    if not bool(((scores > 0) & (scores < 1)).all()):
        return ""
    with (
        frozen(model),
        torch.no_grad(),
        suppress(Exception),
    ):  # a network may refuse such images, which then say nothing
        far = torch.cat([model(FAR * x), model(-FAR * x)])
        if not bool(((far >= 0) & (far <= 1)).all()):
            return ""
    return "all lie between 0 and 1"


def _first_not_finite(model: nn.Module, x: Tensor) -> str:
    """Returns the first layer, in order of running, that gives a number that is not finite; empty if none does."""
    found: list[str] = []
    hooks = []
    for name, module in model.named_modules():

        def look(layer: nn.Module, _: object, output: object, name: str = name) -> None:
            if isinstance(output, Tensor) and output.is_floating_point() and not bool(output.isfinite().all()):
                found.append(f", first in layer {name} ({type(layer).__name__})" if name else "")

        hooks.append(module.register_forward_hook(look))
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ""
