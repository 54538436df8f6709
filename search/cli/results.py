"""Defines the commands that read a run directory, an export or a recording: `status`, `export`, `compare` and so on."""

import json
from typing import Any

import click

from search.cli.completion import picks, recordings, runs
from search.cli.options import FORCE, FROM_ZERO, PICK, POSITIVE, SETTING, json_option, prepare


@click.command()
@click.argument("run", shell_complete=runs)
@json_option()
@click.option("--watch", "watched", is_flag=True, help="Show it again and again until its search has ended.")
def status(run: str, as_json: bool, watched: bool) -> None:
    """Say how far RUN is, from any machine that can read its directory."""
    from trainables.storage import Folder

    if watched:
        from search.monitoring.watching import watch

        if as_json:
            raise click.UsageError("--json prints once, so it goes without --watch")
        watch(Folder(run))
        return
    from analysis.run.trials import read_run
    from analysis.status.status import status_data, status_of
    from analysis.status.words import status_lines
    from search.resume.comparison import changed_code

    found = read_run(Folder(run), curves=False)
    if as_json:
        data = status_data(found, status_of(found))
        click.echo(json.dumps({**data, "changed": changed_code(found)}, indent=1))
        return
    click.echo("\n".join(status_lines(found, status_of(found))))
    if found.confirmations:
        from analysis.evidence import words  # late: it imports SciPy

        for line in words.status_lines(found):
            click.echo(line)
    if changed := changed_code(found):
        click.echo(f"changed since it began: {', '.join(changed)}; `temper resume` refuses it without --force")


@click.command()
@click.argument("run", shell_complete=runs)
@click.option(
    "--pick", "picked", multiple=True, default=["knee"], show_default=True, metavar="WHAT", shell_complete=picks,
    help=PICK,
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(["yaml", "json", "csv", "onnx"]), help="How to write it.  [default: yaml]"
)
@json_option()
@click.option(
    "--output", type=click.Path(), metavar="FILE", help="With onnx: the file to write, or a folder for several recipes."
)
@click.option(
    "--bundle",
    type=click.Path(),
    metavar="DIR",
    help="Write a folder to ship: ONNX, torch.export, weights, a model card and predict.py.",
)
@FORCE
def export(
    run: str,
    picked: tuple[str, ...],
    form: str | None,
    as_json: bool,
    output: str | None,
    bundle: str | None,
    force: bool,
) -> None:
    """Print Pareto-optimal recipes of RUN, a run directory, or write their models as ONNX files or whole folders."""
    from analysis.evidence.comparisons import confirmed
    from analysis.export import recipes, selection
    from analysis.run.trials import read_run
    from search.record.derived_files import up_to_date
    from trainables.storage import Folder

    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json goes with no --format but json; got {form}")
    form = "json" if as_json else form or "yaml"
    if (form == "onnx") != (output is not None):
        raise click.UsageError("--output FILE goes with --format onnx, and with no other: those are printed")
    if bundle is not None and output is not None:
        raise click.UsageError("--bundle DIR holds an ONNX file already, so it goes with no --format or --output")
    found = read_run(Folder(run))
    _compare(found, force=force)
    found = up_to_date(found)
    proven = confirmed(found)
    chosen = selection.picks(found, picked, proven)
    for line in [] if "all" in picked else selection.warnings(found, chosen, proven):
        click.echo(line, err=True)
    if bundle is None and output is None:
        click.echo(recipes.render(chosen, found, form, proven), nl=False)
        return
    from search.monitoring.progress import Terminal

    terminal = Terminal()

    def check(data: str) -> None:
        _compare(found, force=force, data=data)

    if bundle is not None:
        from analysis.bundle.bundle import write_bundles

        lines = write_bundles(found, chosen, bundle, proven, check, terminal.doing)
    else:
        from analysis.export.onnx_models import write_models

        lines = write_models(found, chosen, str(output), check, terminal.doing)
    try:
        for line in lines:
            terminal.line(line)
    finally:
        terminal.status("")


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...", shell_complete=runs)
@json_option("every point of the curves")
@click.option(
    "--html", "place", type=click.Path(), metavar="FILE",
    help="Write a page with frontiers over each other, for any browser.",
)  # fmt: skip
def compare(runs: tuple[str, ...], as_json: bool, place: str | None) -> None:
    """Hold several RUNs against each other on one reference point: frontiers, hypervolume by compute, what differs.

    The reference point is that of the first run whose base and reference have finished. Runs of other data, threat
    models, attacks or kinds of compute are refused.
    """
    from analysis.comparison import page, sides, words
    from analysis.export.output_file import output_file, write_output
    from analysis.run.trials import read_run
    from search.record.derived_files import up_to_date
    from trainables.storage import Folder

    path = None if place is None else output_file(place, "--html")
    found = sides.compare([up_to_date(read_run(Folder(run))) for run in runs])
    if path is not None:
        write_output(path, "--html", page.page(found).encode())
    click.echo(json.dumps(words.as_json(found), indent=1) if as_json else "\n".join(words.lines(found)))
    if place is not None:
        click.echo(f"\nPage     {place}", err=as_json)


@click.command()
@click.argument("run", shell_complete=runs)
@click.option(
    "--keep", multiple=True, metavar="WHAT", shell_complete=picks,
    help="Keep these too: as export's --pick; may be repeated.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would be dropped, and drop nothing.")
