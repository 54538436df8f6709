"""Runs or resumes a study on Ray Tune, then derives the report, study.db and TensorBoard curves from its record."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from types import MappingProxyType

import optuna

from analysis.export.study_folder import require_modules
from analysis.run.extensions import Extension, Spent, read_extensions, write_extension
from analysis.run.sessions import hours_spent
from analysis.run.trials import read_run
from cluster.connection.session import IN_A_JOB, Target, session
from cluster.doctor.shared_storage import check_shared
from search.monitoring.hypervolume import Hypervolume
from search.monitoring.progress import Progress, Terminal
from search.monitoring.ray_metrics import Monitor, RayMetrics
from search.monitoring.tally import Tally
from search.monitoring.tensorboard import LiveCurves
from search.monitoring.user_listeners import user_listeners
from search.recipes.compressor_check import try_user_compressors
from search.recipes.finite_space import planned_recipes
from search.recipes.first_proposals import check_first
from search.recipes.fixed import FixedRecipes
from search.record.driver_session import driver_session
from search.record.lease import Lease
from search.record.recorder import Record
from search.remote.user_modules import try_shipped_copy, user_modules
from search.resume.ancestors import finished_ancestors
from search.resume.corrupt_files import corrupt_files
from search.resume.extension import check_extension, extended, spent_of
from search.resume.fingerprint import differences, fingerprint
from search.resume.history import RememberedTrial, next_order, remember
from search.running.budget import START
from search.running.capacity import capacity_of
from search.running.tuning import TUNE_STATE, tune_study
from search.samplers.warm_start import PastTrial
from search.study.loading import read_study
from search.study.study import Study
from trainables.checkpoints.trained_model import TrainedModel
from trainables.data.splits import Splits, load_splits
from trainables.errors import InvalidInput
from trainables.models.build import build
from trainables.models.weights import load_weights
from trainables.user_code import LISTENERS
from trainables.value_forms import counted


@dataclass(frozen=True)
class Timing:
    """How long a search took, and how much of that time its trials computed.

    Attributes:
        wall: seconds from the start of the command to the end of the last trial.
        slots: number of trials at once.
        busy: seconds for which trials kept slots busy, summed over slots.
        ended: number of recipes that ended in that time, without those from before a resume.
    """

    wall: float
    slots: int
    busy: float
    ended: int

    @property
    def orchestration(self) -> float:
        """Share of the slots' time in which no trial ran, 0–1: start-up, waiting, decisions."""
        return 1 - self.busy / (self.wall * self.slots)


def search(
    study: Study,
    lease: Lease,
    *,
    target: Target,
    command: str,
    started: float,
    terminal: Terminal,
    past_trials: Sequence[PastTrial] = (),
    check: Callable[[Splits], Sequence[str]] | None = None,
) -> Timing:
    """Run every recipe of a study into a new run directory.

    Args:
        study: the study to run.
        lease: holds the new run, from `open_run`.
        target: the cluster to run on.
        command: the command as it was typed, for the record.
        started: `time.perf_counter()` when the command began.
        terminal: prints lines and the status line.
        past_trials: proposals of earlier runs from which the sampler learns; they are recorded, so that a resumed
            search learns from them too.
        check: is given the data before Ray starts, and raises InvalidInput if the study's network would not work; what
            it returns stands in the report.

    Returns:
        How long it took.

    Raises:
        InvalidInput: the data is missing, the network does not fit it, there is no such cluster, a trial fits on no
            node, or the nodes do not share the storage. Nothing is written then.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    fixed = FixedRecipes.of(study)
    check_first(study, fixed)
    splits = load_splits(study.data)
    # A network or weights that do not fit the data are refused here, before every trial fails by them.
    model = build(study.model, splits.train.images.shape[1:], classes=splits.classes)
    if study.pretrained is not None:
        load_weights(model, study.pretrained)
    found = check(splits) if check is not None else ()

    def begin(record: Record) -> None:
        device = study.resources.of("proposed").device
        record.begin(
            study,
            fixed,
            command=command,
            data_fingerprint=splits.fingerprint(),
            device=device,
            past_trials=past_trials,
            found=found,
            class_names=splits.class_names,
        )

    return _run(
        study,
        fixed,
        lease,
        splits,
        begin,
        target=target,
        command=command,
        started=started,
        terminal=terminal,
        past_trials=past_trials,
    )


def resume(
    lease: Lease,
    *,
    target: Target,
    command: str,
    force: bool,
    started: float,
    terminal: Terminal,
    added: Extension | None = None,
    listeners: tuple[str, ...] | None = None,
) -> Timing:
    """Go on with a search whose driver was interrupted or killed, or whose budget is extended.

    Finished trials stay as they are; trials that ran continue from their checkpoints.

    Args:
        lease: holds the run.
        target: as for `search`.
        command: as for `search`.
        force: go on even if code, data or study have changed since the run began.
        started: as for `search`.
        terminal: as for `search`.
        added: what is added to the budget; None: nothing.
        listeners: the user's functions that make what is told of the search; None: those of the run.

    Returns:
        How long this driver took.

    Raises:
        InvalidInput: the folder is no run, code, data or study have changed, a checkpoint that is needed is gone, or
            what is added to the budget leaves nothing to spend.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = lease.run
    run = read_run(folder)
    study = read_study(folder)
    if listeners is not None:
        study = study.model_copy(update={LISTENERS: listeners})
    require_modules(folder, study, terminal.line)
    splits = load_splits(study.data)
    changed = differences(run.info["fingerprint"], fingerprint(study, splits.fingerprint()))
    if changed and not force:
        raise InvalidInput(f"{folder}: changed since it began: {', '.join(changed)}; --force goes on all the same")
    extensions = read_extensions(folder)
    if added is not None:
        extensions = (*extensions, replace(added, spent=spent_of(run)))
        check_extension(study, extensions, extensions[-1].spent)
    study = extended(study, extensions)
    fixed = FixedRecipes.of(study)
    if added is not None:
        extensions = (*extensions[:-1], replace(extensions[-1], planned=planned_recipes(study, fixed)))
    past = remember(run)
    trained = finished_ancestors(run, fixed, splits)

    def begin(record: Record) -> None:
        for line in corrupt_files(run):
            terminal.line(line)
        if added is not None:
            write_extension(folder, extensions[-1])
        done = sum(one.outcome is not None for one in past)
        have, go_on = "has" if done == 1 else "have", len(past) - done
        continues = "continues from its checkpoint" if go_on == 1 else "continue from their checkpoints"
        terminal.line(f"{counted(done, 'recipe')} {have} ended before, {go_on} {continues}")

    return _run(
        study,
        fixed,
        lease,
        splits,
        begin,
        target=target,
        command=command,
        started=started,
        terminal=terminal,
        past_trials=run.info["warm_start"],
        past=past,
        trained=trained,
        hours_before=hours_spent(run),
        since=extensions[-1].spent if extensions else START,
    )


