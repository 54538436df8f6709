"""Measures how fast a device runs a recipe, by timing its training and scoring for some seconds."""

import time
from dataclasses import dataclass, replace

import torch

from trainables.attacks.registry import attack_of
from trainables.compute.ledger import Ledger
from trainables.data.splits import Examples, Splits
from trainables.evaluation.config import ScoringProtocol
from trainables.evaluation.score import Scorer
from trainables.execution.pipeline import set_conditions
from trainables.losses.losses import loss_of
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import FreeLoop
from trainables.training.batches import batch_sizes
from trainables.training.initial_network import initial_network
from trainables.training.train_state import TrainState

WARM_UP_BATCHES = 2


@dataclass(frozen=True)
class Speed:
    """Speed of a device at one kind of recipe, in one slot while the node's other slots work too.

    Attributes:
        flops_per_second: FLOPs of training per second, attacks included, as the ledger counts them.
        passes_per_flop: passes of a batch through the network for each of these FLOPs: small networks have many.
        progress_seconds: seconds to measure the progress score after an epoch.
        score_seconds: seconds to measure the full score of the result.
        start_seconds: seconds to build, compress and count the network.
    """

    flops_per_second: float
    progress_seconds: float
    score_seconds: float
    start_seconds: float
    passes_per_flop: float = 0.0

    def around(self, epochs: float) -> float:
        """Returns the seconds that a recipe of so many epochs takes beside its training: its start and its scores."""
        return self.start_seconds + max(1, epochs) * self.progress_seconds + self.score_seconds


def passes_a_step(recipe: Recipe) -> int:
    """Returns how often a training step passes its batch through the network, with or without a gradient."""
    if isinstance(recipe.loop, FreeLoop):
        return recipe.loop.replays
    loss = loss_of(recipe.loss)
    return int(attack_of(recipe.perturbation).passes + loss.target_passes + loss.full_passes)


def time_recipe(
    recipe: Recipe, evaluation: ScoringProtocol, splits: Splits, *, threads: int, gpu: bool, seconds: float
) -> Speed:
    """Measures a device's speed by training and scoring a recipe as a trial does, on as many images as time allows.

    Timing single steps would miss what small networks spend their time on (batching, the optimizer, scoring after each
    epoch), so a whole epoch is timed where it fits, after two batches that warm up. The network that this training made
    is then scored. Images that it gets wrong are not attacked, so a network that has learnt less is scored faster.

    Args:
        recipe: a recipe without a base; its network matters for the speed, its weights do not.
        evaluation: how the study scores.
        splits: the recipe's data.
        threads: number of CPU threads.
        gpu: compute on the GPU that Ray assigned, else on the CPU.
        seconds: time to take, about half of it for training; a few batches are run even if they take longer.
    """
    set_conditions(threads)
    device = torch.device("cuda" if gpu else "cpu")
    size = recipe.schedule.batch_size
    _train(recipe, splits, device, WARM_UP_BATCHES * size)
    flops, took, started = _train(recipe, splits, device, WARM_UP_BATCHES * size)[:3]
    fitting = int(seconds / 2 / max(took, 1e-6) * WARM_UP_BATCHES)
    images = min(len(splits.train), max(WARM_UP_BATCHES, fitting) * size)
    flops, took, started, state = _train(recipe, splits, device, images)
    passes = passes_a_step(recipe) * len(batch_sizes(images, size))
    share = min(1.0, seconds / 4 / max(1e-6, _scoring(state, evaluation, splits.validation, device, 0.05)[1]))
    progress, score = _scoring(state, evaluation, splits.validation, device, share)
    return Speed(flops / took, progress, score, started, passes / flops)


def _train(recipe: Recipe, splits: Splits, device: torch.device, images: int) -> tuple[float, float, float, TrainState]:
    """Trains an epoch on the first so many images.

    Returns:
        FLOPs and seconds of the epoch, seconds to build the network, and the trained network.
    """
    began = time.perf_counter()
    torch.manual_seed(recipe.seed)
    few = replace(splits, train=Examples(splits.train.images[:images], splits.train.labels[:images]))
    train, ledger = few.train.tensors(device), Ledger()
    state = TrainState(recipe, initial_network(recipe, None, splits, train[0]), train, ledger)
    before = ledger.end_to_end
    _wait(device)
    started = time.perf_counter()
    state.train_epoch(1, ledger)
    _wait(device)
    return ledger.end_to_end - before, time.perf_counter() - started, started - began, state


def _scoring(
    state: TrainState, evaluation: ScoringProtocol, validation: Examples, device: torch.device, share: float
) -> tuple[float, float]:
    """Returns the seconds of the progress score and of the full score, by this share of their images, one at least."""
    wholes = [
        min(count or len(validation), len(validation)) for count in (evaluation.progress_examples, evaluation.examples)
    ]
    timed = [max(1, round(whole * share)) for whole in wholes]
    cut = evaluation.model_copy(update={"progress_examples": timed[0], "examples": timed[1]})
    scorer, times = Scorer(cut, *validation.tensors(device)), []
    for score, whole, part in zip((scorer.progress, scorer.full), wholes, timed, strict=True):
        started = time.perf_counter()
        score(state.deployed, state.cost, Ledger())
        _wait(device)
        times.append((time.perf_counter() - started) * whole / part)
    return times[0], times[1]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
