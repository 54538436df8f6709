"""Says what to do about a network that does not take the images of a study, or gives other scores than it needs."""

import torch
from torch import Tensor, nn

SPARE = "; labels that begin at 1 ask for one class too many: labels - 1"


def precision_advice(model: nn.Module) -> str:
    """Returns how a network with weights of another precision than its images takes them; empty where none has any."""
    kinds = {one.dtype for one in model.parameters() if one.is_floating_point()} - {torch.float32}
    if not kinds:
        return ""
    names = " and ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
    return f"; its weights are {names} and images are float32: model.float()"


def scores_advice(scores: object, classes: int) -> str:
    """Returns what a network gave for one image in place of `(1, classes)` scores, and how it gives these.

    Args:
        scores: what it gave.
        classes: number of classes of the data.
    """
    if not isinstance(scores, Tensor):
        return (
            f"it gives a {type(scores).__name__}, expected a tensor of shape (1, {classes}) for one image, by itself, "
            "as the first of a tuple, list or dict, or by the name of logits"
        )
    given = f"it gives {tuple(scores.shape)} for one image, expected (1, {classes})"
    if scores.ndim != 2 or not scores.is_floating_point():
        return given
    if classes == 2 and scores.shape[1] == 1:
        return f"{given}: of a single logit z, torch.cat([torch.zeros_like(z), z], 1)"
    layer = f"{given}: its last layer needs {classes} outputs"
    return layer + SPARE if scores.shape[1] == classes - 1 else layer
