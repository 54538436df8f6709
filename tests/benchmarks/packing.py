"""Speed of trials that share a card: how much more is trained in all, and how busy the card is.

Each trial is a process that trains the study's heaviest recipe on part of its images, as a search would. All begin at
once, after an epoch that warms them up, and the time is measured until the last has ended. It shows for how many trials
a card is worth dividing; how many fit into its memory is what `resources.gpu: auto` measures.
"""

import argparse
import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from typing import Any

import torch

from search.recipes.fixed import FixedRecipes
from search.running.capacity import heaviest
from search.study.loading import load
from tests.benchmarks.machine import machine
from trainables.data.splits import Examples, Splits, load_splits
from trainables.execution.pipeline import Pipeline, set_conditions

COUNTS, EPOCHS, IMAGES, SCORED = (1, 2, 4, 8, 16), 3, 3840, 128
WAIT = 300.0  # seconds in which all processes must have begun


def train(name: str, device: str, precision: str, start: Barrier, ended: Any) -> None:
    """Trains one trial on a device: an epoch before all start together, then the epochs that are measured."""
    set_conditions(1)
    study = load(name)
    splits = load_splits(study.data)
    part = Splits(
        Examples(splits.train.images[:IMAGES], splits.train.labels[:IMAGES]),
        Examples(splits.validation.images[:SCORED], splits.validation.labels[:SCORED]),
    )
    found = heaviest(study, FixedRecipes.of(study))
    schedule = found.schedule.model_copy(update={"epochs": EPOCHS + 2})
    recipe = found.model_copy(update={"schedule": schedule, "precision": precision})
    protocol = study.protocol.model_copy(
        update={"examples": SCORED, "progress_examples": SCORED, "steps": 1, "progress_steps": 1}
    )
    pipeline = Pipeline(recipe, protocol, part, None, torch.device(device))
    pipeline.step()
    start.wait(WAIT)
    for _ in range(EPOCHS):
        pipeline.step()
    ended.put(time.time())


def measure(name: str, device: str, precision: str, trials: int) -> tuple[float, "Card"]:
    """Runs trials at once; returns the images that they trained on in a second, in all, and what the card did."""
    context = multiprocessing.get_context("spawn")
    start, ended = context.Barrier(trials + 1), context.Queue()
    arguments = name, device, precision, start, ended
    processes = [context.Process(target=train, args=arguments, daemon=True) for _ in range(trials)]
    for one in processes:
        one.start()
    start.wait(WAIT)
    began = time.time()
    with watched(device) as card:
        last = max(ended.get(timeout=WAIT) for _ in processes)
    for one in processes:
        one.join()
    return trials * EPOCHS * IMAGES / (last - began), card


class Card:
    """What NVML said of a card while it was watched: share of the time in which it computed, memory, power."""

    def __init__(self) -> None:
        self.busy: list[float] = []
        self.memory: list[float] = []
        self.watts: list[float] = []

    def __str__(self) -> str:
        if not self.busy:
            return "not measured"
        busy, watts = sum(self.busy) / len(self.busy), sum(self.watts) / len(self.watts)
        return f"busy {busy:4.0f}%  {max(self.memory) / 1e9:5.1f} GB  {watts:4.0f} W"


@contextmanager
def watched(device: str) -> Iterator[Card]:
    """Asks NVML about a card every tenth of a second while this context lasts; of a CPU nothing is asked."""
    card, over = Card(), threading.Event()
    if device == "cpu":
        yield card
        return
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)

    def watch() -> None:
        while not over.wait(0.1):
            card.busy.append(float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu))
            card.memory.append(float(pynvml.nvmlDeviceGetMemoryInfo(handle).used))
            card.watts.append(pynvml.nvmlDeviceGetPowerUsage(handle) / 1000)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield card
    finally:
        over.set()
        watcher.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--study", default="fashion_mnist")
    parser.add_argument("--trials", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", choices=["float32", "bf16-mixed"], default="float32")
    options = parser.parse_args()
    where = machine() if options.device == "cpu" else torch.cuda.get_device_name(0)
    print(f"{options.study}, {options.precision}, {where}\ntrials  images/s  of one alone")
    alone = None
    for trials in options.trials:
        speed, card = measure(options.study, options.device, options.precision, trials)
        alone = alone or speed / trials
        print(f"{trials:6d}  {speed:8.0f}  {speed / alone:5.2f}  {card}", flush=True)


if __name__ == "__main__":
    main()
