"""Runs one recipe from its start to its numbers, an epoch at a time: base → compress → train → evaluate."""

import copy
import dataclasses
import math
import time
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from trainables.attacks.registry import attack_of
from trainables.checkpoints.checkpoint import read_newest, write
from trainables.checkpoints.tensors import pack_model
from trainables.checkpoints.trained_model import TrainedModel, inherited, rebuild, soft_labels
from trainables.compression.size import stored_bytes
from trainables.compute.device_usage import DeviceUsage, meter_of
from trainables.compute.flops import PassCost
from trainables.compute.ledger import Ledger
from trainables.data.splits import Splits, tensor_of
from trainables.errors import TemperError
from trainables.evaluation.chance import chance_error
from trainables.evaluation.config import ScoringProtocol
from trainables.evaluation.score import Score, Scorer
from trainables.execution.divergence import catastrophic_overfitting, diverged
from trainables.execution.ending import Ending, EndKind, State
from trainables.losses.distillation import SoftLoss
from trainables.models.weights import load_compressed
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder
from trainables.training.batches import schedule_images
from trainables.training.initial_network import initial_network
from trainables.training.train_state import TrainState

Row = dict[str, float | int | None]


def set_conditions(threads: int) -> None:
    """Sets what must be equal for numbers to be equal: the thread count, and deterministic kernels on a GPU."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


class Pipeline:
    """A recipe in progress; call `step` until it is `finished`.

    It can be saved after any step, and restored into a new pipeline of the same recipe.
    """

    def __init__(
        self,
        recipe: Recipe,
        evaluation: ScoringProtocol,
        splits: Splits,
        base: TrainedModel | None,
        device: torch.device,
        teacher: TrainedModel | None = None,
        micro_batches: int = 1,
    ) -> None:
        """Builds and compresses the network, and counts the FLOPs of its passes.

        Args:
            recipe: the recipe to run.
            evaluation: how it is scored, which is not part of the recipe.
            splits: train and validation images.
            base: the trained base; it must be given exactly if the recipe has a base.
            device: device to compute on.
            teacher: the trained teacher; it must be given exactly if the recipe has one that is not its base.
            micro_batches: number of parts that each batch is trained and scored in, where memory is short; see
                `trainables.training.epoch.Trainer`. It is not part of the recipe, but of its history, from which it is
                restored.

        Raises:
            TemperError: base or teacher is missing, or given without need.
        """
        for what, wanted, given in (("base", recipe.base, base), ("teacher", recipe.separate_teacher, teacher)):
            if (given is None) != (wanted is None):
                raise TemperError(f"recipe {recipe.id}: its {what} was {'not ' if given is None else ''}given")
        self.recipe, self.device, self._splits = recipe, device, splits
        self._evaluation = evaluation
        self.ledger = Ledger()
        self._inherited = inherited(base, teacher)
        self.ledger.inherit(self._inherited)
        self.history: list[Row] = []
        self.ending: Ending | None = None  # set only where training ended early
        self.score: Score | None = None
        self._own_score: Score | None = None  # the score under the attack that it trains on, where that is asked for
        self.usage = DeviceUsage(meter_of(device))
        self._best_epoch, self._best_weights = 0, b""  # there is none yet
        self.inherited_flops = self.ledger.end_to_end
        with self.usage.counted():
            torch.manual_seed(recipe.seed)
            train = splits.train.tensors(device)
            self._scorer = Scorer(evaluation, *splits.validation.tensors(device))
            self._divide(micro_batches)
            soft = self._learn_from(teacher or base, train[0])
            initial = initial_network(recipe, base, splits, train[0])
            self._state = TrainState(recipe, initial, train, self.ledger, soft)
        self.prepared_flops = self.ledger.end_to_end - self.inherited_flops

    @property
    def reason(self) -> str | None:
        """The reason why training ended early; None if it did not."""
        return None if self.ending is None else self.ending.detail

    @property
    def epoch(self) -> int:
        """Number of epochs done."""
        return len(self.history)

    @property
    def finished(self) -> bool:
        """Whether the schedule is complete, or training has failed; then `ending` says how."""
        return self.ending is not None or self.epoch >= max(1, self.recipe.schedule.epochs)

    @property
    def model(self) -> nn.Module:
        """The network as it is now, with the weights in training."""
        return self._state.model

    @property
    def deployed(self) -> nn.Module:
        """The network with the weights that are scored and kept: the averaged ones if the schedule averages."""
        return self._state.deployed

    @property
    def cost(self) -> PassCost:
        """FLOPs per pass of the network as it is now."""
        return self._state.cost

    def step(self) -> Row:
        """Trains and evaluates one epoch, and returns its row of the history; the last step measures the full score.

        Weights that are taken as they are (0 epochs) are only evaluated, in one step.
        """
        with self.usage.counted():
            return self._step()

    def _step(self) -> Row:
        started, spent = time.perf_counter(), self.ledger.end_to_end + self.ledger.validation
        number = self.epoch + 1
        row: Row = {"epoch": number, "loss": None, "learning_rate": None, "train_accuracy": None}
        row["micro_batches"] = self.micro_batches
        row |= {"clean_accuracy": None, "robust_accuracy": None}
        if number > 1:
            self._state.prepare(number, self.ledger)
        before = self.ledger.marginal, self.ledger.end_to_end
        if self.recipe.schedule.epochs:
            result = self._state.train_epoch(number, self.ledger, self.micro_batches)
            self._end(EndKind.DIVERGED, diverged(result.loss, number))
            row |= {"learning_rate": result.learning_rate, "train_accuracy": result.accuracy}
            row["loss"] = None if result.diverged else result.loss
        if self.ending is None:
            row |= self._score_epoch(number)
        left = self._epochs_left(number)  # each of which will cost as much as this one
        row |= {
            "planned_train_flops": self.ledger.marginal + left * (self.ledger.marginal - before[0]),
            "planned_end_to_end_flops": self.ledger.end_to_end + left * (self.ledger.end_to_end - before[1]),
            "train_flops": self.ledger.marginal,
            "end_to_end_flops": self.ledger.end_to_end,
            "flops_ancestors": self.ledger.ancestors,
            "epoch_flops": self.ledger.end_to_end + self.ledger.validation - spent,
            "seconds": time.perf_counter() - started,
        }
        self.history.append(row)
        if self.ending is None:
            recipe, examples = self.recipe, self._scorer.progress_examples
            alike = self.history[recipe.compressed_from - 1 :]  # earlier accuracies changed by pruning as well
            overfitted = catastrophic_overfitting(alike, recipe.perturbation, recipe.loop, examples=examples)
            self._end(EndKind.OVERFITTED, overfitted)
        return row

    def _epochs_left(self, number: int) -> float:
        """Returns how many epochs are left after one; the last one, which may end early, counts by its images."""
        examples, schedule = len(self._splits.train), self.recipe.schedule
        return max(0.0, schedule_images(examples, schedule) / examples - number)

    def _end(self, kind: EndKind, reason: str | None) -> None:
        """Ends the recipe early, if there is a reason."""
        self.ending = None if reason is None else Ending(kind, reason)

    def metrics(self) -> dict[str, float]:
        """Returns the final numbers. Raises TemperError before the schedule is complete."""
        if self.score is None or self.ending is not None or not self.finished:
            raise TemperError(f"recipe {self.recipe.id}: has no final numbers yet")
        chance = self._scorer.chance_accuracy
        return {
            "robust_accuracy": self.score.robust_accuracy,
            "robust_accuracy_stderr": self.score.robust_standard_error,
            "clean_accuracy": self.score.clean_accuracy,
            "chance_accuracy": chance,
            "chance_accuracy_stderr": chance_error(chance, len(self.score.clean)),
            "answers_one_class": int(self.score.answers_one_class),
            "zero_gradient_share": self.score.zero_gradient_share,
            "nonfinite_gradients": self.score.nonfinite_gradients,
            **self._own_metric(),
            "train_flops": self.ledger.marginal,
            "end_to_end_flops": self.ledger.end_to_end,
            **{f"flops_{phase}": flops for phase, flops in self.ledger.as_dict().items()},
            "inference_macs": round(self.cost.forward / 2),
            "inference_bitops": self._state.bitops,
            "mac_ratio": self.cost.forward / self._state.dense_flops,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "model_bytes": stored_bytes(self.deployed, self._state.compressors),
            **self.usage.metrics(),
            "epochs": self.recipe.schedule.epochs,
            "micro_batches": self.micro_batches,
            "kept_epoch": self._best_epoch if self.recipe.keep == "best" else self.epoch,
        }

    def trained(self, *, teaches: bool = False) -> TrainedModel:
        """Returns the model with the weights of the kept epoch, for recipes that have this one as base or teacher.

        Args:
            teaches: add the soft labels of these weights, so that no student needs to compute them.
        """
        weights = self._best_weights if self.recipe.keep == "best" else pack_model(self.deployed)
        lineage = {**self._inherited, self.recipe.id: self.ledger.own(self._inherited)}
        images = self._splits.train.tensors(self.device)[0]
        labels = soft_labels(self.recipe, weights, self._splits, images) if teaches else None
        return TrainedModel(weights, lineage, labels)

    def save(self, folder: Folder) -> None:
        """Writes a checkpoint of the epochs done so far below `folder`, and keeps only this and the one before it."""
        state: dict[str, Any] = {
            "history": self.history,
            "ledger": self.ledger.as_dict(),
            "reason": self.reason,
            "ending": None if self.ending is None else self.ending.kind.value,
            "usage": self.usage.metrics(),
            "best_epoch": self._best_epoch,
        }
        files = self._state.files() | {"best.safetensors": self._best_weights}
        write(folder, self.epoch, files, state, lasting=self.finished)

    def restore(self, folder: Folder) -> None:
        """Continues from the newest undamaged checkpoint below `folder`; from the start if there is none."""
        found = read_newest(folder)
        if found is None:
            return
        files, state = found.files, found.state
        self.history = list(state["history"])
        self._divide(max(self.micro_batches, int(self.history[-1].get("micro_batches") or 1)))
        model = rebuild(self.recipe, self._splits, files["weights.safetensors"], epochs=self.epoch)
        self._state.load(files, model)
        self.ledger = Ledger.from_dict(state["ledger"])
        reason = state["reason"]  # `ending` is missing in runs of older versions
        self.ending = None if reason is None else Ending.of_record(state.get("ending"), State.PRUNED, reason)
        self.usage.restore(state["usage"])
        self._best_epoch, self._best_weights = int(state["best_epoch"]), files["best.safetensors"]
        if self.finished and self.ending is None:
            self._score_result(Ledger())

    def _divide(self, parts: int) -> None:
        """Makes training and scoring split each batch into so many parts from now on."""
        self.micro_batches = parts
        smaller = self._evaluation.model_copy(update={"batch_size": math.ceil(self._evaluation.batch_size / parts)})
        self._scorer = dataclasses.replace(self._scorer, protocol=smaller)

    def _score_epoch(self, number: int) -> Row:
        """Measures the progress score after an epoch, and after the last epoch the full score of the result as well."""
        score = self._scorer.progress(self.deployed, self.cost, self.ledger)
        best = self.history[self._best_epoch - 1]["robust_accuracy"] if self._best_epoch else None
        if number >= self.recipe.compressed_from and (best is None or score.robust_accuracy > best):
            self._best_epoch, self._best_weights = number, pack_model(self.deployed)
        if number >= self.recipe.schedule.epochs:
            self._score_result(self.ledger)
        return {"clean_accuracy": score.clean_accuracy, "robust_accuracy": score.robust_accuracy}

    def _score_result(self, ledger: Ledger) -> None:
        """Measures the full score, and the one under the attack that it trains on where that has its own metric."""
        model = self.deployed
        if self.recipe.keep == "best":
            model = load_compressed(copy.deepcopy(model), load_tensors(self._best_weights)).to(self.device)
        self.score = self._scorer.full(model, self.cost, ledger)
        perturbation, protocol = self.recipe.perturbation, self._evaluation
        if perturbation.own_metric is not None:
            attack = attack_of(perturbation.at(epsilon=protocol.epsilon, steps=protocol.steps))
            self._own_score = self._scorer.by(attack, model, self.cost, ledger)

    def _own_metric(self) -> dict[str, float]:
        name, score = self.recipe.perturbation.own_metric, self._own_score
        return {} if name is None or score is None else {name: score.robust_accuracy}

    def _learn_from(self, teacher: TrainedModel | None, images: Tensor) -> SoftLoss | None:
        """Makes the loss of the teacher's soft labels, and charges their FLOPs; they are computed only if missing."""
        recipe = self.recipe
        if recipe.distillation is None or recipe.teacher is None or teacher is None:
            return None
        labels = teacher.soft_labels or soft_labels(recipe.teacher, teacher.weights, self._splits, images)
        self.ledger.add("distillation", labels.flops, len(images))
        return SoftLoss.of(recipe.distillation, tensor_of(labels.logits).to(self.device))
