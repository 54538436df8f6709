"""Where a trial's time and memory go, on Fashion-MNIST at the shipped settings: `make bench` prints the tables.

Time: the share that scoring takes of the shortest and the longest trial that a study proposes, from an epoch of
training, a progress score and a last score, each timed once. Memory: the peak of a process that runs one trial, and
what four trials on one node add to their own by holding one data set, which they share through Ray's store.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cluster.connection.session import Target, prepare_environment, session
from search.study.loading import load
from search.study.study import Study
from tests.benchmarks.machine import machine
from trainables.attacks.config import NFGSM
from trainables.attacks.pgd import PgdAttack
from trainables.compression.config import ChannelPruning
from trainables.compute.ledger import Ledger
from trainables.data.splits import Splits, load_splits
from trainables.evaluation.config import ScoringProtocol
from trainables.evaluation.score import evaluate
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule

TRIALS = 4
MEGABYTE = 1e6
CPU = torch.device("cpu")


def cheap_recipe(study: Study) -> Recipe:
    """An epoch of what the search converges to: half of the channels, perturbations of one step."""
    return Recipe(
        data=study.data,
        model=study.model,
        compression=ChannelPruning(pruning_ratio=0.5, scope="uniform"),
        perturbation=NFGSM(epsilon=study.threat_model.epsilon),
        schedule=Schedule(epochs=1, learning_rate=0.1, batch_size=128),
    )


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def scoring_shares(name: str) -> None:
    """Print a study's line: seconds of training and scoring, and the share of scoring."""
    study = load(name)
    assert study.space is not None
    protocol, splits = study.protocol, load_splits(study.data)
    least = ScoringProtocol(epsilon=protocol.epsilon, steps=1, examples=1, progress_steps=1, progress_examples=1)
    pipeline = Pipeline(cheap_recipe(study), least, splits, None, CPU)
    x, y = splits.validation.tensors(CPU)

    def score(steps: int, examples: int | None) -> float:
        attack = PgdAttack(norm=protocol.norm, epsilon=protocol.epsilon, steps=steps)
        images, labels = x[:examples], y[:examples]
        size, cost = protocol.batch_size, pipeline.cost
        return seconds(
            lambda: evaluate(pipeline.model, images, labels, attack, batch_size=size, cost=cost, ledger=Ledger())
        )

    training = seconds(pipeline.step)
    progress, last = (
        score(protocol.progress_steps, protocol.progress_examples),
        score(protocol.steps, protocol.examples),
    )
    epochs = study.space.schedule.epochs
    shares = [
        (count * progress + last) / (count * (training + progress) + last)
        for count in (int(epochs.low), int(epochs.high))
    ]
    scored = min(protocol.examples or len(y), len(y))
    print(
        f"{name:20s} {len(splits.train):>6} {training:>8.1f} s {progress:>8.1f} s {last:>8.1f} s {scored:>6} "
        f"{int(epochs.low):>4}–{int(epochs.high)} epochs: {shares[0]:.0%}–{shares[1]:.0%}"
    )


def one_trial(name: str) -> None:
    """Run one epoch in this process and print its resident memory, in MB: before it, and the peak in it."""
    study = load(name)
    splits = load_splits(study.data)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew, without that of reading the data
    before = status_megabytes("VmRSS")
    Pipeline(cheap_recipe(study), study.protocol, splits, None, CPU).step()
    print(f"{before:.0f} {status_megabytes('VmHWM'):.0f}")


def status_megabytes(field: str) -> float:
    """A field of this process's status."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / MEGABYTE


def private_megabytes() -> float:
    """Memory that this process alone holds: what would be free again if it ended."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(found) for found in re.findall(r"Private_(?:Clean|Dirty):\s+(\d+) kB", text)) * 1024 / MEGABYTE


def shared_data(splits: Splits) -> tuple[float, list[float]]:
    """Size of a data set, and what each of four processes adds to its private memory by reading all of it, in MB."""
    prepare_environment(None)  # before Ray is imported
    import ray

    class Holder:
        def hold(self, splits: Splits) -> float:
            before = private_megabytes()
            self.tensors = [part.tensors(CPU) for part in (splits.train, splits.validation)]
            for images, labels in self.tensors:
                images.sum(), labels.sum()  # read every page
            return private_megabytes() - before

    size = sum(part.images.nbytes + part.labels.nbytes for part in (splits.train, splits.validation)) / MEGABYTE
    with session(Target(), cpus=TRIALS):
        reference = ray.put(splits)
        holders: list[Any] = [ray.remote(Holder).remote() for _ in range(TRIALS)]
        return size, ray.get([holder.hold.remote(reference) for holder in holders])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one-trial", metavar="STUDY", help=argparse.SUPPRESS)
    if name := parser.parse_args().one_trial:
        one_trial(name)
        return
    set_conditions(1)
    print(machine())
    print("\n50% pruned eight-layer network, N-FGSM, one thread; the share of a trial's time that scoring takes\n")
    print(f"{'study':20s} {'images':>6} {'epoch':>10} {'progress':>10} {'last':>10} {'scored':>6}  share of scoring")
    for study in ("fashion_mnist", "fashion_mnist_small"):
        scoring_shares(study)
    command = [sys.executable, "-m", "tests.benchmarks.trial", "--one-trial", "fashion_mnist"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    print(f"\npeak memory of a trial of fashion_mnist: {after:.0f} MB, of which {before:.0f} MB imports and data")
    size, added = shared_data(load_splits(load("fashion_mnist").data))
    print(f"data set of {size:.0f} MB held by {TRIALS} trials: each adds {', '.join(f'{one:.1f}' for one in added)} MB")


if __name__ == "__main__":
    main()
