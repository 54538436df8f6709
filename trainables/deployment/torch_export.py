"""Writes a trained network as a program of torch.export, which PyTorch loads without the code that made the network."""

import copy
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from torch import nn
from torch.export import Dim
from torch.nn.functional import multi_head_attention_forward
from torch.overrides import TorchFunctionMode

from trainables.deployment.operator_places import place_of_packing
from trainables.errors import InvalidInput
from trainables.models.error_places import location

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
            with _ContiguousKeys():
                program = torch.export.export(
                    model, (torch.zeros(TRACED, *image_shape),), dynamic_shapes=({0: Dim("n", min=1)},)
                )
            torch.export.save(program, content)
        except Exception as error:  # whatever following the network runs into
            place = place_of_packing(model, torch.zeros(TRACED, *image_shape))
            reason = _reason(error) if place is None else "it packs sequences, whose shapes it cannot follow"
            raise InvalidInput(
                f"model.name: the network cannot be written by torch.export ({reason}){place or location(error, model)}"
            ) from error
    return content.getvalue()


class _ContiguousKeys(TorchFunctionMode):
    """Mode in which attention with projections of their own for keys and values copies what it projects.

    A projection of a part of a tensor, such as `x[..., :6]`, asks torch.export (torch 2.14.1) whether that is
    contiguous, which it is taken to be for one number of images, so that the program would be for that number alone.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if func is multi_head_attention_forward and named.get("use_separate_proj_weight"):
            args = (*(one.clone(memory_format=torch.contiguous_format) for one in args[:3]), *args[3:])
        return func(*args, **named)


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
