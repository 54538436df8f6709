"""Loads a bundle's files in a process of its own, without the code that made the network, and labels images by each.

    python -m analysis.bundle.fresh FOLDER

Imports nothing of Temper, so that what works here works for those who have the folder alone. Batches of images come on
standard input, each as its length in bytes and the content of a .npy file; for each a line of JSON goes to standard
output, with the labels by the name of the file.
"""

import json
import sys
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
from numpy.typing import NDArray

LENGTH = 8  # bytes of the number that stands before each batch
Scores = NDArray[np.float32]
Networks = Mapping[str, Callable[[NDArray[np.float32]], Scores]]


def networks(folder: Path) -> Networks:
    """Return what computes scores (n, classes) of images (n, channels, height, width) in [0, 1], by the file's name.

    Args:
        folder: the bundle.

    Returns:
        model.onnx; where there is a program also model.pt2, and model.safetensors, by whose weights it runs.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")  # as predict.py says
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    found: dict[str, Callable[[NDArray[np.float32]], Scores]] = {
        "model.onnx": lambda some: np.asarray(session.run(["scores"], {"images": some})[0], np.float32)
    }
    if (folder / "model.pt2").exists():
        import torch
        from safetensors.torch import load_file

        def scores_of(network: torch.nn.Module) -> Callable[[NDArray[np.float32]], Scores]:
            def scores(some: NDArray[np.float32]) -> Scores:
                with torch.no_grad():
                    computed: Scores = network(torch.from_numpy(some)).numpy()
                return computed

            return scores

        program, weighted = (torch.export.load(str(folder / "model.pt2")).module() for _ in range(2))
        with torch.no_grad():
            for tensor in weighted.state_dict().values():
                tensor.zero_()  # so that only what the other file holds can give the right labels
        weighted.load_state_dict(load_file(folder / "model.safetensors"))
        found |= {"model.pt2": scores_of(program), "model.safetensors": scores_of(weighted)}
    return found


def answer(found: Networks, given: BinaryIO, told: TextIO) -> None:
    """Label each batch of images by each network, until there are no more.

    Args:
        found: the networks, by the names of their files.
        given: the batches.
        told: what the labels are written to.
    """
    while length := int.from_bytes(given.read(LENGTH), "little"):
        images = np.load(BytesIO(given.read(length)))
        print(json.dumps({name: scores(images).argmax(1).tolist() for name, scores in found.items()}), file=told)
        told.flush()


if __name__ == "__main__":
    answer(networks(Path(sys.argv[1])), sys.stdin.buffer, sys.stdout)
