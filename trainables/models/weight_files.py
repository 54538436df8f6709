"""Reads files of weights as people have them into plain names and tensors, without unpickling objects."""

import argparse
import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import PosixPath
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
NUMPY_TYPES = ("float64", "float32", "float16", "int64", "int32", "uint32", "uint8", "bool", "str")
# What checkpoints hold beside tensors, and PyTorch would refuse: options of the command line, paths and times among
# them, and NumPy's numbers and arrays, such as losses by epoch and states of random numbers.
HARMLESS_CLASSES: list[Any] = [
    argparse.Namespace,
    PosixPath,
    datetime,
    timedelta,
    np.dtype,
    np.ndarray,
    np.float64(0).__reduce__()[0],  # the functions that make a number and an array, whose module differs by version
    np.empty(0).__reduce__()[0],
    *(type(np.dtype(name)) for name in NUMPY_TYPES),
]
BEGINNINGS = {
    b"version https://git-lfs": "is a pointer of Git LFS, not the weights; `git lfs pull` fetches them",
    b"<!doctype html": "is a web page, not weights; the download went wrong",
    b"<html": "is a web page, not weights; the download went wrong",
}
# What other programs write, by how their files begin.
FORMATS = {
    b"\x89HDF": "it is an HDF5 file, as Keras writes",
    b"\x93NUMPY": "it is an array of NumPy's",
    b"\x1f\x8b": "it is compressed by gzip; unpack it",
    b"\x08": "it may be an ONNX file",
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": "it is damaged or cut short",  # as torch.save wrote before 1.6
    b"\x80": "it was pickled without torch.save, whose loading could run any code; save it by torch.save",
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
    loaded = _loaded(content, path)
    found = list(_states(loaded, DEEPEST))
    if found:
        return found
    others = dict(_elsewhere(loaded, DEEPEST))
    if len(others) > 1:
        raise InvalidInput(
            f"pretrained.path: {path}: holds {len(others)} state_dicts, under {', '.join([*others][:3])}"
            f"{', …' if len(others) > 3 else ''}; save the network's alone"
        )
    if not others:
        raise InvalidInput(f"pretrained.path: {path}: holds no state_dict, expected names and tensors")
    return list(others.values())


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
    if content[:2] == b"PK":
        if not zipfile.is_zipfile(io.BytesIO(content)):
            return "it is cut short: its end is missing"
        names = {name.rpartition("/")[2] for name in zipfile.ZipFile(io.BytesIO(content)).namelist()}
        if "constants.pkl" in names:
            return "it is a TorchScript archive; save torch.jit.load(path).state_dict()"
        if "data.pkl" not in names:
            return "it is an archive of another program or of torch.export; save network.state_dict()"
        return "it holds objects that are not loaded without running code; save network.state_dict() alone"
    for start, format_ in FORMATS.items():
        if content.startswith(start):
            return format_
    return "it was not written by torch.save"


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


def _elsewhere(found: Any, deep: int, place: str = "") -> Iterator[tuple[str, State]]:
    """Yields the state_dicts under keys that are not known, such as `best_model`, with the keys that lead to them."""
    for key, value in found.items() if isinstance(found, Mapping) and deep else ():
        if isinstance(key, str) and isinstance(value, Mapping):
            states = list(_states(value, deep - 1))
            yield from [(place + key, states[0])] if states else _elsewhere(value, deep - 1, f"{place}{key}.")
