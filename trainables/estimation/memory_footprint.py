"""Measures how much memory of its device a trial takes."""

import resource
from dataclasses import dataclass, replace

import torch

from trainables.data.splits import Examples, Splits
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import Pipeline
from trainables.memory_limit import memory_limit
from trainables.recipe.recipe import Recipe

BATCHES = 3  # batches of training images to measure with, since a step's memory does not grow after the second


@dataclass(frozen=True)
class Footprint:
    """The memory that a trial takes of a device, in bytes.

    Attributes:
        peak: the most memory that one process takes while it trains and scores, its CUDA context included.
        total: memory of the device.
        device: name of the device.
    """

    peak: int
    total: int
    device: str


def memory_footprint(recipe: Recipe, evaluation: ScoringProtocol, splits: Splits, device: torch.device) -> Footprint:
    """Measures the memory of a trial by training and scoring its recipe on a few batches.

    On a GPU it is the most that PyTorch has reserved, and what else the process has taken of the card. On a CPU it is
    the process's largest resident set.

    Args:
        recipe: a recipe without base and teacher; weights that are loaded would take no more memory.
        evaluation: how it is scored.
        splits: its data; images that are left out are counted as if they were on the device.
        device: device to measure on; nothing else should run there.
    """
    few = min(len(splits.train), BATCHES * recipe.schedule.batch_size)
    train = Examples(splits.train.images[:few], splits.train.labels[:few])
    memory = _Memory(device)
    Pipeline(recipe, evaluation, replace(splits, train=train), None, device).step()
    peak = memory.peak()
    left_out = splits.train.images[few:].nbytes + splits.train.labels[few:].nbytes
    return Footprint(peak + left_out, memory.total, memory.name)


class _Memory:
    """Measures the memory that this process takes of a device, from the moment that this is made."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            properties = torch.cuda.get_device_properties(device)
            self.name, self.total = str(properties.name), int(properties.total_memory)
            torch.cuda.reset_peak_memory_stats(device)
        else:
            self.name = "CPU"
            self.total = memory_limit()

    def peak(self) -> int:
        if self._device.type != "cuda":
            return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        free, total = torch.cuda.mem_get_info(self._device)
        context = max(0, total - free - torch.cuda.memory_reserved(self._device))
        return context + torch.cuda.max_memory_reserved(self._device)
