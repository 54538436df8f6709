"""One recipe from start to numbers, an epoch at a time: base → compress → train → evaluate, with its ledger."""

import copy
import math
import time
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from torch import nn

from trainables.assembly import Trained, assemble
from trainables.attacks import Attack, PgdAttack, warmed
from trainables.checkpoint import pack_model, pack_progress, read_newest, unpack_progress, write
from trainables.conditions import catastrophic_overfitting, diverged
from trainables.cost import Ledger, Lineage, forward_bitops, measure
from trainables.data import Splits
from trainables.distillation import SoftLoss, soft_labels
from trainables.errors import TemperError
from trainables.evaluation import Score, evaluate
from trainables.losses import loss_of
from trainables.models import load_compressed
from trainables.optimization import average_of, learning_rate, optimizer_of
from trainables.published import PublishedPgdAttack
from trainables.quantization import stored_bytes
from trainables.recipe import Evaluation, Recipe
from trainables.regime import FGSM, FreeLoop, PublishedPGD
from trainables.storage import Folder
from trainables.training import EpochResult, Trainer, free_epoch, train_epoch

Row = dict[str, float | int | None]


def set_conditions(threads: int) -> None:
    """What must be equal for equal numbers: the thread count, and deterministic kernels on a GPU."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


class Pipeline:
    """A recipe in progress. Call `step` until `finished`; save after any step, restore into a fresh one."""

    def __init__(
        self,
        recipe: Recipe,
        evaluation: Evaluation,
        splits: Splits,
        base: Trained | None,
        device: torch.device,
        teacher: Trained | None = None,
    ) -> None:
        """Build, compress and measure the network.

        Args:
            recipe: what to do.
            evaluation: how to score it; not part of the recipe.
            splits: train and validation images.
            base: the trained base; needed exactly if the recipe has one.
            device: where to compute.
            teacher: the trained teacher; needed exactly if the recipe has one that is not its base.

        Raises:
            TemperError: base or teacher is missing, or given without need.
        """
        for what, wanted, given in (("base", recipe.base, base), ("teacher", recipe.separate_teacher, teacher)):
            if (given is None) != (wanted is None):
                raise TemperError(f"recipe {recipe.id}: its {what} was {'not ' if given is None else ''}given")
        self.recipe, self.evaluation, self.device, self._splits = recipe, evaluation, device, splits
        self.ledger = Ledger()
        self._inherited: Lineage = {**(base.lineage if base else {}), **(teacher.lineage if teacher else {})}
        self.ledger.inherit(self._inherited)
        self.history: list[Row] = []
        self.reason: str | None = None
        self.score: Score | None = None
        self.score_as_published: Score | None = None
        self.device_seconds = 0.0
        started = time.perf_counter()
        torch.manual_seed(recipe.seed)
        self._generator = torch.Generator(device).manual_seed(recipe.seed)
        self._train, self._validation = splits.train.tensors(device), splits.validation.tensors(device)
        self._soft = self._learn_from(teacher or base)
        assembled = assemble(recipe, base, splits, self._train, self.ledger)
        self.model, self._dense_flops = assembled.model, assembled.dense_flops
        example = self._train[0][:1]
        self.cost, self._bitops = measure(self.model, example), forward_bitops(self.model, example)
        self._ready_to_train()
        self.device_seconds += time.perf_counter() - started

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    @property
    def finished(self) -> bool:
        """The schedule is complete, or training has failed (then `reason` says how)."""
        return self.reason is not None or self.epoch >= max(1, self.recipe.schedule.epochs)

    @property
    def deployed(self) -> nn.Module:
        """The weights that are scored and kept: the averaged ones if the schedule averages."""
        return self.model if self._average is None else self._average.module

    def step(self) -> Row:
        """Train one epoch, evaluate, and return the epoch's row; after the last epoch with the full score.

        Weights that are taken as they are (0 epochs) are only evaluated, in one step.
        """
        started = time.perf_counter()
        number = self.epoch + 1
        row: Row = {"epoch": number, "loss": None, "learning_rate": None, "train_accuracy": None}
        row |= {"clean_accuracy": None, "robust_accuracy": None}
        if self.recipe.schedule.epochs:
            result = self._train_epoch()
            self.reason = diverged(result.loss, number)
            row |= {"learning_rate": result.learning_rate, "train_accuracy": result.accuracy}
            row["loss"] = None if result.diverged else result.loss
        if self.reason is None:
            row |= self._score_epoch(number)
        row |= {
            "train_flops": self.ledger.marginal,
            "end_to_end_flops": self.ledger.end_to_end,
            "seconds": time.perf_counter() - started,
        }
        self.history.append(row)
        if self.reason is None:
            examples = min(self.evaluation.progress_examples, len(self._validation[1]))
            recipe = self.recipe
            self.reason = catastrophic_overfitting(self.history, recipe.perturbation, recipe.loop, examples=examples)
        self.device_seconds += time.perf_counter() - started
        return row

    def metrics(self) -> dict[str, float]:
        """The final numbers. Raises TemperError before the schedule is complete."""
        if self.score is None or self.reason is not None or not self.finished:
            raise TemperError(f"recipe {self.recipe.id}: has no final numbers yet")
        return {
            "robust_accuracy": self.score.robust_accuracy,
            "robust_accuracy_stderr": self.score.robust_standard_error,
            "clean_accuracy": self.score.clean_accuracy,
            **self._as_published(),
            "train_flops": self.ledger.marginal,
            "end_to_end_flops": self.ledger.end_to_end,
            **{f"flops_{phase}": flops for phase, flops in self.ledger.as_dict().items()},
            "inference_macs": round(self.cost.forward / 2),
            "inference_bitops": self._bitops,
            "mac_ratio": self.cost.forward / self._dense_flops,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "model_bytes": stored_bytes(self.deployed),
            "device_seconds": self.device_seconds,
            "epochs": self.recipe.schedule.epochs,
            "kept_epoch": self._best_epoch if self.recipe.keep == "best" else self.epoch,
        }

    def _as_published(self) -> dict[str, float]:
        score = self.score_as_published
        return {} if score is None else {"robust_accuracy_as_published": score.robust_accuracy}

    def trained(self, *, teaches: bool = False) -> Trained:
        """The result, for recipes that build on this one: the weights of the epoch that the recipe keeps.

        Args:
            teaches: with the soft labels of these weights, so that no student need compute them.
        """
        weights = self._best_weights if self.recipe.keep == "best" else pack_model(self.deployed)
        lineage = {**self._inherited, self.recipe.id: self.ledger.own(self._inherited)}
        labels = soft_labels(self.recipe, weights, self._splits, self._train[0]) if teaches else None
        return Trained(weights, lineage, labels)

    def save(self, folder: Folder) -> None:
        """Write a checkpoint of the epochs done so far below `folder`; the one before the last is dropped."""
        state: dict[str, Any] = {
            "history": self.history,
            "ledger": self.ledger.as_dict(),
            "reason": self.reason,
            "device_seconds": self.device_seconds,
            "best_epoch": self._best_epoch,
        }
        files = {
            "weights.safetensors": pack_model(self.model),
            "best.safetensors": self._best_weights,
            "optimizer.safetensors": pack_progress(self.model, self._optimizer, self._generator),
        }
        if self._average is not None:
            files["average.safetensors"] = pack_model(self._average.module)
        write(folder, self.epoch, files, state)

    def restore(self, folder: Folder) -> None:
        """Continue from the newest whole checkpoint below `folder`; from the start if there is none."""
        found = read_newest(folder)
        if found is None:
            return
        files, state = found
        load_compressed(self.model, load_tensors(files["weights.safetensors"])).to(self.device)
        self._ready_to_train()
        unpack_progress(files["optimizer.safetensors"], self.model, self._optimizer, self._generator)
        if self._average is not None:
            load_compressed(self._average.module, load_tensors(files["average.safetensors"])).to(self.device)
            self._average.n_averaged.fill_(1)  # at 0, its next update would copy instead of average
        self.history = list(state["history"])
        self.ledger = Ledger.from_dict(state["ledger"])
        self.reason = state["reason"]
        self.device_seconds = float(state["device_seconds"])
        self._best_epoch, self._best_weights = int(state["best_epoch"]), files["best.safetensors"]
        if self.finished and self.reason is None:
            self._score_result(Ledger())

    def _learn_from(self, teacher: Trained | None) -> SoftLoss | None:
        """The teacher's soft labels, computed here only if they were not before; charged in either case."""
        recipe = self.recipe
        if recipe.distillation is None or recipe.teacher is None or teacher is None:
            return None
        labels = teacher.soft_labels or soft_labels(recipe.teacher, teacher.weights, self._splits, self._train[0])
        self.ledger.add("distillation", labels.flops, len(self._train[1]))
        return SoftLoss.of(recipe.distillation, labels, self.device)

    def _ready_to_train(self) -> None:
        """Optimizer and average for the network as it is now; nothing is best yet."""
        self._optimizer = optimizer_of(self.model, self.recipe.schedule)
        self._average = average_of(self.model, self.recipe.schedule)
        self._best_epoch, self._best_weights = 0, b""

    def _train_epoch(self) -> EpochResult:
        recipe, schedule = self.recipe, self.recipe.schedule
        replays = recipe.loop.replays if isinstance(recipe.loop, FreeLoop) else 1
        batches = math.ceil(len(self._train[1]) / schedule.batch_size) * replays
        first, total = self.epoch * batches, schedule.epochs * batches
        average = self._average
        trainer = Trainer(
            model=self.model,
            optimizer=self._optimizer,
            rate=lambda step: learning_rate(schedule, step, total),
            after_step=lambda: None if average is None else average.update_parameters(self.model),
            augmentation=recipe.augmentation,
            generator=self._generator,
            cost=self.cost,
            ledger=self.ledger,
            update_phase="base" if recipe.is_ordinary_pretraining else "update",
        )
        x, y = self._train
        size = schedule.batch_size
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

    def _score_epoch(self, number: int) -> Row:
        """Accuracies after an epoch, by the study's progress protocol; after the last one the result's full score."""
        protocol = self.evaluation
        attack = PgdAttack(norm=protocol.norm, epsilon=protocol.epsilon, steps=protocol.progress_steps)
        score = self._evaluate(self.deployed, attack, protocol.progress_examples, self.ledger)
        best = self.history[self._best_epoch - 1]["robust_accuracy"] if self._best_epoch else None
        if best is None or score.robust_accuracy > best:
            self._best_epoch, self._best_weights = number, pack_model(self.deployed)
        if number >= self.recipe.schedule.epochs:
            self._score_result(self.ledger)
        return {"clean_accuracy": score.clean_accuracy, "robust_accuracy": score.robust_accuracy}

    def _score_result(self, ledger: Ledger) -> None:
        """The full score; of a recipe that trains as the published study did, by that study's attack as well."""
        protocol = self.evaluation
        model = self.deployed
        if self.recipe.keep == "best":
            model = load_compressed(copy.deepcopy(model), load_tensors(self._best_weights)).to(self.device)
        attack = PgdAttack(norm=protocol.norm, epsilon=protocol.epsilon, steps=protocol.steps)
        self.score = self._evaluate(model, attack, protocol.examples, ledger)
        if isinstance(self.recipe.perturbation, PublishedPGD):
            published = PublishedPgdAttack(epsilon=protocol.epsilon, steps=protocol.steps)
            self.score_as_published = self._evaluate(model, published, protocol.examples, ledger)

    def _evaluate(self, model: nn.Module, attack: Attack, examples: int | None, ledger: Ledger) -> Score:
        x, y = self._validation
        size = self.evaluation.batch_size
        return evaluate(model, x[:examples], y[:examples], attack, batch_size=size, cost=self.cost, ledger=ledger)


def run(
    recipe: Recipe, evaluation: Evaluation, splits: Splits, device: torch.device, base: Trained | None = None
) -> Pipeline:
    """Run a recipe to its end in this process; first what it builds on, each once, but for a base that is given."""
    given = {} if recipe.base is None or base is None else {recipe.base.id: base}
    return _run(recipe, evaluation, splits, device, given)


def _run(
    recipe: Recipe, evaluation: Evaluation, splits: Splits, device: torch.device, done: dict[str, Trained]
) -> Pipeline:
    """Run a recipe; `done` holds what was trained before, by id, and is added to."""
    teacher = recipe.separate_teacher
    for ancestor in (recipe.base, teacher):
        if ancestor is not None and ancestor.id not in done:
            done[ancestor.id] = _run(ancestor, evaluation, splits, device, done).trained()
    pipeline = Pipeline(
        recipe,
        evaluation,
        splits,
        done[recipe.base.id] if recipe.base else None,
        device,
        done[teacher.id] if teacher else None,
    )
    while not pipeline.finished:
        pipeline.step()
    return pipeline
