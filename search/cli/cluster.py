"""Defines the commands about clusters: `temper submit`, `fetch` and `doctor`."""

import json
import sys
from pathlib import Path

import click

from search.cli.completion import studies as names
from search.cli.options import (
    FROM_ZERO,
    NO_TRY,
    OR_RESUME,
    SETTING,
    STORAGE,
    UNAUTHENTICATED,
    cluster_address,
    json_option,
    prepare,
    prepare_to_join,
)
from search.cli.output import alone
from search.study.loading import load

DASHBOARD = click.option(
    "--address", required=True, metavar="ADDRESS", help="Dashboard of the cluster, http://host:8265."
)


@click.command()
@click.argument("study", shell_complete=names)
@SETTING
@DASHBOARD
@click.option(
    "--storage", required=True, metavar="FOLDER",
    help="URI (s3://…, gs://…) or absolute path that the cluster's nodes share.",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="Name of the run and of the job.  [default: study name and time]")
@OR_RESUME
@NO_TRY
@UNAUTHENTICATED
@click.option("--follow", is_flag=True, help="Print the search's output until it ends, then fetch what came of it.")
@click.option(
    "--output", type=click.Path(), metavar="DIR", help="With --follow: where to write to.  [default: runs/NAME]"
)
def submit(
    study: str,
    settings: tuple[str, ...],
    address: str,
    storage: str,
    name: str | None,
    or_resume: bool,
    no_try: bool,
    allow_unauthenticated: bool,
    follow: bool,
    output: str | None,
) -> None:
    """Run STUDY on a cluster as a Ray Job, with the code of this checkout."""
    loaded = load(study, settings)
    prepare(address)
    from search.record import run_directory
    from search.remote import archive, submission

    name = name or run_directory.default_name(loaded)
    run, place = run_directory.run_folder(storage, name), _place(name, output)  # refuses what the head would refuse
    if follow and not (or_resume and archive.lies_there(run, place)):
        archive.check_place(place)  # now, and not once the search has ended
    flags = {"--or-resume": or_resume, "--no-try": no_try, "--allow-unauthenticated": allow_unauthenticated}
    options = tuple(flag for flag, given in flags.items() if given)
    submission.submit(loaded, address=address, storage=storage, name=name, options=options)
    click.echo(f"Submitted {name} to {address}; `temper fetch {name} --address {address}` brings back what came of it.")
    if follow:
        code = submission.follow(name, address=address, show=lambda text: click.echo(text, nl=False))
        if code:
            sys.exit(code)
        if archive.lies_there(run, place):
            click.echo(f"Report   {place / 'report.html'}")
        else:
            _fetch(name, address, output)


@click.command()
@click.argument("name")
@DASHBOARD
@click.option("--output", type=click.Path(), metavar="DIR", help="Where to write to.  [default: runs/NAME]")
def fetch(name: str, address: str, output: str | None) -> None:
    """Fetch report and frontier of NAME, a search that was submitted to a cluster."""
    prepare(address)
    _fetch(name, address, output)


@click.command()
@click.argument("study", required=False, shell_complete=names)
@SETTING
@cluster_address("examine")
@STORAGE
@click.option(
    "--price", type=FROM_ZERO, metavar="PRICE", help="Of an hour of one GPU; of one CPU where STUDY uses no GPU."
)
@NO_TRY
@json_option()
def doctor(
    study: str | None,
    settings: tuple[str, ...],
    address: str | None,
    storage: str,
    price: float | None,
    no_try: bool,
    as_json: bool,
) -> None:
    """Examine a cluster, time STUDY on it for about a minute, and estimate hours and cost; exit 2 if it is unsound."""
    say = (lambda line: None) if as_json else click.echo
    with alone(as_json):
        loaded = load(study, settings) if study else None
        # An open cluster is a finding, and Ray Client is enough.
        prepare_to_join(address, allow_unauthenticated=True, searches=False)
        from search.preflight.doctor import examine

        seen = examine(loaded, address=address, storage=storage, price=price, say=say, try_network=not no_try)
    if as_json:
        click.echo(json.dumps(seen.data(), indent=1))
    seen.require_sound()


def _fetch(name: str, address: str, output: str | None) -> None:
    from search.remote import submission

    for path in submission.fetch(name, address=address, folder=_place(name, output)):
        click.echo(f"Fetched  {path}")


def _place(name: str, output: str | None) -> Path:
    """Return the folder that what is fetched is written to."""
    return Path(output or f"runs/{name}")
