"""Counts the FLOPs of a recipe's whole schedule, and its network's size, before it trains."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from trainables.attacks.registry import attack_of
from trainables.checkpoints.trained_model import TrainedModel, inherited, rebuild, teaching_flops
from trainables.compression.compressor import Compressors
from trainables.compression.size import forward_bitops, stored_bytes
from trainables.compute.flops import PassCost, measure
from trainables.compute.ledger import Ledger
from trainables.data.splits import Splits
from trainables.losses.losses import loss_of
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import FreeLoop
from trainables.training.batches import batch_sizes, schedule_images, schedule_steps
from trainables.training.initial_network import initial_network
from trainables.training.train_state import update_phase

CPU = torch.device("cpu")


@dataclass(frozen=True)
class _Counted:
    """The FLOPs that were counted on a recipe's network.

    Attributes:
        compression: FLOPs of compressing it, in all steps.
        passes: FLOPs per pass in each epoch up to the one of the last compression step; later epochs cost the same.
        sizes: metrics of the network's size after the last compression step; empty where they are not wanted.
    """

    compression: float
    passes: tuple[PassCost, ...]
    sizes: Mapping[str, float]


class FlopsPlanner:
    """Predicts the compute ledgers that recipes will end with, without training them.

    A network is compressed and counted by the code that a trial runs, once for each combination of initial network,
    compression and quantization. The counts are kept, so that a plan that differs only in attack, loss, loop or
    schedule takes no more than arithmetic.

    A plan is exact where all pruning comes before training (`compression.steps` of 1). Later steps rank channels by
    weights that training has changed by then, but the plan ranks them by the initial weights. So it is approximate
    there, unless ranks are random or inside each layer (`scope` uniform). A plan is of the whole schedule: a trial that
    is stopped early costs less. Validation, which is in no total, is not planned. Above 2^53 FLOPs the last bit may
    differ, because a trial adds up batch by batch.

    Taylor importance is computed on the planner's device. A trial on another device may rank nearly equal channels
    differently.
    """

    def __init__(
        self,
        splits: Splits,
        trained: Callable[[Recipe], TrainedModel],
        device: torch.device = CPU,
        *,
        sizes: bool = False,
    ) -> None:
        """Makes a planner that has counted nothing yet.

        Args:
            splits: the data of every recipe to plan.
            trained: returns the trained model of a finished base or teacher; it is called once for each.
            device: device that networks are compressed and counted on.
            sizes: whether the networks' sizes will be asked for too; counting them takes a pass more.
        """
        self._sized = sizes
        self._splits, self._device = splits, device
        self._train = splits.train.tensors(device)
        self._trained = cache(trained)
        self._teaching = cache(self._count_teaching)
        self._counted: dict[object, _Counted] = {}
        self._started: tuple[object, nn.Module, Tensor] | None = None  # the last recipe's start, network, random state

    def plan(self, recipe: Recipe) -> Ledger:
        """Returns the ledger of the recipe's trial after its last epoch, without validation.

        PyTorch's random state is left as it was.

        Raises:
            InvalidInput: the recipe's network cannot be built, or its file of weights is not of this network.
            Exception: whatever `trained` raises where it cannot return a base or teacher.
        """
        teacher, examples = recipe.separate_teacher, len(self._splits.train)
        base = self._trained(recipe.base) if recipe.base else None
        ledger = Ledger()
        ledger.inherit(inherited(base, self._trained(teacher) if teacher else None))
        if recipe.teacher is not None:
            ledger.add("distillation", self._teaching(recipe.teacher), examples)
        counted = self._network(recipe, base)
        ledger.add("compression", counted.compression)
        *early, last = counted.passes
        steps = len(batch_sizes(examples, recipe.schedule.batch_size))
        for passes in early:
            _charge(recipe, passes, ledger, examples, steps)
        left = schedule_images(examples, recipe.schedule) - examples * len(early)
        _charge(recipe, last, ledger, left, schedule_steps(examples, recipe.schedule) - steps * len(early))
        return ledger

    def sizes(self, recipe: Recipe) -> dict[str, float]:
        """Returns the metrics of the size of a recipe's network after its last compression step, as a trial has them.

        They are exact, and approximate, where plans are. The planner must have been made for them.

        Returns:
            `inference_macs`, `inference_bitops`, `model_bytes` and `parameters`.
        """
        return dict(self._network(recipe, self._trained(recipe.base) if recipe.base else None).sizes)

    def _network(self, recipe: Recipe, base: TrainedModel | None) -> _Counted:
        """Returns the counts of a recipe's network, those of an earlier recipe where it had the same network."""
        # its hash takes microseconds, an id takes longer
        key = (_start_of(recipe), recipe.compression, recipe.quantization)
        if key not in self._counted:
            self._counted[key] = self._count(recipe, base)
        return self._counted[key]

    def _count(self, recipe: Recipe, base: TrainedModel | None) -> _Counted:
        compressors, compression, passes = Compressors(recipe.methods, seed=recipe.seed), 0.0, []
        # Seeding changes the random state of every GPU, so all are restored afterwards. Where CUDA is not in use yet,
        # there is nothing to restore, and asking for the state would start it.
        gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
        with torch.random.fork_rng(devices=gpus):
            model = self._initial(recipe, base)
            for epoch in range(1, recipe.compressed_from + 1):
                compression += compressors.step(epoch, model, *self._train)
                passes.append(measure(model, self._train[0][:1], recipe.model.uncounted_operators))
            sizes = self._size(model, passes[-1], compressors) if self._sized else {}
        return _Counted(compression, tuple(passes), sizes)

    def _size(self, model: nn.Module, passes: PassCost, compressors: Compressors) -> dict[str, float]:
        return {
            "inference_macs": float(round(passes.forward / 2)),
            "inference_bitops": forward_bitops(model, self._train[0][:1], compressors),
            "model_bytes": stored_bytes(model, compressors),
            "parameters": float(sum(parameter.numel() for parameter in model.parameters())),
        }

    def _initial(self, recipe: Recipe, base: TrainedModel | None) -> nn.Module:
        """Returns a new copy of the network that a recipe starts from, which is built once for recipes in a row.

        PyTorch's random state is then as if the network had been built now, since a user's compression may draw.
        """
        if self._started is None or self._started[0] != _start_of(recipe):
            torch.manual_seed(recipe.seed)
            model = initial_network(recipe, base, self._splits, self._train[0]).model
            self._started = (_start_of(recipe), model, torch.get_rng_state())
        torch.set_rng_state(self._started[2])
        return copy.deepcopy(self._started[1])

    def _count_teaching(self, teacher: Recipe) -> float:
        """Returns the FLOPs of a teacher's forward pass over one image."""
        trained = self._trained(teacher)
        if trained.soft_labels is not None:
            return trained.soft_labels.flops
        model = rebuild(teacher, self._splits, trained.weights).to(self._device)
        return teaching_flops(model, self._train[0])


def _start_of(recipe: Recipe) -> object:
    """Returns the fields that determine the untrained network; the seed draws weights, and the random importance."""
    return recipe.data, recipe.model, recipe.base, recipe.weights, recipe.seed


def _charge(recipe: Recipe, passes: PassCost, ledger: Ledger, examples: int, batches: int) -> None:
    """Adds the FLOPs of training on so many examples in these batches, by the recipe's loop, perturbation and loss."""
    passes = passes.in_batches_of(examples / batches) if batches else passes
    if isinstance(recipe.loop, FreeLoop):
        step, examples = passes.free_step(), examples * recipe.loop.replays
    else:
        step = passes.step(attack_of(recipe.perturbation), loss_of(recipe.loss))
    ledger.charge(step, examples, update_phase=update_phase(recipe))
