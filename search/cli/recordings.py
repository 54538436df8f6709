"""Defines the commands about recorded learning curves: `temper record` and `simulate`."""

import click

from search.cli.completion import runs
from search.cli.options import FORCE, SETTING, prepare


@click.command()
@click.argument("run", shell_complete=runs)
@click.option("--output", required=True, metavar="FILE", help="The recording to write.")
@FORCE
def record(run: str, output: str, force: bool) -> None:
    """Record every learning curve of RUN, which went through the whole of a finite space, for `temper simulate`."""
    from pathlib import Path

    from analysis.run.trials import read_run
    from search.resume.comparison import check_run
    from search.simulation import recording
    from search.study.loading import read_study
    from trainables.storage import Folder

    folder = Folder(run)
    found = read_run(folder)
    check_run(found, lambda text: click.echo(text, err=True), force=force)
    made = recording.record(found, read_study(folder))
    recording.write(made, Path(output))
    epochs = sum(len(curve.rows) for curve in made.curves.values())
    click.echo(f"{output}: {len(made.curves)} recipes, {epochs} epochs, {Path(output).stat().st_size / 1e3:.0f} kB")


@click.command()
@click.argument("recording")
@SETTING
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Trials at once.")
@click.option("--speeds", default="1", show_default=True, help="Of the workers, dealt out in turn, e.g. 1,1,0.5.")
@click.option("--stretch", type=float, default=1.0, show_default=True, help="Times the recorded seconds.")
@click.option("--failures", type=float, help="Seconds of computing from one failure of a worker to its next.")
@click.option("--repair", type=float, default=60.0, show_default=True, help="Seconds until a failed worker is back.")
@click.option("--decision", type=float, help="Seconds a decision of the driver takes.  [default: as measured]")
@click.option("--output", metavar="FILE", help="Where to write the hypervolume over time and compute, as CSV.")
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
