"""Runs a deployed file in onnxruntime on the CPU, and compares its labels with PyTorch's."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.deployment.latency import CALLS, WARM_UP, Latency, milliseconds
from trainables.errors import InvalidInput
from trainables.models.build import frozen
from trainables.value_forms import counted

Images = NDArray[np.float32]
PACKAGES = ("onnx", "onnxruntime")
BATCH = 256  # images per pass where only their labels matter
FATAL = 4  # onnxruntime's log level for fatal errors only


class OnnxModel:
    """An ONNX file opened in onnxruntime.

    Attributes:
        threads: number of threads that compute one call.
        batch: images of every call; None: any number.
        outputs: names of its outputs, the first of which are taken for the scores.
    """

    def __init__(self, content: bytes, *, threads: int = 1, integer: bool = True) -> None:
        """Opens a file.

        Args:
            content: content of the file.
            threads: number of threads that compute one call.
            integer: fuse quantized layers into integer kernels where onnxruntime has some, as it does by default (these
                round biases to the integer step of the sums of products); False: compute the file's operators in
                floats.

        Raises:
            InvalidInput: onnxruntime is not installed, or refuses the file.
        """
        require_onnx()
        import onnxruntime

        self.threads = threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = FATAL  # errors need no log, because they are raised as well
        options.add_session_config_entry("session.disable_quant_qdq", "0" if integer else "1")
        # Else some products of stored weights with float inputs are computed with inputs rounded to 8 bits.
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
        try:
            self._session: Any = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no other base in common
            raise InvalidInput(f"onnx: onnxruntime refuses the file ({_first_line(error)})") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1:
            names = ", ".join(one.name for one in inputs)
            raise InvalidInput(f"onnx: the file has {len(inputs)} inputs ({names}), expected one: the images")
        self.outputs = tuple(str(one.name) for one in outputs)
        self._images, self._scores = inputs[0].name, self.outputs[0]
        first = (inputs[0].shape or [None])[0]
        self.batch: int | None = first if isinstance(first, int) else None  # images of every call; None: any number

    def scores(self, images: Images) -> NDArray[np.float32]:
        """Computes the scores (n, classes) of images (n, channels, height, width) in [0, 1].

        Raises:
            InvalidInput: onnxruntime fails, for example because the images have another shape.
        """
        try:
            scores = self._called(images)
        except Exception as error:  # as in __init__
            raise InvalidInput(
                f"onnx: onnxruntime fails on {counted(len(images), 'image')} of shape {images.shape[1:]} "
                f"({_first_line(error)})"
            ) from error
        return np.asarray(scores, np.float32)

    def _called(self, images: Images) -> Any:
        """Runs the file; where it wants a fixed number of images, in such parts, the last one filled up."""
        if self.batch is None or len(images) == self.batch:
            return self._session.run([self._scores], {self._images: images})[0]
        parts = []
        for start in range(0, len(images), self.batch):
            part = images[start : start + self.batch]
            filled = np.concatenate([part, np.repeat(part[-1:], self.batch - len(part), axis=0)])
            parts.append(self._session.run([self._scores], {self._images: filled})[0][: len(part)])
        return np.concatenate(parts)

    def accuracy(self, images: Images, labels: NDArray[np.int64]) -> float:
        """Returns the share of images (n, channels, height, width), 0–1, that the file gives their labels (n,)."""
        parts = range(0, len(images), BATCH)
        found = [self.scores(images[start : start + BATCH]).argmax(1) for start in parts]
        return float((np.concatenate(found) == labels).mean())

    def latency(self, images: Images, *, calls: int = CALLS, warm_up: int = WARM_UP) -> Latency:
        """Measures the time of calls on the same images (n, channels, height, width), after `warm_up` untimed calls."""
        ((p50, p95),) = milliseconds([lambda: self.call(images)], most=calls, warm_up=warm_up)
        return Latency(p50, p95, len(images), self.threads)

    def call(self, images: Images) -> None:
        """Computes the scores of images, and lets them go."""
        self._called(images)


class OnnxNetwork(nn.Module):
    """A deployed file as a network without gradients, for images on the CPU."""

    def __init__(self, deployed: OnnxModel) -> None:
        super().__init__()
        self._deployed = deployed

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self._deployed.scores(np.ascontiguousarray(x.detach().numpy(), np.float32)))


def agreement(
    deployed: OnnxModel, model: nn.Module, images: Images, done: Callable[[int], object] = lambda count: None
) -> float:
    """Returns the share of images, 0–1, that a file and a model on the CPU label alike.

    Args:
        deployed: the file.
        model: the network.
        images: (n, channels, height, width) in [0, 1].
        done: is told how many of them have been tried.
    """
    same = 0
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        with frozen(model), torch.no_grad():
            labels = model(torch.from_numpy(batch)).argmax(1).numpy()
        same += int((deployed.scores(batch).argmax(1) == labels).sum())
        done(start + len(batch))
    return same / len(images)


def require_onnx() -> None:
    """Raises InvalidInput if the optional packages are missing; the message says how to install them."""
    missing = []
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError:
            missing.append(package)
    if missing:
        raise InvalidInput(f"onnx: needs {' and '.join(missing)}, expected after pip install {' '.join(PACKAGES)}")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
