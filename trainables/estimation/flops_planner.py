"""What a recipe's whole schedule will cost, known before it trains: its ledger, counted on its compressed network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

from trainables.attacks.registry import attack_of
from trainables.checkpoints.trained_model import TrainedModel, inherited, rebuild
from trainables.compute.flops import PassCost, forward_flops
from trainables.compute.ledger import Ledger
from trainables.data.splits import Splits
from trainables.losses.losses import loss_of
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import FreeLoop
from trainables.training.initial_network import initial_network
from trainables.training.train_state import TrainState, update_phase

CPU = torch.device("cpu")


@dataclass(frozen=True)
class _Counted:
    """What was counted on a recipe's network.

    Attributes:
        compression: FLOPs of shrinking it, in all steps.
        passes: FLOPs per pass in each epoch up to the last pruning step; later epochs cost what the last one does.
    """

    compression: float
    passes: tuple[PassCost, ...]


class FlopsPlanner:
    """The ledgers that recipes will end with, without training them.

    A network is compressed and counted by the code that a trial runs, once for each start, compression and
    quantization. What it counts is kept; a plan that differs in attack, loss, loop or schedule alone is arithmetic.

    A plan is exact where all pruning comes before training (`compression.steps` of 1). Later steps rank channels by
    weights that training has moved by then; the plan ranks them by the base's, so that it is approximate, unless ranks
    are random or inside each layer (`scope` uniform). It is of the whole schedule: a trial that is stopped costs less.
    Nothing is planned for validation, which is in no total. Above 2^53 FLOPs the last bit may differ, since a trial
    adds up batch by batch.

    Taylor importance is computed on this planner's device. Near ties may fall otherwise than on a trial's other device.
    """

    def __init__(self, splits: Splits, trained: Callable[[Recipe], TrainedModel], device: torch.device = CPU) -> None:
        """Args:
        splits: the data of every recipe to plan.
        trained: gives a finished base or teacher; asked once for each, and the answer is kept.
        device: where networks are compressed and counted.
        """
        self._splits, self._device = splits, device
        self._train = splits.train.tensors(device)
        self._trained = cache(trained)
        self._teaching = cache(self._count_teaching)
        self._counted: dict[object, _Counted] = {}

    def plan(self, recipe: Recipe) -> Ledger:
        """The ledger of this recipe's trial after its last epoch, but for validation; torch's random state is kept.

        Raises:
            InvalidInput: its network cannot be built, or its file of weights is not this network's.
            Exception: whatever `trained` raises for a base or teacher that it cannot give.
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
        for passes in early:
            _charge(recipe, passes, ledger, examples)
        _charge(recipe, last, ledger, examples * (recipe.schedule.epochs - len(early)))
        return ledger

    def _network(self, recipe: Recipe, base: TrainedModel | None) -> _Counted:
        """The counts of a recipe's network, from an earlier recipe of the same one if there was any."""
        # All that an untrained network depends on. The seed draws its first weights, and ranks at random importance.
        start = (recipe.data, recipe.model, recipe.base, recipe.weights, recipe.seed)
        key = (start, recipe.compression, recipe.quantization)  # hashed in microseconds, unlike an id
        if key not in self._counted:
            self._counted[key] = self._count(recipe, base)
        return self._counted[key]

    def _count(self, recipe: Recipe, base: TrainedModel | None) -> _Counted:
        ledger = Ledger()
        # Seeding reaches every GPU. Where none is in use yet, asking for its state would start it.
        gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
        with torch.random.fork_rng(devices=gpus):
            torch.manual_seed(recipe.seed)
            state = TrainState(recipe, initial_network(recipe, base, self._splits, self._train[0]), self._train, ledger)
            passes = [state.cost]
            for epoch in range(2, recipe.compressed_from + 1):
                state.prepare(epoch, ledger)
                passes.append(state.cost)
        return _Counted(ledger.compression, tuple(passes))

    def _count_teaching(self, teacher: Recipe) -> float:
        """FLOPs of a teacher's forward pass over one image."""
        trained = self._trained(teacher)
        if trained.soft_labels is not None:
            return trained.soft_labels.flops
        model = rebuild(teacher, self._splits, trained.weights).to(self._device)
        return forward_flops(model, self._train[0][:1])


def _charge(recipe: Recipe, passes: PassCost, ledger: Ledger, examples: int) -> None:
    """Charge training once on each of these examples, by the recipe's loop, perturbation and loss."""
    if isinstance(recipe.loop, FreeLoop):
        step, examples = passes.free_step(), examples * recipe.loop.replays
    else:
        step = passes.step(attack_of(recipe.perturbation), loss_of(recipe.loss))
    ledger.charge(step, examples, update_phase=update_phase(recipe))
