"""Defines the commands about studies: `temper init`, `validate` and `studies`."""

import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cluster.connection.session import Target
from search.cli.completion import studies as names
from search.cli.options import (
    IMAGE_SIZE,
    LENGTH,
    NORM,
    POSITIVE,
    RADIUS,
    SETTING,
    json_option,
    on_cluster,
    prepare_to_join,
)
from search.cli.output import alone
from search.study.loading import load, shipped
from trainables.errors import InvalidInput
from trainables.user_modules import look_beside
from trainables.user_path import user_path
from trainables.value_forms import counted

if TYPE_CHECKING:
    from search.study.study import Study

LONGEST = 64  # characters of a study's name


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--model", required=True, metavar="NETWORK",
    help="module:function, torchvision:NAME, small, eight_layer, resnet18 or wide_resnet.",
)  # fmt: skip
@click.option(
    "--data", required=True, metavar="DATA",
    help="module:function, a folder with train/ and test/, or a known data set such as cifar10.",
)  # fmt: skip
@click.option("--pretrained", type=click.Path(), metavar="FILE", help="Trained weights of the network, to start from.")
@click.option("--norm", type=click.Choice(["linf", "l2"]), default="linf", show_default=True, help=NORM)
@click.option("--epsilon", type=LENGTH, help=f"{RADIUS}  [default: 8/255; 0.1 for grey images; 0.5 in l2]")
@IMAGE_SIZE
@click.option(
    "--hours", type=POSITIVE, metavar="HOURS", default=1.0, show_default=True, help="What the search may take."
)
@click.option("--force", is_flag=True, help="Write over FILE if it is there.")
@on_cluster
def init(file: str, force: bool, address: str | None, allow_unauthenticated: bool, **wishes: Any) -> None:
    """Write FILE, a commented study for your network and data, of the right size for this machine or cluster.

    The network is tried on a few images and timed for some seconds. Functions of yours are looked for beside FILE.
    """
    path = user_path(file, "FILE")
    if path.exists() and not force:
        raise InvalidInput(f"{file}: is there already; --force writes over it")
    if not os.access(path.parent, os.W_OK):
        raise InvalidInput(f"{file}: cannot be written, expected a folder that is there and that you may write to")
    look_beside(path)
    prepare_to_join(address, allow_unauthenticated=allow_unauthenticated, searches=False)
    from search.drafting.draft import Wish, draft

    text = draft(Wish(name=_name_of(path), **wishes), Target(address, allow_unauthenticated), click.echo)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{file}: cannot be written ({error.strerror})") from error
    on = "" if address is None else f" --address {shlex.quote(address)}"
    click.echo(f"Wrote      {file}\nNext       temper search {shlex.quote(file)}{on}")


def _name_of(path: Path) -> str:
    """Return the name of the study that a file holds: the file's own as far as a study's may be so, else `study`."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", path.stem).lstrip("._-")
    return name[:LONGEST] or "study"


@click.command()
@click.argument("study", shell_complete=names)
@SETTING
@click.option("--try", "tries", is_flag=True, help="Also load the data, and try the network on a few images.")
@json_option()
def validate(study: str, settings: tuple[str, ...], tries: bool, as_json: bool) -> None:
    """Check STUDY and list everything that is wrong with it."""
    notes: list[str] = []
    try:
        with alone(as_json):
            loaded = load(study, settings)
            from search.preflight.study_check import check_study  # late: it imports Optuna

            proposals = check_study(loaded)
            _look_further(loaded, tries, notes.append if as_json else click.echo)
    except InvalidInput as error:
        if as_json:
            click.echo(json.dumps({"valid": False, "problems": error.problems}, indent=1, ensure_ascii=False))
        raise
    counts = ((len(loaded.baselines), "baseline"), (proposals, "proposal"))
    if as_json:
        found = {"valid": True, "baselines": len(loaded.baselines), "proposals": proposals, "notes": notes}
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    click.echo(f"{study}: valid ({', '.join(counted(n, what) for n, what in counts)})")


def _look_further(study: "Study", tries: bool, say: Callable[[str], object]) -> None:
    """Check whether this machine could run a study, and the network if `tries`."""
    from search.preflight.study_check import absent_folders, check_resources_here, oddities

    try:
        check_resources_here(study)
    except InvalidInput as error:
        say(f"note: {error}")  # the study may be for a cluster
    for absent in absent_folders(study):
        say(f"note: {absent}")
    if tries:
        from search.preflight.network_check import check_studys_network
        from trainables.data.splits import load_splits

        check_studys_network(study, load_splits(study.data), say)
    else:
        for warning in oddities(study):
            say(f"warning: {warning}")


@click.command()
@json_option()
def studies(as_json: bool) -> None:
    """List the studies that come with Temper."""
    if as_json:
        found = [{"name": name, "description": load(name).description} for name in shipped()]
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    width = max(map(len, shipped()))
    for name in shipped():
        click.echo(f"{name:{width}s}  {load(name).description}")