def _run(
    study: Study,
    fixed: FixedRecipes,
    lease: Lease,
    splits: Splits,
    begin: Callable[[Record], None],
    *,
    target: Target,
    command: str,
    started: float,
    terminal: Terminal,
    past_trials: Sequence[PastTrial],
    past: Sequence[RememberedTrial] = (),
    trained: Mapping[str, TrainedModel] = MappingProxyType({}),
    hours_before: float | None = None,
    since: Spent = START,
) -> Timing:
    """Run what is left of a study. `hours_before` are the hours of earlier drivers, None for a new run.

    `since` is what had been spent when the budget was last extended.
    """
    try_user_compressors(study, splits)
    folder = lease.run
    theirs = user_listeners(study, folder, terminal.line)
    try:
        with ExitStack() as stack:
            for one in theirs:
                stack.callback(one.finish)
            beside = user_modules(study)
            if target.address is not None and IN_A_JOB not in os.environ:
                try_shipped_copy(study, beside)
            stack.enter_context(session(target, beside=beside))
            curves = stack.enter_context(LiveCurves(folder, study.objectives))
            capacity = capacity_of(study, fixed, splits, terminal.line)
            at_once = capacity.slots
            check_shared(folder)
            record = Record(folder, next_order(past), lease.check)
            begin(record)
            resumes, before = hours_before is not None, hours_before or 0.0
            closing = stack.enter_context(driver_session(folder, command, resumes=resumes, hours_before=before))
            total = planned_recipes(study, fixed)
            widest = max(len(one.name) for one in fixed)
            tally, hypervolume = Tally(fixed, study.constraints), Hypervolume.of(study, fixed)
            progress = Progress(tally, total, at_once, widest, started, terminal.line, terminal.status)
            terminal.line(f"{counted(total, 'recipe')}, {at_once} at once, into {folder}")
            progress.begin()
            metrics = RayMetrics(folder.name)
            monitor = Monitor(metrics, tally, hypervolume, planned=total, slots=lambda: capacity.slots)
            if total > sum(one.outcome is not None for one in past):
                listeners = [tally, hypervolume, record, curves, progress, monitor, closing, *theirs]
                tune_study(
                    study,
                    fixed,
                    folder,
                    splits,
                    listeners,
                    past_trials,
                    past,
                    trained,
                    capacity=capacity,
                    hours_before=before,
                    since=since,
                    still_held=lease.check,
                    asked_to_stop=lambda: lease.asked,
                )
            return Timing(time.perf_counter() - started, at_once, progress.busy, progress.ended_now)
    finally:
        terminal.status("")
        if lease.lost is None:  # else it is the state of the driver that has gone on with this run
            with suppress(OSError):  # of a storage that is gone: the error that ended the search is the one to report
                folder.child(TUNE_STATE).remove()
