"""What people call from Python: load a study, run it, and go on with a run, as the command line does.

The search runs in this process, and its trials in processes of Ray's, which import what a study names: a network of the
user's must lie in a module, and cannot be defined in a notebook. A module that was edited since it was imported is
imported anew by each of these functions.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.connection.interrupts import INTERRUPTS
from cluster.connection.reachable import require_cluster
from cluster.connection.session import Target, prepare_environment, require_free_ray
from search.study.loading import load
from search.study.study import Study
from trainables.errors import InvalidInput, MachineFault
from trainables.user_modules import being_imported, forget_changed

if TYPE_CHECKING:  # they import pyarrow, pandas or Ray, for which loading a study need not wait
    from analysis.results.results import Results
    from analysis.run.trials import Run
    from search.record.lease import Lease
    from search.running.runner import Timing

Searching = Callable[[Any], "Timing"]  # is given the module that runs searches, and runs one


def load_study(study: str | PathLike[str] | Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> Study:
    """Read a study, change it, and validate it, as `temper validate` does.

    Args:
        study: name of a shipped study, or path of a YAML file, whose leading `~` is expanded, or the keys of one as
            nested dicts and lists. The user's modules that it names are looked for beside the file first; of dicts, in
            the working directory.
        settings: changes, by dotted key: {"budget.trials": 12, "space.schedule.epochs.high": 4}.

    Raises:
        InvalidInput: there is no such study, or it is not valid. It lists every problem of its keys; where these are
            right, every function and file that it names and that cannot be had.
    """
    if not isinstance(study, str | PathLike | Mapping):
        raise InvalidInput(f"study: got {study!r:.200}, expected a shipped study's name, a path, or a study's keys")
    if not isinstance(settings, Mapping | None):
        raise InvalidInput(f'settings: got {settings!r:.200}, expected changes by key, such as {{"budget.trials": 12}}')
    forget_changed()
    changes = []
    for key, value in (settings or {}).items():
        try:
            changes.append(f"{key}={json.dumps(value, allow_nan=False, default=_plain)}")
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"{key}: got {value!r}, expected plain data ({error})") from None
    loaded = load(study if isinstance(study, Mapping) else os.path.expanduser(study), changes, where="settings: ")
    from search.preflight.study_check import check_study  # late: it imports Optuna

    check_study(loaded)
    return loaded


def _plain(value: object) -> Any:
    """Return a scalar of NumPy's as one of Python's, for `json.dumps`."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not plain data")


def run_study(
    study: Study | str | PathLike[str] | Mapping[str, Any],
    *,
    storage: str | PathLike[str] = "runs",
    name: str | None = None,
    address: str | None = None,
    allow_unauthenticated: bool = False,
    warm_start: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    try_network: bool = True,
) -> "Results":
    """Run a study into a new run directory, and print a line for each recipe that ends.

    A KeyboardInterrupt, as by a notebook's stop button, ends it within seconds; `resume_run` goes on with it.
    A module of yours that you imported yourself and then edited, before a search first used it, stays in this process
    as it was, while trials have it as it is: restart the process or the kernel then.

    Args:
        study: the study, from `load_study`, or what that takes.
        storage: folder or URI (s3://…, gs://…) that holds runs.
        name: name of the run; None: the study's name and the time.
        address: Ray cluster to run on (auto, host:port); None: this machine alone.
        allow_unauthenticated: join even a cluster that asks nobody for a token.
        warm_start: an earlier run of the same base, or several, from which the sampler learns.
        try_network: try the network on a few images first.

    Raises:
        InvalidInput: something of it cannot be run; nothing is written then.
        NoTrialSucceeded: no recipe finished.
        MachineFault: processes or nodes were lost for good, or the storage is full; what finished is in the run.
    """
    started = time.perf_counter()
    _refuse_within_an_import()
    forget_changed()
    loaded = study if isinstance(study, Study) else load_study(study)
    if address is None:
        from search.preflight.study_check import check_resources_here

        check_resources_here(loaded)
    require_free_ray(address)
    prepare_environment(address, allow_unauthenticated=allow_unauthenticated)
    require_cluster(address, allow_unauthenticated=allow_unauthenticated)
    from analysis.run.trials import read_run
    from search.monitoring.progress import Terminal
    from search.preflight.network_check import tried
    from search.recipes.fixed import FixedRecipes
    from search.record import run_directory
    from search.record.provenance import python_command
    from search.resume.comparison import check_run
    from search.samplers.warm_start import past_trials_of
    from trainables.storage import Folder

    terminal = Terminal()
    several = [warm_start] if isinstance(warm_start, str | PathLike) else warm_start
    earlier = [read_run(Folder(str(run))) for run in several]
    for run in earlier:
        check_run(run, terminal.line)
    past_trials = past_trials_of(earlier, loaded, FixedRecipes.of(loaded), terminal.line)
    if name is None:
        lease = run_directory.open_unnamed_run(str(storage), loaded)
    else:
        lease = run_directory.open_run(str(storage), name, terminal.line)
    return _carried_out(
        lease,
        lambda runner: runner.search(
            loaded,
            lease,
            target=Target(address, allow_unauthenticated),
            command=python_command(
                study,
                lease.run,
                storage="" if str(storage) == "runs" else storage,
                address=address,
                allow_unauthenticated=allow_unauthenticated,
                warm_start=several,
            ),
            started=started,
            terminal=terminal,
            past_trials=past_trials,
            check=lambda splits: tried(loaded, splits, terminal.line, tries=try_network),
        ),
    )


