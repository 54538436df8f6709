"""Speed of an adversarial training step, as ratios measured in one run: `make bench` prints the table.

Each figure is the median of alternating rounds, so that a machine whose speed drifts slows both sides alike.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from tests.benchmarks.machine import machine
from trainables.attacks.pgd import PgdAttack
from trainables.compression.config import ChannelPruning
from trainables.compression.pruning import ChannelPruner
from trainables.compute.flops import measure
from trainables.compute.ledger import Ledger
from trainables.losses.losses import CrossEntropyLoss
from trainables.models.build import build
from trainables.models.config import Network
from trainables.recipe.schedule import Augmentation, Schedule
from trainables.training.epoch import Trainer, train_epoch
from trainables.training.optimization import optimizer_of

BATCH, STEPS, EPSILON = 128, 10, 0.05
SCHEDULE = Schedule(epochs=1, learning_rate=0.01)


def ours(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], object]:
    """One step of Temper's loop."""
    trainer = Trainer(
        model=model,
        optimizer=optimizer_of(model, SCHEDULE),
        rate=lambda step: 0.01,
        after_step=lambda: None,
        augmentation=Augmentation(),
        generator=torch.Generator().manual_seed(0),
        cost=measure(model, x[:1]),
        ledger=Ledger(),
    )
    attack = PgdAttack(epsilon=EPSILON, steps=STEPS)
    return lambda: train_epoch(trainer, x, y, CrossEntropyLoss(), lambda step: attack, first_step=0, batch_size=BATCH)


def plain(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], object]:
    """The loop that is usually written: parameter gradients on during the attack, images and weights in NCHW."""
    model = copy.deepcopy(model).to(memory_format=torch.contiguous_format).train()
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)

    def step() -> None:
        adversarial = x + torch.empty_like(x).uniform_(-EPSILON, EPSILON)
        for _ in range(STEPS):
            adversarial = adversarial.detach().requires_grad_(True)
            torch.autograd.backward(cross_entropy(model(adversarial), y))
            assert adversarial.grad is not None
            moved = adversarial.detach() + 2.5 * EPSILON / STEPS * adversarial.grad.sign()
            adversarial = (x + (moved - x).clamp(-EPSILON, EPSILON)).clamp(0, 1)
        optimizer.zero_grad()
        torch.autograd.backward(cross_entropy(model(adversarial.detach()), y))
        optimizer.step()

    return step


def matrix_peak() -> Callable[[], object]:
    """One 1024 × 1024 matrix product: 2 × 1024³ FLOPs."""
    a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
    return lambda: torch.mm(a, b)


def medians(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each call, all of them once a round, after one round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if number:
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds: int = parser.parse_args().rounds
    print(machine())
    print(f"eight-layer network, batch {BATCH}, PGD-{STEPS}, median of {rounds} rounds\n")
    print(f"{'threads':>7}  {'plain':>9}  {'ours':>9}  {'pruned 50%':>10}  ours/plain  pruned/dense  of matrix peak")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        x, y = torch.rand(BATCH, 1, 28, 28), torch.arange(BATCH).remainder(10)
        dense = build(Network(name="eight_layer"), (1, 28, 28))
        narrow = copy.deepcopy(dense)
        ChannelPruner(ChannelPruning(pruning_ratio=0.5, scope="uniform"), seed=0).step(1, narrow, x, y)
        calls = {"plain": plain(dense, x, y), "ours": ours(dense, x, y), "pruned": ours(narrow, x, y)}
        seconds = medians(calls | {"peak": matrix_peak()}, rounds)
        cost = measure(dense, x[:1])
        flops = BATCH * (STEPS * cost.input_gradient + cost.full) / seconds["ours"]
        speed = {name: BATCH / seconds[name] for name in calls}
        print(
            f"{threads:>7}  {speed['plain']:>5.1f} im/s  {speed['ours']:>5.1f} im/s  {speed['pruned']:>6.1f} im/s  "
            f"{speed['ours'] / speed['plain']:>10.2f}  {speed['pruned'] / speed['ours']:>12.2f}  "
            f"{flops / (2 * 1024**3 / seconds['peak']):>13.0%}"
        )


if __name__ == "__main__":
    main()
