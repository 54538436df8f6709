"""Writes a trained network as a program of torch.export, which PyTorch loads without the code that made the network."""

import copy
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import torch
from torch import nn
from torch.export import Dim

from trainables.errors import InvalidInput

TRACED = 2  # images of the example; an axis of size 1 could be taken for a fixed one


def to_program(model: nn.Module, image_shape: tuple[int, ...]) -> bytes:
    """Returns a network as the content of a .pt2 file, for any number of images.

    `torch.export.load(path).module()` takes images (n, channels, height, width) in [0, 1] and returns scores
    (n, classes).
    Its parameters have the names that they have in the network. A quantized network's program rounds floats as the
    network was trained to, and passes gradients straight through, so that it can be attacked.

    Args:
        model: the trained network; it is left as it is.
        image_shape: (channels, height, width).

    Raises:
        InvalidInput: torch.export cannot follow something that the network computes.
    """
    model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    content = io.BytesIO()
    with warnings.catch_warnings(), _quiet():
        warnings.filterwarnings("ignore", "No complete tensor found in the group", UserWarning)  # shared storage
        warnings.filterwarnings(
            "ignore", "The tensor attributes .* were assigned during export", UserWarning
        )  # of LSTM
        try:
            program = torch.export.export(
                model, (torch.zeros(TRACED, *image_shape),), dynamic_shapes=({0: Dim("n", min=1)},)
            )
            torch.export.save(program, content)
        except Exception as error:  # whatever following the network runs into
            raise InvalidInput(
                f"model.name: the network cannot be written by torch.export ({_reason(error)})"
            ) from error
    return content.getvalue()


def _reason(error: Exception) -> str:
    """Returns the line of an error that says what is wrong: the first, or the first of a list that follows it."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    listed = [line.strip().removeprefix("- ") for line in lines[1:] if line.startswith("  - ")]
    return listed[0] if listed and lines[0].startswith("Constraints violated") else lines[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the graphs to itself that following a network prints and logs where it cannot: the reason is raised."""
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
