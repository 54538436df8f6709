"""A recipe as a Ray Tune trainable. The only module here that knows Ray."""

import gc
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ray
import torch
from ray import tune

from trainables.checkpoints.recovery import recover
from trainables.compute.lost_work import LostWork
from trainables.data.splits import Splits
from trainables.evaluation.config import Evaluation
from trainables.execution.ending import FINISHED, Ending, EndKind
from trainables.execution.memory import MICRO_BATCHES, limit_memory, out_of_memory
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.execution.report import Report
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder


@dataclass(frozen=True)
class Allotment:
    """What Ray gives a trial.

    Attributes:
        threads: CPU threads.
        gpu: GPUs, or a share of one, which is also the share of its memory that the process may take.
        device: what to compute on, `cpu` or `cuda`.
    """

    threads: int
    gpu: float
    device: str


@dataclass(frozen=True)
class Setting:
    """What all trials of a run share.

    Attributes:
        trials: the run's trials/ folder.
        bases: ids of the recipes that others start from or learn from.
        teachers: ids of those that others learn from.
        shares: what trials of each role get.
    """

    evaluation: Evaluation
    trials: Folder
    bases: frozenset[str]
    teachers: frozenset[str]
    shares: Mapping[str, Allotment]


class RecipeTrainable(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """One Tune iteration is one epoch.

    Checkpoints go to the run directory and not through Tune, so that a retry in a fresh process and a resumed search
    continue from the same place. A reused actor builds everything anew. It does so in its first step: what goes wrong
    there is tried again, and one that hangs there is found out, as in any epoch.
    """

    def setup(self, config: dict[str, Any], setting: Setting, splits: Splits, cache: Any) -> None:
        """Args as `tune.with_parameters` delivers them out of the object store.

        Args:
            config: the recipe, as plain data.
            setting: of the run.
            splits: its data.
            cache: keeps bases and teachers: `put(id, TrainedModel)`, `take(id, recover)`.
        """
        self._setting, self._splits, self._shelf = setting, splits, cache
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next recipe in the same process."""
        self._release()
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch; the last one's result carries the final numbers."""
        started = time.perf_counter()
        if self._pipeline is None:
            self._start()
        assert self._pipeline is not None
        failure = None if self._pipeline.finished else self._train()
        pipeline: Pipeline = self._pipeline
        if failure is not None:
            report = Report(row={}, busy_seconds=0.0, ending=failure)
        elif pipeline.finished:
            report = self._final(pipeline)
        else:
            report = Report(row=pipeline.history[-1], busy_seconds=0.0)
        self._busy += time.perf_counter() - started
        node = ray.get_runtime_context().get_node_id()
        return replace(report, busy_seconds=self._busy, node=node).as_result()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing for Tune to keep: `step` has written the checkpoint to the run directory."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing to load: the first step continues from the run directory."""

    def _take(self, config: dict[str, Any]) -> None:
        self._share, self._recipe = self._setting.shares[config["role"]], Recipe.model_validate(config["recipe"])
        self._pipeline: Pipeline | None = None
        self._busy = 0.0

    def _start(self) -> None:
        """Build and compress the network, or read it from its newest checkpoint."""
        set_conditions(self._share.threads)
        self._ancestors = self._fetch(self._recipe.base), self._fetch(self._recipe.separate_teacher)
        self._prepare()

    def _prepare(self, micro_batches: int = 1) -> None:
        """Begin an attempt: build the pipeline, as its newest checkpoint has it."""
        setting, (base, teacher) = self._setting, self._ancestors
        device, place = torch.device(self._share.device), setting.trials.child(self._recipe.id)
        limit_memory(device, self._share.gpu)
        pipeline = Pipeline(self._recipe, setting.evaluation, self._splits, base, device, teacher, micro_batches)
        pipeline.restore(place.child("checkpoint"))
        self._pipeline = pipeline
        self._attempts = LostWork.next(place.child("attempts"))

    def _train(self) -> Ending | None:
        """Train one epoch and keep it: where memory runs out, once more, in micro-batches.

        Returns:
            How the trial ends where that was in vain too, else None.
        """
        while True:
            pipeline = self._pipeline
            assert pipeline is not None
            self._attempts.begin(pipeline.epoch + 1)
            try:
                pipeline.step()
                pipeline.save(self._setting.trials.child(pipeline.recipe.id, "checkpoint"))
                return None
            except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
                failure = out_of_memory(error)
                if failure is None:
                    raise
            if pipeline.micro_batches > 1:
                reason = f"{failure}, in {pipeline.micro_batches} micro-batches as well"
                return Ending(EndKind.OUT_OF_MEMORY, reason)
            del pipeline
            self._release()
            self._prepare(MICRO_BATCHES)

    def _release(self) -> None:
        """Give back what the last pipeline held, a GPU's memory too."""
        self._pipeline = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _fetch(self, ancestor: Recipe | None) -> Any:
        """A finished recipe off the cache, or from its checkpoint where the cache has lost it."""
        if ancestor is None:
            return None
        setting = self._setting
        return self._shelf.take(ancestor.id, lambda: recover(ancestor, setting.trials, self._splits, setting.teachers))

    def _final(self, pipeline: Pipeline) -> Report:
        """The last epoch's report; one that finished leaves its weights to those that build on it."""
        row = pipeline.history[-1]
        if pipeline.ending is not None or pipeline.score is None:
            return Report(row=row, busy_seconds=0.0, ending=pipeline.ending)
        name = pipeline.recipe.id
        if name in self._setting.bases:
            trained = pipeline.trained(teaches=name in self._setting.teachers)
            self._shelf.put(name, trained)
        correct = pipeline.score.robust
        return Report(
            row=row,
            busy_seconds=0.0,
            ending=FINISHED,
            metrics=self._metrics(pipeline),
            robust_correct=np.packbits(correct).tobytes().hex(),
            examples=len(correct),
        )

    def _metrics(self, pipeline: Pipeline) -> dict[str, float]:
        """The pipeline's, with the work that was lost on the way, and a share of a shared card's energy."""
        metrics = pipeline.metrics()
        lost = self._attempts.lost_flops(pipeline.history, pipeline.inherited_flops, pipeline.prepared_flops)
        metrics["spent_flops"] = metrics["train_flops"] + lost
        if "energy_joules" in metrics:
            metrics["energy_joules"] *= min(1.0, self._share.gpu)
        return metrics
