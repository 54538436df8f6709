"""Takes what people give to `evaluate_model`, in the forms that they have it in, and refuses the rest in words."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from trainables.config import parse
from trainables.ensemble.ensemble import ENSEMBLES
from trainables.errors import InvalidInput
from trainables.evaluation.config import Strength, ThreatModel
from trainables.models.build import first_output

WITHIN = "scores."  # begins the names of the network's parts in a `Classifier`


class Classifier(nn.Module):
    """Gives the scores of a network or of any function of images: of several outputs the first, as in a search.

    It takes hooks, by which attacks are counted; a network of TorchScript takes none itself.
    """

    def __init__(self, scores: Callable[[Tensor], object]) -> None:
        """Wrap a network, which stays what it is, or a function."""
        super().__init__()
        self.scores = scores

    def forward(self, x: Tensor) -> object:
        """Return the scores `(n, classes)` of images."""
        return first_output(self, x, self.scores(x))


def classifier(given: object, name: str = "model") -> Classifier:
    """Returns a network or a function as a `Classifier`. Raises InvalidInput: it is a class, or cannot be called."""
    if isinstance(given, type):
        raise InvalidInput(f"{name}: got the class {given.__name__}, expected a network, such as {given.__name__}()")
    if not callable(given):
        raise InvalidInput(f"{name}: got {type(given).__name__}, expected a network")
    return Classifier(given)


def tensor(given: object, name: str) -> Tensor:
    """Returns a tensor, an array or a list as a tensor. Raises InvalidInput: it is none of these."""
    if isinstance(given, Tensor):
        return given.clone() if given.is_inference() else given  # autograd takes none of inference mode
    try:
        return torch.as_tensor(np.asarray(given))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name}: got {type(given).__name__}, expected a tensor") from error


def whole_numbers(given: object, name: str) -> Tensor:
    """Returns labels as 64-bit whole numbers where they are whole numbers of any size, else as `tensor` does."""
    labels = tensor(given, name)
    whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    return labels.long() if whole else labels


def threat(given: object) -> ThreatModel:
    """Returns a threat model, which may be given by its keys. Raises InvalidInput: it is something else."""
    if isinstance(given, ThreatModel):
        return given
    if isinstance(given, Mapping):
        return parse(ThreatModel, dict(given), where="threat_model")
    such_as = f"ThreatModel(norm='linf', epsilon={given if isinstance(given, int | float) else 0.03})"
    raise InvalidInput(f"threat_model: got {given!r}, expected one such as trainables.{such_as}")


def check_settings(attack: Strength, batch_size: int) -> None:
    """Raises InvalidInput: there is no such ensemble, or a batch has no image."""
    if attack not in ENSEMBLES:
        raise InvalidInput(f"attack: got {attack!r}, expected one of {', '.join(ENSEMBLES)}")
    if batch_size < 1:
        raise InvalidInput(f"batch_size: got {batch_size}, expected at least 1")
