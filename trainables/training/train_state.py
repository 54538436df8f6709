"""The network of a recipe in progress, with its optimizer and its average: compressed as its epochs come."""

import math
from collections.abc import Mapping

from safetensors.torch import load as load_tensors
from torch import Generator, Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.attacks.config import FGSM
from trainables.attacks.registry import warmed
from trainables.checkpoints.tensors import pack_model, pack_progress, unpack_progress
from trainables.compression.compressor import Compressors
from trainables.compression.size import forward_bitops
from trainables.compute.flops import measure
from trainables.compute.ledger import Ledger
from trainables.losses.distillation import SoftLoss
from trainables.losses.losses import loss_of
from trainables.models.build import load_compressed
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import FreeLoop
from trainables.training.epoch import EpochResult, Trainer, free_epoch, train_epoch
from trainables.training.initial_network import InitialNetwork
from trainables.training.optimization import average_of, learning_rate, optimizer_of
from trainables.training.precision import in_precision


def update_phase(recipe: Recipe) -> str:
    """The phase of the ledger that a recipe's updates are charged to."""
    return "base" if recipe.is_ordinary_pretraining else "update"


class TrainState:
    """A network that is compressed step by step before its first epochs.

    After a step the optimizer and the average start anew. With momentum cut to the channels that stay instead,
    all of fourteen pairs of runs ended 1 to 12 points of robust accuracy lower (digits, N-FGSM, 12 epochs, SGD, AdamW,
    4 or 8 steps to half or a quarter of the channels, two seeds).

    Attributes:
        model: the weights in training.
        dense_flops: of one forward pass of the architecture before any compression.
        cost: FLOPs per pass of the network as it is now.
        bitops: of one forward pass of the network as it is now.
        optimizer: of the model's parameters.
        average: a copy that follows the weights; None if the schedule asks for none.
        compressors: what compresses it.
    """

    def __init__(
        self,
        recipe: Recipe,
        assembled: InitialNetwork,
        train: tuple[Tensor, Tensor],
        ledger: Ledger,
        soft: SoftLoss | None = None,
    ) -> None:
        """Compress for the first epoch.

        Args:
            recipe: says when and how to compress, and how to optimize.
            assembled: the network that it starts from.
            train: training images and labels on the device to compute on.
            ledger: charged for every pass that compression takes, as it runs.
            soft: joins a teacher's soft labels to the loss.
        """
        self._recipe, self._soft = recipe, soft
        self._images, self._labels = train
        self._generator = Generator(self._images.device).manual_seed(recipe.seed)
        self.model, self.dense_flops = assembled.model, assembled.dense_flops
        self.compressors = Compressors(recipe.methods, seed=recipe.seed)
        self.prepare(1, ledger)

    @property
    def deployed(self) -> nn.Module:
        """The weights that are scored and kept: the averaged ones if the schedule averages."""
        return self.model if self.average is None else self.average.module

    def prepare(self, epoch: int, ledger: Ledger) -> None:
        """Compress as the recipe says before this epoch, counted from 1, and measure what comes of it."""
        if epoch > self._recipe.compressed_from:
            return
        with FlopCounterMode(display=False) as counter:
            self.compressors.step(epoch, self.model, self._images, self._labels)
        ledger.add("compression", counter.get_total_flops())
        self._start_anew()

    def train_epoch(self, epoch: int, ledger: Ledger, micro_batches: int = 1) -> EpochResult:
        """Train for this epoch, counted from 1, at its part of the schedule; each batch in so many parts."""
        recipe, schedule = self._recipe, self._recipe.schedule
        replays = recipe.loop.replays if isinstance(recipe.loop, FreeLoop) else 1
        batches = math.ceil(len(self._labels) / schedule.batch_size) * replays
        first, total = (epoch - 1) * batches, schedule.epochs * batches
        average = self.average
        trainer = Trainer(
            model=in_precision(self.model, recipe.precision),
            optimizer=self.optimizer,
            rate=lambda step: learning_rate(schedule, step, total),
            after_step=lambda: None if average is None else average.update_parameters(self.model),
            augmentation=recipe.augmentation,
            generator=self._generator,
            cost=self.cost,
            ledger=ledger,
            update_phase=update_phase(recipe),
            micro_batches=micro_batches,
        )
        x, y, size = self._images, self._labels, schedule.batch_size
        if isinstance(recipe.loop, FreeLoop) and isinstance(recipe.perturbation, FGSM):
            return free_epoch(trainer, x, y, recipe.perturbation, first_step=first, batch_size=size, replays=replays)
        return train_epoch(
            trainer,
            x,
            y,
            loss_of(recipe.loss),
            lambda step: warmed(recipe.perturbation, step, total),
            first_step=first,
            batch_size=size,
            soft=self._soft,
        )

    def files(self) -> dict[str, bytes]:
        """The network, its optimizer, its average, and the random state of its training, as files of a checkpoint."""
        files = {
            "weights.safetensors": pack_model(self.model),
            "optimizer.safetensors": pack_progress(self.model, self.optimizer, self._generator),
        }
        if self.average is not None:
            files["average.safetensors"] = pack_model(self.average.module)
        return files

    def load(self, files: Mapping[str, bytes], model: nn.Module) -> None:
        """The inverse of `files`, for a fresh one of the same recipe.

        Args:
            files: of a checkpoint.
            model: the network rebuilt from them, since its form may be that of a later step than the first.
        """
        self.model = model.to(self._images.device)
        self._start_anew()
        unpack_progress(files["optimizer.safetensors"], self.model, self.optimizer, self._generator)
        if self.average is not None:
            load_compressed(self.average.module, load_tensors(files["average.safetensors"])).to(self._images.device)
            self.average.n_averaged.fill_(1)  # at 0, its next update would copy instead of average

    def _start_anew(self) -> None:
        """Optimizer, average and costs of the network as it is now."""
        schedule, example = self._recipe.schedule, self._images[:1]
        self.optimizer, self.average = optimizer_of(self.model, schedule), average_of(self.model, schedule)
        self.cost = measure(self.model, example)
        self.bitops = forward_bitops(self.model, example, self.compressors)
