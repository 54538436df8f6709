"""Compresses and trains the network of a recipe in progress, and holds its optimizer and its averaged weights."""

from collections.abc import Mapping

from safetensors.torch import load as load_tensors
from torch import Generator, Tensor, nn

from trainables.attacks.config import FGSM
from trainables.attacks.registry import warmed
from trainables.checkpoints.tensors import pack_model, pack_progress, unpack_progress
from trainables.compression.compressor import Compressors
from trainables.compression.size import forward_bitops
from trainables.compute.flops import measure
from trainables.compute.ledger import Ledger
from trainables.losses.distillation import SoftLoss
from trainables.losses.losses import loss_of
from trainables.models.weights import load_compressed
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import FreeLoop
from trainables.training.batches import batch_sizes, epoch_sizes, schedule_steps
from trainables.training.epoch import EpochResult, Trainer, free_epoch, train_epoch
from trainables.training.initial_network import InitialNetwork
from trainables.training.optimization import average_of, learning_rate, optimizer_of
from trainables.training.precision import in_precision


def update_phase(recipe: Recipe) -> str:
    """Returns the phase of the ledger that a recipe's updates are charged to."""
    return "base" if recipe.is_ordinary_pretraining else "update"


class TrainState:
    """A network in training, which is compressed step by step before its first epochs.

    After each step of compression a new optimizer and a new average are made. Where the momentum of the channels that
    stay was kept instead, all of fourteen pairs of runs ended 1 to 12 points of robust accuracy lower (digits, N-FGSM,
    12 epochs, SGD, AdamW, 4 or 8 steps to half or a quarter of the channels, two seeds).

    Attributes:
        model: the network with the weights in training.
        dense_flops: FLOPs of one forward pass of the architecture before any compression.
        cost: FLOPs per pass of the network as it is now.
        bitops: bit operations of one forward pass of the network as it is now.
        optimizer: optimizer of the model's parameters.
        average: a copy with averaged weights; None if the schedule does not average.
        compressors: the compression methods of the recipe.
    """

    def __init__(
        self,
        recipe: Recipe,
        initial: InitialNetwork,
        train: tuple[Tensor, Tensor],
        ledger: Ledger,
        soft: SoftLoss | None = None,
    ) -> None:
        """Compresses the network for the first epoch.

        Args:
            recipe: says when and how to compress, and how to train.
            initial: the network that the recipe starts from.
            train: training images and labels on the device to compute on.
            ledger: the ledger to which the passes of compression are charged.
            soft: adds a teacher's soft labels to the loss; None: there is no teacher.
        """
        self._recipe, self._soft = recipe, soft
        self._images, self._labels = train
        self._generator = Generator(self._images.device).manual_seed(recipe.seed)
        self.model, self.dense_flops = initial.model, initial.dense_flops
        self.compressors = Compressors(recipe.methods, seed=recipe.seed)
        self.prepare(1, ledger)

    @property
    def deployed(self) -> nn.Module:
        """The network with the weights that are scored and kept: the averaged ones if the schedule averages."""
        return self.model if self.average is None else self.average.module

    def prepare(self, epoch: int, ledger: Ledger) -> None:
        """Compresses the network as the recipe says before this epoch, counted from 1, and counts its new FLOPs."""
        if epoch > self._recipe.compressed_from:
            return
        ledger.add("compression", self.compressors.step(epoch, self.model, self._images, self._labels))
        self._start_anew()

    def train_epoch(self, epoch: int, ledger: Ledger, micro_batches: int = 1) -> EpochResult:
        """Trains for one epoch of the schedule.

        Args:
            epoch: number of the epoch, counted from 1.
            ledger: the ledger to which the passes are charged.
            micro_batches: number of parts that each batch is split into.
        """
        recipe, schedule = self._recipe, self._recipe.schedule
        replays = recipe.loop.replays if isinstance(recipe.loop, FreeLoop) else 1
        examples = len(self._labels)
        first = (epoch - 1) * len(batch_sizes(examples, schedule.batch_size)) * replays
        total = schedule_steps(examples, schedule) * replays
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
            most=len(epoch_sizes(examples, schedule, epoch)),
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
        """Returns a checkpoint's files: the network, its optimizer with the random state of training, its average."""
        files = {
            "weights.safetensors": pack_model(self.model),
            "optimizer.safetensors": pack_progress(self.model, self.optimizer, self._generator),
        }
        if self.average is not None:
            files["average.safetensors"] = pack_model(self.average.module)
        return files

    def load(self, files: Mapping[str, bytes], model: nn.Module) -> None:
        """Restores what `files` returned into a new state of the same recipe.

        Args:
            files: files of a checkpoint.
            model: the network rebuilt from these files, because later steps than the first may have compressed it.
        """
        self.model = model.to(self._images.device)
        self._start_anew()
        unpack_progress(files["optimizer.safetensors"], self.model, self.optimizer, self._generator)
        if self.average is not None:
            load_compressed(self.average.module, load_tensors(files["average.safetensors"])).to(self._images.device)
            self.average.n_averaged.fill_(1)  # with 0, the next update would copy the weights instead of averaging

    def _start_anew(self) -> None:
        """Makes a new optimizer and a new average for the network as it is now, and counts its FLOPs."""
        schedule, example = self._recipe.schedule, self._images[:1]
        self.optimizer, self.average = optimizer_of(self.model, schedule), average_of(self.model, schedule)
        self.cost = measure(self.model, example, self._recipe.model.uncounted_operators)
        self.bitops = forward_bitops(self.model, example, self.compressors)
