"""Reads files of weights as people have them into plain names and tensors, without unpickling objects."""

import argparse
import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from trainables.errors import InvalidInput

State = dict[str, Tensor]

# The keys under which training scripts save weights. The averaged ones come first, as timm takes them: they are what
# its author evaluated. The plain ones are taken where the averaged ones do not fit the network.
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema")
PLAIN = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "module")
WRAPPERS = (*AVERAGED, *PLAIN, "checkpoint")
DEEPEST = 4  # wrappers inside wrappers
# What checkpoints hold beside tensors, and PyTorch would refuse: options of the command line, and NumPy's numbers.
HARMLESS_CLASSES: list[Any] = [
    argparse.Namespace,
    np.dtype,
    np.float64(0).__reduce__()[0],  # the function that makes a number, whose module differs between versions
    *(type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")),
]
BEGINNINGS = {
    b"version https://git-lfs": "is a pointer of Git LFS, not the weights; `git lfs pull` fetches them",
    b"<!doctype html": "is a web page, not weights; the download went wrong",
    b"<html": "is a web page, not weights; the download went wrong",
}
_REFUSED_CLASS = re.compile(r"GLOBAL ([\w.]+)")


def states_of(content: bytes, path: str) -> list[State]:
    """Returns the state_dicts in a file, the one to prefer first.

    Args:
        content: content of a safetensors file, or of what `torch.save` wrote.
        path: the file's name, for messages.

    Raises:
        InvalidInput: the file is empty, cut short or something else than weights, or there is no tensor in it.
    """
    found = list(_states(_loaded(content, path), DEEPEST))
    if not found:
        raise InvalidInput(f"pretrained.path: {path}: holds no state_dict, expected names and tensors")
    return found


def _loaded(content: bytes, path: str) -> Any:
    if not content:
        raise InvalidInput(f"pretrained.path: {path}: is empty, expected weights")
    start = content[:64].lstrip().lower()
    for beginning, problem in BEGINNINGS.items():
        if start.startswith(beginning):
            raise InvalidInput(f"pretrained.path: {path}: {problem}")
    try:
        return load_safetensors(content)
    except SafetensorError as error:
        if content[8:9] == b"{":  # the header of safetensors, behind its length
            raise InvalidInput(f"pretrained.path: {path}: is a damaged or cut safetensors file ({error})") from error
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(HARMLESS_CLASSES):
            warnings.simplefilter("ignore")  # it warns of unknown pickle protocols, but then raises an error too
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may raise anything
        reason = _why_not_loaded(error, content)
        raise InvalidInput(
            f"pretrained.path: {path}: neither safetensors nor a state_dict of plain tensors ({reason})"
        ) from error


def _why_not_loaded(error: Exception, content: bytes) -> str:
    """Returns in a line why PyTorch did not load a file."""
    if refused := _REFUSED_CLASS.search(str(error)):
        return f"it holds an object of {refused[1]}, whose loading could run any code; save network.state_dict() alone"
    if content[:2] == b"PK" and not zipfile.is_zipfile(io.BytesIO(content)):
        return "it is cut short: its end is missing"
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _states(found: Any, deep: int) -> Iterator[State]:
    """Yields the state_dicts under known keys, the averaged ones first, and then what is around them."""
    if not isinstance(found, Mapping):
        return
    if deep:
        for key in WRAPPERS:
            yield from _states(found.get(key), deep - 1)
    tensors = {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, Tensor)}
    others = [value for value in found.values() if isinstance(value, Mapping | list | tuple)]
    if tensors and not others:  # numbers and texts beside tensors do no harm
        yield tensors
