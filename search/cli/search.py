"""Defines the commands that run a search: `temper search`, `resume` and `stop`."""

import os
import shlex
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from cluster.connection.interrupts import INTERRUPTS, Interrupted, descendants, end
from cluster.connection.session import Target
from search.api import Searching, carry_out
from search.cli.completion import runs
from search.cli.completion import studies as names
from search.cli.options import NO_TRY, OR_RESUME, SETTING, STORAGE, on_cluster, prepare_to_join
from search.cli.output import OUTPUTS
from search.study.loading import load
from trainables.errors import MachineFault
from trainables.value_forms import counted

if TYPE_CHECKING:  # they import pyarrow, for which `temper validate` need not wait
    from analysis.run.extensions import Extension
    from analysis.run.trials import Run
    from search.record.lease import Lease
    from search.samplers.warm_start import PastTrial
    from search.study.study import Study
    from trainables.storage import Folder

INTERRUPTED = 130


@click.command()
@click.argument("study", shell_complete=names)
@STORAGE
@click.option("--name", metavar="NAME", help="Name of the run.  [default: study name and time]")
@SETTING
@on_cluster
@click.option(
    "--warm-start", multiple=True, metavar="RUN", shell_complete=runs,
    help="Let the sampler learn from an earlier run of the same base; may be repeated.",
)  # fmt: skip
@OR_RESUME
@click.option("--dry-run", is_flag=True, help="Try the network, show the plan, and write nothing.")
@NO_TRY
def search(
    study: str,
    storage: str,
    name: str | None,
    settings: tuple[str, ...],
    address: str | None,
    allow_unauthenticated: bool,
    warm_start: tuple[str, ...],
    or_resume: bool,
    dry_run: bool,
    no_try: bool,
) -> None:
    """Run STUDY: a shipped study's name, or a YAML file."""
    started = time.perf_counter()
    if or_resume and (name is None or dry_run):
        raise click.UsageError("--or-resume goes with --name, and not with --dry-run")
    loaded = load(study, settings)
    if dry_run:
        from search.preflight.dry_run import show_plan
        from search.record.run_directory import check_place

        check_place(storage, name)
        _past_trials(warm_start, loaded)
        show_plan(loaded, try_network=not no_try, say=click.echo, address=address)
        return
    if address is None:
        from search.preflight.study_check import check_resources_here

        check_resources_here(loaded)
    prepare_to_join(address, allow_unauthenticated=allow_unauthenticated)
    from search.preflight.network_check import tried
    from search.record import run_directory

    if or_resume and (begun := run_directory.begun_run(storage, name or "", loaded)) is not None:
        target = Target(address, allow_unauthenticated)
        _resume(begun, started, target, force=False, listeners=loaded.listeners)
        return
    past_trials = _past_trials(warm_start, loaded)
    if name is None:
        lease = run_directory.open_unnamed_run(storage, loaded)
    else:
        lease = run_directory.open_run(storage, name, click.echo)
    from search.monitoring.progress import Terminal

    terminal, target = Terminal(), Target(address, allow_unauthenticated)
    _watch(
        lease,
        started,
        target,
        lambda runner: runner.search(
            loaded,
            lease,
            target=target,
            command=_command(),
            started=started,
            terminal=terminal,
            past_trials=past_trials,
            check=lambda splits: tried(loaded, splits, terminal.line, tries=not no_try),
        ),
    )


def _past_trials(given: Sequence[str], study: "Study") -> "list[PastTrial]":
    """Return what a search learns from earlier runs, each of which is refused or remarked on as it deserves."""
    from analysis.run.trials import read_run
    from search.recipes.fixed import FixedRecipes
    from search.resume.comparison import check_run
    from search.samplers.warm_start import past_trials_of
    from trainables.storage import Folder

    earlier = [read_run(Folder(run)) for run in given]
    for run in earlier:
        check_run(run, _remark)
    return past_trials_of(earlier, study, FixedRecipes.of(study), _remark)


def _remark(text: str) -> None:
    click.echo(text, err=True)


@click.command()
@click.argument("run", shell_complete=runs)
@click.option("--force", is_flag=True, help="Go on even if code, data or study have changed.")
@click.option(
    "--budget", multiple=True, metavar="NAME=+AMOUNT",
    help="Add to the budget, also of a search that has ended: trials=+20, hours=+1 or flops=+1e12.",
)  # fmt: skip
@on_cluster
def resume(run: str, force: bool, budget: tuple[str, ...], address: str | None, allow_unauthenticated: bool) -> None:
    """Go on with RUN, a run directory whose search was interrupted or killed, or has ended and gets more to spend."""
    started = time.perf_counter()
    prepare_to_join(address, allow_unauthenticated=allow_unauthenticated)
    from search.resume.extension import read_amounts
    from trainables.storage import Folder

    added = read_amounts(budget)
    _resume(Folder(run), started, Target(address, allow_unauthenticated), force=force, added=added)


