"""The `temper` command. Holds no logic of its own; heavy imports wait until a command needs them."""

import os
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import click

from cluster.session import Target
from search.cli_cluster import doctor, fetch, submit
from search.cli_recordings import record, simulate
from search.loading import load, shipped
from search.options import SETTING, on_cluster, prepare
from trainables.errors import TemperError

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="temper-search")
def temper() -> None:
    """Find compressed networks that are as robust as full adversarial training, for less compute.

    Exit codes: 0 done, 1 unexpected error, 2 bad input, 3 no trial succeeded, 130 interrupted.
    """


@temper.command()
@click.argument("study")
@click.option("--storage", default="runs", show_default=True, help="Folder or URI (s3://…, gs://…) that holds runs.")
@click.option("--name", help="Name of the run.  [default: study name and time]")
@SETTING
@on_cluster
@click.option(
    "--warm-start", multiple=True, metavar="RUN", help="Let the sampler learn from an earlier run of the same base."
)
@click.option(
    "--or-resume", is_flag=True, help="Go on with the run of that --name if there is one: for jobs that retry."
)
@click.option("--dry-run", is_flag=True, help="Show the plan and write nothing.")
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
) -> None:
    """Run STUDY: a shipped study's name, or a YAML file."""
    started = time.perf_counter()
    if or_resume and (name is None or dry_run):
        raise click.UsageError("--or-resume goes with --name, and not with --dry-run")
    loaded = load(study, settings)
    if dry_run:
        from search.plan import plan

        click.echo(plan(loaded))
        return
    prepare(address)
    from analysis.trials import read_run
    from search import store
    from search.lessons import lessons
    from trainables.storage import Folder

    if or_resume and (begun := store.begun_run(storage, name or "", loaded)) is not None:
        _resume(begun, started, Target(address, allow_unauthenticated), force=False)
        return
    learnt = lessons([read_run(Folder(run)) for run in warm_start], loaded)
    folder = store.open_run(storage, name or store.default_name(loaded))
    from search import runner  # after whatever can be refused without PyTorch and Ray
    from search.progress import Terminal

    _watch(
        folder,
        started,
        lambda: runner.search(
            loaded,
            folder,
            target=Target(address, allow_unauthenticated),
            command=_command(),
            started=started,
            terminal=Terminal(),
            learnt=learnt,
        ),
    )


@temper.command()
@click.argument("run")
@click.option("--force", is_flag=True, help="Go on even if code, data or study have changed.")
@on_cluster
def resume(run: str, force: bool, address: str | None, allow_unauthenticated: bool) -> None:
    """Go on with RUN, a run directory whose search was interrupted or killed."""
    started = time.perf_counter()
    prepare(address)
    from trainables.storage import Folder

    _resume(Folder(run), started, Target(address, allow_unauthenticated), force=force)


@temper.command()
@click.argument("run")
def status(run: str) -> None:
    """Say how far RUN is, from any machine that can read its directory."""
    from analysis.status import status_lines, status_of
    from analysis.trials import read_run
    from trainables.storage import Folder

    found = read_run(Folder(run))
    click.echo("\n".join(status_lines(found, status_of(found))))


@temper.command()
@click.argument("study")
@SETTING
def validate(study: str, settings: tuple[str, ...]) -> None:
    """Check STUDY and list everything that is wrong with it."""
    loaded = load(study, settings)
    click.echo(f"{study}: valid ({len(loaded.baselines)} baselines, {loaded.budget.trials} proposals)")


@temper.command()
def studies() -> None:
    """List the studies that come with Temper."""
    for name in shipped():
        click.echo(f"{name:22s} {load(name).description}")


@temper.command()
@click.argument("run")
@click.option("--pick", type=click.Choice(["knee", "parity", "max-robust", "all"]), default="knee", show_default=True)
@click.option("--format", "form", type=click.Choice(["yaml", "json", "csv", "onnx"]), default="yaml", show_default=True)
@click.option("--output", metavar="FILE", help="With onnx: the file to write, or a folder for several recipes.")
def export(run: str, pick: str, form: str, output: str | None) -> None:
    """Print Pareto-optimal recipes of RUN, a run directory, or write their models as ONNX files."""
    from analysis import export as exporting
    from analysis.trials import read_run
    from trainables.storage import Folder

    if (form == "onnx") != (output is not None):
        raise click.UsageError("--output FILE goes with --format onnx, and with no other: those are printed")
    found = read_run(Folder(run))
    picked = exporting.pick(found, pick)
    if output is None:
        click.echo(exporting.render(picked, found, form), nl=False)
        return
    from analysis.deployment import write_models

    for line in write_models(found, picked, output):
        click.echo(line)


@temper.command()
@click.argument("recipe")
def reproduce(recipe: str) -> None:
    """Train one exported RECIPE (YAML or JSON) again, without Ray, and compare its numbers."""
    from search.reproduce import reproduce as again

    click.echo(again(recipe))


@temper.command()
@click.argument("run")
def report(run: str) -> None:
    """Rebuild every derived file of RUN: report, figures, tables, study.db, TensorBoard."""
    prepare(None)
    from search import runner
    from trainables.storage import Folder

    folder = Folder(run)
    sentence = runner.conclude(runner.derive(folder))
    click.echo(f"{sentence}\n\nReport   {folder}/report.html")


for command in (submit, fetch, doctor, record, simulate):
    temper.add_command(command)


def main() -> NoReturn:
    """Entry point: turns what Temper raises into one message and an exit code."""
    sys.exit(_guard(temper.main)(standalone_mode=False) or 0)


def _guard(command: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except TemperError as error:
            click.echo(str(error), err=True)
            return error.exit_code
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except (KeyboardInterrupt, click.Abort):
            click.echo("Interrupted.", err=True)
            return INTERRUPTED

    return guarded


def _resume(folder: Any, started: float, target: Target, *, force: bool) -> None:
    from search import runner
    from search.progress import Terminal

    _watch(
        folder,
        started,
        lambda: runner.resume(folder, target=target, force=force, started=started, terminal=Terminal()),
    )


def _watch(folder: Any, started: float, search: Callable[[], Any]) -> None:
    """Run a search to its end, or to Ctrl-C, and say what came of it and what to do next."""
    from search import runner
    from search.failures import storage_watched

    with storage_watched(folder):
        try:
            timing = search()
        except KeyboardInterrupt:
            click.echo(f"\nInterrupted. What finished is kept: `temper resume {folder}` goes on with it.", err=True)
            _leave(INTERRUPTED)
        run = runner.derive(folder)
    sentence = runner.conclude(run)
    click.echo(
        f"\n{len(run.trials)} recipes in {timing.wall:.0f} s on {timing.slots} slots, orchestration "
        f"{timing.orchestration:.0%} of the slots' time, done after {time.perf_counter() - started:.0f} s."
    )
    click.echo(f"\n{sentence}\n")
    click.echo(f"Report   {folder}/report.html")
    click.echo(f"Curves   tensorboard --logdir {folder}/tensorboard")
    click.echo(f"Next     temper export {folder} --pick knee --format yaml")


def _command() -> str:
    return " ".join(["temper", *sys.argv[1:]])


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # Ray's threads may not join after an interrupt
