"""Holds a network as the files of a bundle, and says how large they are and how fast beside the reference's."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from analysis.export.networks import network_of, recipe_of
from analysis.run.trials import Run, Trial
from trainables.compression.compressor import Compressors
from trainables.data.splits import load_splits
from trainables.deployment.latency import milliseconds
from trainables.deployment.onnx_export import to_onnx
from trainables.deployment.onnx_runtime import OnnxModel
from trainables.deployment.torch_export import to_program
from trainables.errors import InvalidInput
from trainables.recipe.recipe import Recipe

Call = Callable[[], object]


@dataclass(frozen=True)
class Deployed:
    """A network as files.

    Attributes:
        trial: whose network it is.
        onnx: content of model.onnx.
        model: the same, opened.
        program: content of model.pt2; None: torch.export cannot write the network.
        no_program: why not; empty where it can.
    """

    trial: Trial
    onnx: bytes
    model: OnnxModel
    program: bytes | None
    no_program: str = ""


@dataclass(frozen=True)
class Compared:
    """One number of a network's files beside the reference's.

    Attributes:
        name: what is compared.
        here, there: the number in words, of the network and of the reference; empty: it has none.
        in_words: both, as a line of the terminal; empty: they are in the card alone.
    """

    name: str
    here: str
    there: str
    in_words: str = ""

    @property
    def in_card(self) -> tuple[str, str, str]:
        """The row of the card's table."""
        return self.name, self.here, self.there


def deploy(trial: Trial, recipe: Recipe, network: nn.Module, shape: tuple[int, ...]) -> Deployed:
    """Write a network, on the CPU and in eval mode, as files for images of a shape (channels, height, width).

    Raises:
        InvalidInput: the network has no ONNX form.
    """
    content = to_onnx(network, shape, Compressors(recipe.methods, seed=recipe.seed))
    model = OnnxModel(content, threads=1)
    try:
        return Deployed(trial, content, model, to_program(network, shape))
    except InvalidInput as problem:
        return Deployed(trial, content, model, None, str(problem).removeprefix("model.name: "))


def reference_of(run: Run, trial: Trial) -> tuple[Deployed | None, str]:
    """Return the reference's network, to compare with, and else None and why there is none."""
    if run.reference is None:
        return None, "the run has no finished reference to compare with"
    if run.reference.id == trial.id:
        return None, "this is the reference itself"
    try:
        recipe = recipe_of(run, run.reference)
        splits = load_splits(recipe.data)
        network = network_of(run, run.reference, recipe, splits)
        return deploy(run.reference, recipe, network, splits.validation.images.shape[1:]), ""
    except InvalidInput as problem:  # its weights were dropped, or it has no ONNX form, though this network has one
        return None, f"the reference, {run.reference.name}, is not compared with: {problem}"


def timed(here: Deployed, there: Deployed | None, image: NDArray[np.float32]) -> list[Compared]:
    """Compare bytes and latency, file by file, all timed in turn in one run.

    Args:
        here: the network.
        there: the reference's.
        image: one image (1, channels, height, width).
    """
    sides = [here] if there is None else [here, there]
    sizes = {
        "model.onnx": [f"{len(one.onnx):,}" for one in sides],
        "model.pt2": [f"{len(one.program):,}" if one.program else "" for one in sides],
    }
    calls: dict[tuple[str, int], Call] = {}
    for number, one in enumerate(sides):
        calls["model.onnx", number] = _onnx_call(one.model, image)
        if one.program is not None:
            calls["model.pt2", number] = _program_call(one.program, image)
    with _one_thread():
        found = dict(zip(calls, milliseconds(list(calls.values())), strict=True))
    rows = [Compared(f"bytes of {name}", *_both(both)) for name, both in sizes.items() if both[0]]
    for name in (one for one in sizes if (one, 0) in found):
        told = [f"{p50:.3f} / {p95:.3f} ms" for p50, p95 in (found[key] for key in found if key[0] == name)]
        what = f"latency of one image by {name}, p50 / p95, one thread, on the machine that wrote this"
        beside = ""
        if there is not None and len(told) > 1:
            beside = f"; {there.trial.name}: {told[1]}, {sizes[name][1]} bytes"
        rows.append(Compared(what, *_both(told), f"{told[0]} by {name}{beside}"))
    return rows


def _both(values: list[str]) -> tuple[str, str]:
    return values[0], values[1] if len(values) > 1 else ""


def _onnx_call(model: OnnxModel, image: NDArray[np.float32]) -> Call:
    return lambda: model.call(image)


def _program_call(program: bytes, image: NDArray[np.float32]) -> Call:
    network, given = torch.export.load(io.BytesIO(program)).module(), torch.from_numpy(image)

    def call() -> None:
        with torch.inference_mode():
            network(given)

    return call


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