def _resume(
    folder: "Folder",
    started: float,
    target: Target,
    *,
    force: bool,
    added: "Extension | None" = None,
    listeners: tuple[str, ...] | None = None,
) -> None:
    from analysis.run.format import read_info
    from search.failures import storage_watched
    from search.monitoring.progress import Terminal
    from search.record.lease import acquire

    read_info(folder)  # refuses what is no run, in which no lease is to be left
    with storage_watched(folder):
        lease = acquire(folder, say=click.echo)
    _watch(
        lease,
        started,
        target,
        lambda runner: runner.resume(
            lease,
            target=target,
            command=_command(),
            force=force,
            started=started,
            terminal=Terminal(),
            added=added,
            listeners=listeners,
        ),
    )


@click.command()
@click.argument("run", shell_complete=runs)
@click.option("--wait", is_flag=True, help="Wait until it has ended, and print its verdict.")
def stop(run: str, wait: bool) -> None:
    """Ask the search that works on RUN, on any machine, to end with a verdict.

    It proposes nothing more. What runs is finished, and so are base and baselines, which a verdict needs.
    `temper resume` goes on with it.
    """
    from analysis.run.format import read_info
    from analysis.run.trials import read_run
    from search.record.derived_files import conclude
    from search.record.lease import ask_to_stop, await_end
    from trainables.storage import Folder

    folder = Folder(run)
    read_info(folder)
    click.echo(f"{ask_to_stop(folder)} is asked to stop: what runs is finished, nothing more is proposed")
    if not wait:
        click.echo(f"`temper status {folder.typed}` tells how far it is")
        return
    await_end(folder)
    click.echo(conclude(read_run(folder)))


def _watch(lease: "Lease", started: float, target: Target, search: Searching) -> None:
    """Run a search until it ends or a signal interrupts it, then print its result and the commands to go on with.

    Args:
        lease: holds the run.
        started: `time.perf_counter()` when the command began.
        target: where it runs.
        search: is given the module that runs searches, once what Ray and PyTorch need was imported, and runs one.

    Raises:
        MachineFault: trials were left unfinished, since their processes or nodes were lost; what finished is reported.
    """
    from analysis.status.words import left_unfinished

    folder = lease.run
    OUTPUTS.excuse()
    INTERRUPTS.farewell = lambda: click.echo(_interrupted(folder, target), err=True)
    lease.on_lost = lambda: _give_up(lease)
    try:
        run, timing = carry_out(lease, search)
    except KeyboardInterrupt as interrupt:
        with INTERRUPTS.deferred():
            click.echo(f"\n{_interrupted(folder, target)}", err=True)
            _leave(interrupt.code if isinstance(interrupt, Interrupted) else INTERRUPTED)
    from search.record.derived_files import conclude

    unfinished = left_unfinished(run)
    if unfinished is not None and not any(trial.metrics for trial in run.trials):
        raise MachineFault(unfinished)
    sentence = conclude(run)
    ended = counted(len(run.trials), "recipe")
    if timing.ended != len(run.trials):  # after a resume, or with some unfinished
        ended = f"{timing.ended} of {ended}"
    click.echo(
        f"\n{ended} in {timing.wall:.0f} s on {counted(timing.slots, 'slot')}, orchestration "
        f"{timing.orchestration:.0%} of the slots' time, done after {time.perf_counter() - started:.0f} s."
    )
    click.echo(f"\n{sentence}\n")
    click.echo(f"Report   {folder.child('report.html')}")
    click.echo(f"Curves   tensorboard --logdir {folder.child('tensorboard').typed}")
    if (command := next_command(run)) is not None:
        click.echo(f"Next     {command}")
    if unfinished is not None:
        raise MachineFault(unfinished)


def next_command(run: "Run") -> str | None:
    """Return the command to go on with; None where there is no verdict, which says what is missing instead."""
    from analysis.export.selection import first_pick
    from analysis.pareto.no_verdict import why_no_verdict

    choice = None if why_no_verdict(run) else first_pick(run)
    return None if choice is None else f"temper export {run.folder.typed} --pick {choice} --format yaml"


def _interrupted(folder: "Folder", target: Target) -> str:
    if folder.exists("run.json"):
        where = "" if target.address is None else f" --address {shlex.quote(target.address)}"
        return f"Interrupted. What finished is kept: `temper resume {folder.typed}{where}` goes on with it."
    return "Interrupted before the search began: nothing was written."


def _give_up(lease: "Lease") -> None:
    """End this process at once, since another driver has gone on with its run; nothing more may be written."""
    click.echo(lease.words, err=True)
    _leave(1)


def _command() -> str:
    return shlex.join(["temper", *sys.argv[1:]])


def _leave(code: int) -> NoReturn:
    end(descendants(os.getpid()))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # Ray's threads may not join after an interrupt
