"""Runs recipes as trials of Ray Tune; this is the only module of trainables/ that knows Ray."""

import gc
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import ray
import torch
from ray import tune

from trainables.checkpoints.recovery import recover
from trainables.compute.lost_work import LostWork
from trainables.data.splits import Splits
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.ending import FINISHED, Ending, EndKind
from trainables.execution.memory import MICRO_BATCHES, limit_memory, out_of_memory
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.execution.report import Report
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder
from trainables.user_modules import go_to_work


@dataclass(frozen=True)
class Allotment:
    """The part of a node that a trial may use.

    Attributes:
        threads: number of CPU threads.
        gpu: number of GPUs, or a share of one, which is also the share of its memory that the process may take.
        device: the device to compute on, `cpu` or `cuda`.
    """

    threads: int
    gpu: float
    device: str


@dataclass(frozen=True)
class Setting:
    """The settings that all trials of a run share.

    Attributes:
        evaluation: how every recipe is scored.
        trials: the run's trials/ folder.
        bases: ids of the recipes that are the base or the teacher of others.
        teachers: ids of the recipes that are the teacher of others.
        shares: by role, what a trial of that role may use of a node.
    """

    evaluation: ScoringProtocol
    trials: Folder
    bases: frozenset[str]
    teachers: frozenset[str]
    shares: Mapping[str, Allotment]


class RecipeTrainable(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """A trial of one recipe; each of Tune's iterations trains one epoch.

    Checkpoints are written to the run directory and not through Tune, so that a retry in a new process and a resumed
    search both continue from them. A reused actor builds everything anew for its next recipe. It does so in the first
    step and not before, so that an error there is retried, and a hang there is noticed, as in any other epoch.
    """

    def setup(self, config: dict[str, Any], setting: Setting, splits: Splits, cache: Any) -> None:
        """Receives the first recipe and, from `tune.with_parameters`, what all trials share.

        Args:
            config: `recipe`, the recipe as plain data, and its `role`.
            setting: the settings of the run.
            splits: the data of the run.
            cache: keeps finished bases and teachers: `put(id, TrainedModel)`, `take(id, recover)`.
        """
        go_to_work()
        gc.freeze()  # what was imported stays: each `_release` would go through it again, a quarter of a second a trial
        self._setting, self._splits, self._cache = setting, splits, cache
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Receives the next recipe in the same process, and frees what the last one held."""
        self._release()
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Trains one epoch and returns its report; the report of the last epoch holds the final numbers."""
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
        """Does nothing, because `step` has already written the checkpoint to the run directory."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Does nothing, because the first step reads the newest checkpoint of the run directory."""

    def _take(self, config: dict[str, Any]) -> None:
        self._share, self._recipe = self._setting.shares[config["role"]], Recipe.model_validate(config["recipe"])
        self._pipeline: Pipeline | None = None
        self._busy = 0.0

    def _start(self) -> None:
        """Builds and compresses the network, or reads it from its newest checkpoint."""
        set_conditions(self._share.threads)
        self._ancestors = self._fetch(self._recipe.base), self._fetch(self._recipe.separate_teacher)
        self._prepare()

    def _prepare(self, micro_batches: int = 1) -> None:
        """Begins an attempt: builds the pipeline and restores it from its newest checkpoint."""
        setting, (base, teacher) = self._setting, self._ancestors
        device, place = torch.device(self._share.device), setting.trials.child(self._recipe.id)
        limit_memory(device, self._share.gpu)
        pipeline = Pipeline(self._recipe, setting.evaluation, self._splits, base, device, teacher, micro_batches)
        pipeline.restore(place.child("checkpoint"))
        self._pipeline = pipeline
        self._attempts = LostWork.next(place.child("attempts"))

    def _train(self) -> Ending | None:
        """Trains one epoch and writes its checkpoint; where memory runs out, tries once more in micro-batches.

        Returns:
            The trial's ending where memory ran out in micro-batches as well, else None.
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
        """Frees the memory that the last pipeline held, on the GPU as well."""
        self._pipeline = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _fetch(self, ancestor: Recipe | None) -> Any:
        """Gets a finished base or teacher from the cache, or from its checkpoint where the cache has lost it."""
        if ancestor is None:
            return None
        setting = self._setting
        device = torch.device(self._share.device)
        again = partial(recover, ancestor, setting.trials, self._splits, setting.teachers, device)
        return self._cache.take(ancestor.id, again)

    def _final(self, pipeline: Pipeline) -> Report:
        """Makes the report of the last epoch; a finished base or teacher is put into the cache for other recipes."""
        row = pipeline.history[-1]
        if pipeline.ending is not None or pipeline.score is None:
            return Report(row=row, busy_seconds=0.0, ending=pipeline.ending)
        name = pipeline.recipe.id
        if name in self._setting.bases:
            trained = pipeline.trained(teaches=name in self._setting.teachers)
            self._cache.put(name, trained)
        correct = pipeline.score.robust
        if pipeline.score.kept is not None:
            with suppress(OSError):  # a full disk: images to look at are worth no trial
                pipeline.score.kept.write(self._setting.trials.child(name))
        return Report(
            row=row,
            busy_seconds=0.0,
            ending=FINISHED,
            metrics=self._metrics(pipeline),
            robust_correct=np.packbits(correct).tobytes().hex(),
            examples=len(correct),
        )

    def _metrics(self, pipeline: Pipeline) -> dict[str, float]:
        """Returns the pipeline's metrics with the lost work added; of a shared card's energy, the trial's share."""
        metrics = pipeline.metrics()
        lost = self._attempts.lost_flops(pipeline.history, pipeline.inherited_flops, pipeline.prepared_flops)
        metrics["spent_flops"] = metrics["train_flops"] + lost
        if "energy_joules" in metrics:
            metrics["energy_joules"] *= min(1.0, self._share.gpu)
        return metrics