def prune(run: str, keep: tuple[str, ...], dry_run: bool) -> None:
    """Drop the checkpoints of RUN that neither report, export, confirm nor a longer search needs.

    Weights of the base, baselines, confirmations and the frontier are kept, and all learning curves and recipes.
    """
    prepare(None)
    from analysis.export.selection import picks
    from analysis.run.format import read_info
    from analysis.run.trials import Run, Trial, read_run
    from search.failures import storage_watched
    from search.record.derived_files import with_estimates
    from search.record.lease import acquire
    from search.tidying.drop import drop, words
    from trainables.storage import Folder

    folder = Folder(run)
    read_info(folder)  # refuses what is no run, in which no lease is to be left

    def read() -> tuple[Run, list[Trial]]:
        found = with_estimates(read_run(folder))
        return found, picks(found, keep) if keep else []

    if dry_run:
        dropped = drop(*read(), dry_run=True)
    else:
        with storage_watched(folder, verb="prune"), acquire(folder, say=click.echo, purpose="prune") as lease:
            dropped = drop(*read(), dry_run=False, check=lease.check)
    click.echo("\n".join(words(dropped, dry_run=dry_run)))


@click.command()
@click.argument("recipe", type=click.Path())
@FORCE
def reproduce(recipe: str, force: bool) -> None:
    """Train one exported RECIPE (YAML or JSON) again, without Ray, and compare its numbers."""
    from search.reproduce import reproduce as again

    click.echo(again(recipe, force=force))


@click.command()
@click.argument("run", shell_complete=runs)
@FORCE
def report(run: str, force: bool) -> None:
    """Rebuild every derived file of RUN: report, figures, tables, study.db, TensorBoard."""
    prepare(None)
    from analysis.run.record_table import read_known, read_run_by
    from analysis.status.words import left_unfinished, still_running
    from search.failures import storage_watched
    from search.record import derived_files
    from trainables.storage import Folder

    folder = Folder(run)
    known = read_known(folder)
    found = read_run_by(known, folder)
    if known.passed_over:
        click.echo(known.passed_over, err=True)
    _compare(found, force=force)
    with storage_watched(folder, verb="report"):
        derived = derived_files.derive(found, known)
    if (running := still_running(derived)) is not None:
        click.echo(running)
    click.echo(f"{derived_files.conclude(derived)}\n\nReport   {folder.child('report.html')}")
    if (unfinished := left_unfinished(derived)) is not None:
        click.echo(unfinished, err=True)


@click.command()
@click.argument("run", shell_complete=runs)
@click.option("--output", type=click.Path(), required=True, metavar="FILE", help="The recording to write.")
@FORCE
def record(run: str, output: str, force: bool) -> None:
    """Record every learning curve of RUN, which went through the whole of a finite space, for `temper simulate`."""
    from analysis.export.output_file import output_file
    from analysis.run.trials import read_run
    from search.monitoring.progress import Terminal
    from search.resume.comparison import check_run
    from search.simulation import recording
    from search.study.loading import read_study
    from trainables.storage import Folder

    folder, path = Folder(run), output_file(output, "--output")
    found = read_run(folder)
    check_run(found, lambda text: click.echo(text, err=True), force=force)
    terminal = Terminal()
    try:
        made = recording.record(found, read_study(folder), terminal.doing)
        recording.write(made, path)
    finally:
        terminal.status("")
    epochs = sum(len(curve.rows) for curve in made.curves.values())
    click.echo(f"{output}: {len(made.curves)} recipes, {epochs} epochs, {path.stat().st_size / 1e3:.0f} kB")


@click.command()
@click.argument("recording", shell_complete=recordings)
@SETTING
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Trials at once.")
@click.option("--speeds", default="1", show_default=True, metavar="N,N,…", help="Of the workers, dealt out in turn.")
@click.option("--stretch", type=POSITIVE, default=1.0, show_default=True, help="Times the recorded seconds.")
@click.option("--failures", type=POSITIVE, help="Seconds of computing from one failure of a worker to its next.")
@click.option("--repair", type=FROM_ZERO, default=60.0, show_default=True, help="Seconds until that one is back.")
@click.option("--decision", type=FROM_ZERO, help="Seconds a decision of the driver takes.  [default: as measured]")
@click.option(
    "--output", type=click.Path(), metavar="FILE", help="Where to write the hypervolume over time and compute, as CSV."
)
@FORCE
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
    force: bool,
) -> None:
    """Search by RECORDING on a virtual cluster: a shipped recording's name, or a file that `temper record` wrote."""
    prepare(None)
    from search.simulation.simulate import simulate_in_words
    from search.simulation.virtual_cluster import VirtualCluster
    from trainables.config import parse

    cluster = parse(
        VirtualCluster,
        {
            "workers": workers,
            "speeds": speeds.split(","),
            "stretch": stretch,
            "failures": failures,
            "repair": repair,
            "decision": decision,
        },
    )
    click.echo(simulate_in_words(recording, settings, cluster, output, force=force))


def _compare(run: Any, *, force: bool, data: str | None = None) -> None:
    """Refuse a run whose user's code or data have changed; what is only to be known goes to standard error."""
    from search.resume.comparison import check_run

    check_run(run, lambda text: click.echo(text, err=True), force=force, data=data)
