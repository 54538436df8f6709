"""Checks that gradients reach the images, which attacks need, and the parameters, which training needs."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.errors import InvalidInput
from trainables.models.build import frozen
from trainables.network_check.error_words import in_words
from trainables.network_check.findings import Finding, note
from trainables.network_check.scores import NO_TRY

NAMED = 5  # names of unused parameters that are shown


def check_input_gradient(model: nn.Module, x: Tensor, y: Tensor, name: str) -> None:
    """Checks that the loss has a gradient with respect to the images; the network is left as it was.

    Args:
        model: the network, none of whose layers is all zeros.
        x: images (n, channels, height, width) in [0, 1].
        y: labels (n,).
        name: the key and the name of the network, for messages.

    Raises:
        InvalidInput: there is no gradient, or it is not finite or zero for every image; no attack could work.
    """
    expected = "expected one, since attacks follow it"
    leaf = x.clone().requires_grad_(True)
    with frozen(model), torch.enable_grad():
        with in_words(f"{name}: fails on images that need a gradient", NO_TRY):
            scores = model(leaf)
        if not scores.requires_grad:
            raise InvalidInput(
                f"{name}: no gradient reaches its images, {expected}: something on the way is cut off, such as "
                f"`detach()`, `no_grad()`, a cast to whole numbers or argmax; {NO_TRY}"
            )
        with in_words(f"{name}: the gradient of its images cannot be computed", NO_TRY):
            (gradient,) = torch.autograd.grad(cross_entropy(scores, y, reduction="sum"), leaf, allow_unused=True)
    if gradient is None:
        raise InvalidInput(f"{name}: no gradient reaches its images, {expected}: its scores do not depend on them")
    if not bool(gradient.isfinite().all()):
        raise InvalidInput(
            f"{name}: the gradient of its images is not finite, {expected}: a square root or a division at 0 gives "
            f"such, for example; {NO_TRY}"
        )
    if not bool(gradient.any()):
        raise InvalidInput(
            f"{name}: the gradient of its images is 0 everywhere, {expected}: rounding, a comparison or a saturated "
            f"function on the way gives such, for example; {NO_TRY}"
        )


def check_training_gradients(model: nn.Module, x: Tensor, y: Tensor, name: str) -> list[Finding]:
    """Checks the gradients of the parameters in train mode; a copy should be given, since its buffers change.

    Args:
        model: the network.
        x: images (n, channels, height, width) in [0, 1].
        y: labels (n,).
        name: the key and the name of the network, for messages.

    Returns:
        A note on the parameters that get no gradient, if there are some.

    Raises:
        InvalidInput: no parameter gets a gradient, or that of one is not finite.
    """
    model.train().zero_grad(set_to_none=True)
    with in_words(f"{name}: the gradients of its parameters cannot be computed", NO_TRY), torch.enable_grad():
        torch.autograd.backward(cross_entropy(model(x), y))
    trained = [(key, value) for key, value in model.named_parameters() if value.requires_grad]
    unused = [key for key, value in trained if value.grad is None]
    if len(unused) == len(trained):
        raise InvalidInput(f"{name}: none of its parameters gets a gradient, expected some to train")
    wrong = [key for key, value in trained if value.grad is not None and not bool(value.grad.isfinite().all())]
    model.zero_grad(set_to_none=True)
    if wrong:
        raise InvalidInput(f"{name}: the gradient of {wrong[0]} is not finite with the initial weights; {NO_TRY}")
    if not unused:
        return []
    more = f" and {len(unused) - NAMED} more" if len(unused) > NAMED else ""
    return [note(f"{name}: gets no gradient for {', '.join(unused[:NAMED])}{more}: unused in the pass that was tried")]
