"""One recipe from start to numbers, an epoch at a time: base → compress → train → evaluate, with its ledger."""

import time
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.attacks import PgdAttack, attack_of
from trainables.checkpoint import read_newest, write
from trainables.cost import Ledger, measure
from trainables.data import Splits
from trainables.errors import TemperError
from trainables.evaluation import Score, evaluate
from trainables.models import build, load_compressed
from trainables.pruning import prune_channels
from trainables.recipe import Evaluation, Recipe
from trainables.storage import Folder
from trainables.training import optimizer_of, train_epoch

Row = dict[str, float | int | None]


@dataclass(frozen=True)
class Trained:
    """A finished model, to start other recipes from: weights as safetensors bytes, and what they cost."""

    weights: bytes
    ledger: dict[str, float]


def set_conditions(threads: int) -> None:
    """What must be equal for equal numbers: the thread count, and deterministic kernels on a GPU."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


class Pipeline:
    """A recipe in progress. Call `step` until `finished`; save after any step, restore into a fresh one."""

    def __init__(
        self, recipe: Recipe, evaluation: Evaluation, splits: Splits, base: Trained | None, device: torch.device
    ) -> None:
        """Build, compress and measure the network.

        Args:
            recipe: what to do.
            evaluation: how to score it; not part of the recipe.
            splits: train and validation images.
            base: the trained base; needed exactly if the recipe has one.
            device: where to compute.

        Raises:
            TemperError: the base is missing, or given without need.
        """
        if (base is None) != (recipe.base is None):
            raise TemperError(f"recipe {recipe.id}: its base was {'not ' if base is None else ''}given")
        self.recipe, self.evaluation, self.device = recipe, evaluation, device
        self.ledger = Ledger()
        self.history: list[Row] = []
        self.reason: str | None = None
        self.score: Score | None = None
        self.device_seconds = 0.0
        started = time.perf_counter()
        torch.manual_seed(recipe.seed)
        self._generator = torch.Generator(device).manual_seed(recipe.seed)
        self._train = _tensors(splits.train.images, splits.train.labels, device)
        self._validation = _tensors(splits.validation.images, splits.validation.labels, device)
        self.model = self._start(base).to(device)
        self._example = self._train[0][:1]
        self._compress()
        self.cost = measure(self.model, self._example)
        self._optimizer = optimizer_of(self.model, recipe.schedule)
        self.device_seconds += time.perf_counter() - started

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    @property
    def finished(self) -> bool:
        """The schedule is complete, or training diverged (then `reason` says so)."""
        return self.reason is not None or self.epoch >= self.recipe.schedule.epochs

    def step(self) -> Row:
        """Train one epoch, evaluate, and return the epoch's row; after the last epoch with the full score."""
        started = time.perf_counter()
        result = train_epoch(
            self.model,
            self._optimizer,
            *self._train,
            attack_of(self.recipe.perturbation),
            schedule=self.recipe.schedule,
            epoch=self.epoch,
            generator=self._generator,
            cost=self.cost,
            ledger=self.ledger,
            update_phase="base" if self.recipe.is_ordinary_pretraining else "update",
        )
        number = self.epoch + 1
        if result.diverged:
            self.reason = f"diverged: the training loss became {result.loss} in epoch {number}"
        else:
            self.score = self._evaluate(last=number == self.recipe.schedule.epochs)
        seconds = time.perf_counter() - started
        self.device_seconds += seconds
        row: Row = {
            "epoch": number,
            "loss": None if result.diverged else result.loss,
            "learning_rate": result.learning_rate,
            "clean_accuracy": None if result.diverged or self.score is None else self.score.clean_accuracy,
            "robust_accuracy": None if result.diverged or self.score is None else self.score.robust_accuracy,
            "train_flops": self.ledger.marginal,
            "end_to_end_flops": self.ledger.end_to_end,
            "seconds": seconds,
        }
        self.history.append(row)
        return row

    def metrics(self) -> dict[str, float]:
        """The final numbers. Raises TemperError before the schedule is complete."""
        if self.score is None or self.reason is not None or not self.finished:
            raise TemperError(f"recipe {self.recipe.id}: has no final numbers yet")
        tensors = self.model.state_dict().values()
        return {
            "robust_accuracy": self.score.robust_accuracy,
            "robust_accuracy_stderr": self.score.robust_standard_error,
            "clean_accuracy": self.score.clean_accuracy,
            "train_flops": self.ledger.marginal,
            "end_to_end_flops": self.ledger.end_to_end,
            **{f"flops_{phase}": flops for phase, flops in self.ledger.as_dict().items()},
            "inference_macs": round(self.cost.forward / 2),
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "model_bytes": sum(tensor.numel() * tensor.element_size() for tensor in tensors),
            "device_seconds": self.device_seconds,
            "epochs": self.epoch,
        }

    def trained(self) -> Trained:
        """The weights as they are now, for recipes that start from this one."""
        return Trained(save_tensors(_contiguous(self.model.state_dict())), self.ledger.as_dict())

    def save(self, folder: Folder) -> None:
        """Write a checkpoint of the epochs done so far below `folder`; the one before the last is dropped."""
        buffers = {
            f"momentum.{name}": self._optimizer.state[parameter]["momentum_buffer"]
            for name, parameter in self.model.named_parameters()
            if "momentum_buffer" in self._optimizer.state[parameter]
        }
        state: dict[str, Any] = {
            "history": self.history,
            "ledger": self.ledger.as_dict(),
            "reason": self.reason,
            "device_seconds": self.device_seconds,
        }
        files = {
            "weights.safetensors": self.trained().weights,
            "optimizer.safetensors": save_tensors(_contiguous({**buffers, "generator": self._generator.get_state()})),
        }
        write(folder, self.epoch, files, state)

    def restore(self, folder: Folder) -> None:
        """Continue from the newest whole checkpoint below `folder`; from the start if there is none."""
        found = read_newest(folder)
        if found is None:
            return
        files, state = found
        load_compressed(self.model, load_tensors(files["weights.safetensors"]))
        self.model.to(self.device)
        self._optimizer = optimizer_of(self.model, self.recipe.schedule)
        optimizer = load_tensors(files["optimizer.safetensors"])
        for name, parameter in self.model.named_parameters():
            if f"momentum.{name}" in optimizer:
                buffer = optimizer[f"momentum.{name}"].to(self.device)
                self._optimizer.state[parameter]["momentum_buffer"] = _like(buffer, parameter)
        self._generator.set_state(optimizer["generator"])
        self.history = list(state["history"])
        self.ledger = Ledger.from_dict(state["ledger"])
        self.reason = state["reason"]
        self.device_seconds = float(state["device_seconds"])
        if self.finished and self.reason is None:
            self.score = self._evaluate(last=True, ledger=Ledger())

    def _start(self, base: Trained | None) -> nn.Module:
        shape = tuple(self._train[0].shape[1:])
        model = build(self.recipe.model, self.recipe.data.name, shape)
        if base is not None:
            load_compressed(model, load_tensors(base.weights))
            self.ledger.inherit(Ledger.from_dict(base.ledger))
        return model

    def _compress(self) -> None:
        if self.recipe.compression.method == "channel_pruning":
            with FlopCounterMode(display=False) as counter:
                prune_channels(self.model, self.recipe.compression, self._example)
            self.ledger.add("compression", counter.get_total_flops())

    def _evaluate(self, *, last: bool, ledger: Ledger | None = None) -> Score:
        protocol = self.evaluation
        steps, examples = (
            (protocol.steps, protocol.examples) if last else (protocol.progress_steps, protocol.progress_examples)
        )
        return evaluate(
            self.model,
            self._validation[0][:examples],
            self._validation[1][:examples],
            PgdAttack(epsilon=protocol.epsilon, steps=steps),
            batch_size=protocol.batch_size,
            cost=self.cost,
            ledger=self.ledger if ledger is None else ledger,
        )


def run(
    recipe: Recipe, evaluation: Evaluation, splits: Splits, device: torch.device, base: Trained | None = None
) -> Pipeline:
    """Run a recipe to its end in this process, its base first if it is not given."""
    if recipe.base is not None and base is None:
        base = run(recipe.base, evaluation, splits, device).trained()
    pipeline = Pipeline(recipe, evaluation, splits, base, device)
    while not pipeline.finished:
        pipeline.step()
    return pipeline


def _tensors(images: Any, labels: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tensors that share memory with the arrays where they can (on CPU); nothing here writes to them."""
    return _view(images).to(device), _view(labels).to(device)


def _view(array: Any) -> Tensor:
    # Arrays out of Ray's object store are read-only and shared by every trial on the node; torch has no read-only
    # tensors and warns once. The pipeline never writes to its examples.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """safetensors stores row-major tensors only."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _like(buffer: Tensor, parameter: Tensor) -> Tensor:
    """A buffer in its parameter's memory layout, so that a restored step runs the same kernels."""
    return torch.empty_like(parameter).copy_(buffer).detach()
