"""Runs a deployed file in onnxruntime on the CPU: its scores, whether they are PyTorch's, and how long they take."""

import importlib
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trainables.errors import InvalidInput
from trainables.models.build import frozen

Images = NDArray[np.float32]
PACKAGES = ("onnx", "onnxruntime")
BATCH = 256  # images a pass, where only the labels matter
FATAL = 4  # onnxruntime's level of logging


@dataclass(frozen=True)
class Latency:
    """How long one call takes, in ms: the median, and what one in twenty exceeds.

    Attributes:
        p50: median.
        p95: 95th percentile.
        images: in a call.
        threads: that computed it.
    """

    p50: float
    p95: float
    images: int
    threads: int


class OnnxModel:
    """A file as onnxruntime runs it."""

    def __init__(self, content: bytes, *, threads: int = 1, integer: bool = True) -> None:
        """Open a file.

        Args:
            content: of the file.
            threads: that compute one call.
            integer: fuse quantized layers into integer kernels where there are some, as onnxruntime does by default
                (their biases are rounded to a step of the products' sums); False: compute in floats what is written.

        Raises:
            InvalidInput: onnxruntime is not installed, or refuses the file.
        """
        require_onnx()
        import onnxruntime

        self.threads = threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = FATAL  # what goes wrong is raised as well
        options.add_session_config_entry("session.disable_quant_qdq", "0" if integer else "1")
        try:
            self._session: Any = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own share no base but this
            raise InvalidInput(f"onnx: onnxruntime refuses the file ({_first_line(error)})") from error

    def scores(self, images: Images) -> NDArray[np.float32]:
        """Scores (n, classes) of images (n, channels, height, width) in [0, 1]."""
        try:
            (scores,) = self._session.run(["scores"], {"images": images})
        except Exception as error:  # as above
            raise InvalidInput(
                f"onnx: onnxruntime fails on {len(images)} images of shape {images.shape[1:]} ({_first_line(error)})"
            ) from error
        return np.asarray(scores, np.float32)

    def latency(self, images: Images, *, calls: int = 200, warm_up: int = 20) -> Latency:
        """Time calls on the same images (n, channels, height, width), one at a time, after some that do not count."""
        taken = []
        for number in range(warm_up + calls):
            started = time.perf_counter()
            self._session.run(["scores"], {"images": images})
            if number >= warm_up:
                taken.append(1000 * (time.perf_counter() - started))
        p50, p95 = np.percentile(taken, [50, 95])
        return Latency(float(p50), float(p95), len(images), self.threads)


def agreement(deployed: OnnxModel, model: nn.Module, images: Images) -> float:
    """Share of images (n, channels, height, width) that a file and a PyTorch model on the CPU label alike, 0–1."""
    same = 0
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        with frozen(model), torch.no_grad():
            labels = model(torch.from_numpy(batch)).argmax(1).numpy()
        same += int((deployed.scores(batch).argmax(1) == labels).sum())
    return same / len(images)


def require_onnx() -> None:
    """Raise InvalidInput, which says how to install them, if the optional packages are missing."""
    missing = []
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError:
            missing.append(package)
    if missing:
        raise InvalidInput(f"onnx: needs {' and '.join(missing)}, expected after pip install 'temper-search[onnx]'")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
