"""Loads a bundle's files in a process of its own, without the code that made the network, and compares their scores.

    python -m analysis.bundle.fresh FOLDER EXPECTED.npz

Imports nothing of Temper, so that what works here works for those who have the folder alone.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BATCH = 256  # images per pass
Scores = NDArray[np.float32]


def compare(folder: Path, images: NDArray[np.float32], expected: Scores) -> dict[str, float]:
    """Return the share of images, 0–1, that each file of the folder labels as the trained network did.

    Args:
        folder: the bundle.
        images: (n, channels, height, width) in [0, 1].
        expected: (n, classes), the trained network's scores.

    Returns:
        By file: model.onnx; where there is a program also model.pt2, and model.safetensors, by whose weights it runs.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")  # as predict.py says
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    found = {"model.onnx": _alike(lambda some: session.run(["scores"], {"images": some})[0], images, expected)}
    if (folder / "model.pt2").exists():
        import torch
        from safetensors.torch import load_file

        def scores(some: NDArray[np.float32]) -> Scores:
            with torch.no_grad():
                computed: Scores = network(torch.from_numpy(some)).numpy()
            return computed

        network = torch.export.load(str(folder / "model.pt2")).module()
        found["model.pt2"] = _alike(scores, images, expected)
        with torch.no_grad():
            for tensor in network.state_dict().values():
                tensor.zero_()  # so that only what the other file holds can give the right labels
        network.load_state_dict(load_file(folder / "model.safetensors"))
        found["model.safetensors"] = _alike(scores, images, expected)
    return found


def _alike(scores: Callable[[NDArray[np.float32]], Scores], images: NDArray[np.float32], expected: Scores) -> float:
    starts = range(0, len(images), BATCH)
    labels = np.concatenate([scores(images[start : start + BATCH]).argmax(1) for start in starts])
    return float((labels == expected.argmax(1)).mean())


if __name__ == "__main__":
    with np.load(sys.argv[2]) as kept:
        print(json.dumps(compare(Path(sys.argv[1]), kept["images"], kept["expected"])))
