"""Reads the user's file of trained weights safely, checks it, and fits its names to the network's."""

import hashlib
import io
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from trainables.errors import InvalidInput
from trainables.models.config import Weights

WRAPPERS = ("state_dict", "model", "model_state_dict")  # the keys under which training scripts save a state_dict


def sealed(weights: Weights) -> Weights:
    """Returns the same weights with the hash of their file, so that a change of the file is noticed later.

    Raises:
        InvalidInput: the file cannot be read, or it has another hash than the given one.
    """
    found = hashlib.sha256(_read(weights)).hexdigest()
    return weights.model_copy(update={"sha256": found})


def load_weights(model: nn.Module, weights: Weights) -> None:
    """Loads a file of weights into a network.

    The file's names may begin with `module.`, which PyTorch's wrappers add, and may lack the prefix that the names have
    in Temper because of the normalization of pixels.

    Raises:
        InvalidInput: the file cannot be read, has changed since it was hashed, or holds other tensors than the network.
    """
    state = _tensors(_read(weights), weights.path)
    wanted = model.state_dict()
    for candidate in (state, _without(state, "module.")):
        for prefix in ("", "1.", "2."):  # as is, Sequential(PixelNorm, network), Sequential(PixelNorm, Repeat, network)
            renamed = {prefix + name: value for name, value in candidate.items()}
            if renamed.keys() == wanted.keys():
                if wrong := [name for name, value in renamed.items() if value.shape != wanted[name].shape]:
                    shapes = ", ".join(f"{n} {tuple(renamed[n].shape)} for {tuple(wanted[n].shape)}" for n in wrong[:3])
                    raise InvalidInput(f"pretrained.path: {weights.path}: tensors of another shape: {shapes}")
                model.load_state_dict(renamed)
                return
    missing, extra = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    raise InvalidInput(
        f"pretrained.path: {weights.path} holds other tensors than the network: "
        f"missing {', '.join(missing[:3]) or 'none'}, unknown {', '.join(extra[:3]) or 'none'}"
    )


def _read(weights: Weights) -> bytes:
    try:
        content = Path(weights.path).read_bytes()
    except OSError as error:
        raise InvalidInput(f"pretrained.path: {weights.path}: {error.strerror}") from None
    if weights.sha256 is not None and hashlib.sha256(content).hexdigest() != weights.sha256:
        raise InvalidInput(f"pretrained.path: {weights.path}: is another file than the one of sha256 {weights.sha256}")
    return content


def _tensors(content: bytes, path: str) -> dict[str, Tensor]:
    try:
        found: Any = load_safetensors(content)
    except SafetensorError:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns of unknown pickle protocols, but then raises an error too
                found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0]
            raise InvalidInput(
                f"pretrained.path: {path}: neither safetensors nor a state_dict of plain tensors ({reason})"
            ) from error
    for key in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise InvalidInput(f"pretrained.path: {path}: holds no state_dict, expected names and tensors")
    return dict(found)


def _without(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items()}
