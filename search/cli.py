"""The `temper` command. Holds no logic of its own; heavy imports wait until a command needs them."""

import os
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import click

from cluster.session import Target
from search.loading import load, shipped
from trainables.errors import TemperError

INTERRUPTED = 130
SETTING = click.option(
    "--set", "settings", multiple=True, metavar="path.to.key=value", help="Change a key of the study."
)


def CLUSTER(command: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802  # a constant to who reads a command
    """The options that say where a search runs."""
    address = click.option(
        "--address", help="Ray cluster to run on (auto, host:port, ray://host:port).  [default: this machine alone]"
    )
    unauthenticated = click.option(
        "--allow-unauthenticated", is_flag=True, help="Join a cluster that asks nobody for a token."
    )
    return address(unauthenticated(command))


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
@CLUSTER
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
    _prepare(address)
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
@CLUSTER
def resume(run: str, force: bool, address: str | None, allow_unauthenticated: bool) -> None:
    """Go on with RUN, a run directory whose search was interrupted or killed."""
    started = time.perf_counter()
    _prepare(address)
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
@click.option("--address", required=True, help="Dashboard of the cluster, http://host:8265.")
@click.option("--storage", required=True, help="URI (s3://…, gs://…) or absolute path that the cluster's nodes share.")
@click.option("--name", help="Name of the run and of the job.  [default: study name and time]")
@click.option("--or-resume", is_flag=True, help="As for `temper search`.")
@click.option("--allow-unauthenticated", is_flag=True, help="Join a cluster that asks nobody for a token.")
@click.option("--follow", is_flag=True, help="Print the search's output until it ends, then fetch what came of it.")
@click.option("--output", metavar="FOLDER", help="Where to fetch it to, with --follow.  [default: runs/NAME]")
def submit(
    study: str,
    settings: tuple[str, ...],
    address: str,
    storage: str,
    name: str | None,
    or_resume: bool,
    allow_unauthenticated: bool,
    follow: bool,
    output: str | None,
) -> None:
    """Run STUDY on a cluster as a Ray Job, with the code of this checkout."""
    loaded = load(study, settings)
    _prepare(address)
    from search import store, submission

    name = name or store.default_name(loaded)
    flags = {"--or-resume": or_resume, "--allow-unauthenticated": allow_unauthenticated}
    options = tuple(flag for flag, given in flags.items() if given)
    submission.submit(loaded, address=address, storage=storage, name=name, options=options)
    click.echo(f"Submitted {name} to {address}; `temper fetch {name} --address {address}` brings back what came of it.")
    if follow:
        code = submission.follow(name, address=address, show=lambda text: click.echo(text, nl=False))
        if code:
            sys.exit(code)
        _fetch(name, address, output)


@temper.command()
@click.argument("name")
@click.option("--address", required=True, help="Dashboard of the cluster, http://host:8265.")
@click.option("--output", metavar="FOLDER", help="Where to write to.  [default: runs/NAME]")
def fetch(name: str, address: str, output: str | None) -> None:
    """Fetch report and frontier of NAME, a search that was submitted to a cluster."""
    _prepare(address)
    _fetch(name, address, output)


@temper.command()
@click.argument("study", required=False)
@SETTING
@click.option("--address", help="Ray cluster to examine (auto, host:port).  [default: this machine alone]")
@click.option("--storage", default="runs", show_default=True, help="Folder or URI (s3://…, gs://…) that holds runs.")
@click.option(
    "--price", type=click.FloatRange(min=0), help="Of an hour of one GPU; of one CPU where STUDY uses no GPU."
)
def doctor(
    study: str | None, settings: tuple[str, ...], address: str | None, storage: str, price: float | None
) -> None:
    """Examine a cluster, time STUDY on it for about a minute, and estimate hours and cost; exit 2 if it is unsound."""
    loaded = load(study, settings) if study else None
    _prepare(address)
    from search.checkup import check_up

    check_up(loaded, address=address, storage=storage, price=price, say=click.echo)


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
    from cluster.session import prepare_environment

    prepare_environment(None)
    from search import runner
    from trainables.storage import Folder

    folder = Folder(run)
    sentence = runner.conclude(runner.derive(folder))
    click.echo(f"{sentence}\n\nReport   {folder}/report.html")


@temper.command()
@click.argument("run")
@click.option("--output", required=True, metavar="FILE", help="The recording to write.")
def record(run: str, output: str) -> None:
    """Record every learning curve of RUN, which went through the whole of a finite space, for `temper simulate`."""
    from pathlib import Path

    from analysis.trials import read_run
    from search import recording
    from search.loading import read_study
    from trainables.storage import Folder

    folder = Folder(run)
    made = recording.record(read_run(folder), read_study(folder))
    recording.write(made, Path(output))
    epochs = sum(len(curve.rows) for curve in made.curves.values())
    click.echo(f"{output}: {len(made.curves)} recipes, {epochs} epochs, {Path(output).stat().st_size / 1e3:.0f} kB")


@temper.command()
@click.argument("recording")
@SETTING
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Trials at once.")
@click.option("--speeds", default="1", show_default=True, help="Of the workers, dealt out in turn, e.g. 1,1,0.5.")
@click.option("--stretch", type=float, default=1.0, show_default=True, help="Times the recorded seconds.")
@click.option("--failures", type=float, help="Seconds of computing from one failure of a worker to its next.")
@click.option("--repair", type=float, default=60.0, show_default=True, help="Seconds until a failed worker is back.")
@click.option("--decision", type=float, help="Seconds a decision of the driver takes.  [default: as measured]")
@click.option("--output", metavar="FILE", help="Where to write the hypervolume over time and compute, as CSV.")
def simulate(
    recording: str,
    settings: tuple[str, ...],
    workers: int,
    speeds: str,
    stretch: float,
    failures: float | None,
    repair: float,
    decision: float | None,
    output: str | None,
) -> None:
    """Search by RECORDING on a virtual cluster: a shipped recording's name, or a file that `temper record` wrote."""
    _prepare(None)
    from search.rehearsal import rehearse
    from search.virtual import Cluster
    from trainables.config import parse

    cluster = parse(
        Cluster,
        {
            "workers": workers,
            "speeds": speeds.split(","),
            "stretch": stretch,
            "failures": failures,
            "repair": repair,
            "decision": decision,
        },
    )
    click.echo(rehearse(recording, settings, cluster, output))


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


def _prepare(address: str | None) -> None:
    """Set up the environment before Ray is imported."""
    from cluster.session import prepare_environment

    prepare_environment(address)


def _fetch(name: str, address: str, output: str | None) -> None:
    from pathlib import Path

    from search import submission

    for path in submission.fetch(name, address=address, folder=Path(output or f"runs/{name}")):
        click.echo(f"Fetched  {path}")


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