def resume_run(
    run: "str | PathLike[str] | Results",
    *,
    add: Mapping[str, float] | None = None,
    address: str | None = None,
    allow_unauthenticated: bool = False,
    force: bool = False,
) -> "Results":
    """Go on with a search that was interrupted or killed, or has ended and gets more to spend.

    Args:
        run: the run directory, or its URI, or what `run_study` returned.
        add: what is added to the budget, such as {"trials": 20}; also "hours" and "flops".
        address: as for `run_study`.
        allow_unauthenticated: as for `run_study`.
        force: go on even if code, data or study have changed.

    Raises:
        InvalidInput: it is no run, or it cannot go on.
        NoTrialSucceeded, MachineFault: as for `run_study`.
    """
    started = time.perf_counter()
    _refuse_within_an_import()
    forget_changed()
    require_free_ray(address)
    prepare_environment(address, allow_unauthenticated=allow_unauthenticated)
    require_cluster(address, allow_unauthenticated=allow_unauthenticated)
    from analysis.run.format import read_info
    from search.failures import storage_watched
    from search.monitoring.progress import Terminal
    from search.record.lease import acquire
    from search.resume.extension import read_amounts
    from trainables.storage import Folder

    if not isinstance(add, Mapping | None):
        raise InvalidInput(f'add: got {add!r:.200}, expected amounts by name, such as {{"trials": 20}}')
    added = read_amounts([f"{name}=+{amount}" for name, amount in (add or {}).items()], where="add")
    folder = Folder(_place_of(run))
    read_info(folder)  # refuses what is no run, in which no lease is to be left
    with storage_watched(folder):
        lease = acquire(folder, say=Terminal().line)
    return _carried_out(
        lease,
        lambda runner: runner.resume(
            lease,
            target=Target(address, allow_unauthenticated),
            command=f"search.resume_run of {folder} from Python",
            force=force,
            started=started,
            terminal=Terminal(),
            added=added,
        ),
    )


def _place_of(run: "str | PathLike[str] | Results") -> str:
    """Return the directory of a run, or its URI."""
    if isinstance(run, str | PathLike):
        return str(run)
    from analysis.results.results import Results

    if not isinstance(run, Results):
        raise InvalidInput(f"run: got {run!r:.200}, expected a run directory, its URI, or what run_study returned")
    return run.folder


def _refuse_within_an_import() -> None:
    """Refuse a search that a user's module starts as it is imported: the script's own search would hold another one."""
    if (module := being_imported()) is not None:
        raise InvalidInput(
            f"a search was started while {module} is imported for a study; put what starts it below "
            '`if __name__ == "__main__":`, so that only the script itself starts it'
        )


def carry_out(lease: "Lease", search: Searching) -> "tuple[Run, Timing]":
    """Run a search as the holder of its run, then derive the report and all else from its record.

    Args:
        lease: holds the run.
        search: runs the search.
    """
    from search.failures import storage_watched

    with lease, storage_watched(lease.run):
        from search.running import runner  # takes seconds, in which the lease is renewed already

        timing = search(runner)
        from analysis.run.trials import read_run
        from search.record import derived_files  # the first result would wait for this as well

        return derived_files.derive(read_run(lease.run.kept())), timing


def _carried_out(lease: "Lease", search: Searching) -> "Results":
    """Carry a search out, print its verdict, and return its results."""
    from search.monitoring.progress import Terminal

    folder, say = lease.run, Terminal().line
    with INTERRUPTS.listening(lambda: say(f"Interrupted. search.resume_run({str(folder)!r}) goes on with it.")):
        run, _ = carry_out(lease, search)
    from analysis.results.results import Results
    from analysis.status.words import left_unfinished
    from search.record.derived_files import conclude

    unfinished = left_unfinished(run)
    if unfinished is None or any(trial.metrics for trial in run.trials):
        say(f"\n{conclude(run)}\n\nReport   {folder.child('report.html')}")
    if unfinished is not None:
        raise MachineFault(unfinished)
    return Results(run)
