"""Defines the commands that make evidence of robustness: `temper evaluate` and `confirm`."""

import sys
import time
from typing import Any

import click

from search.cli.completion import models, picks, runs, trials
from search.cli.options import (
    ATTACK,
    FORCE,
    IMAGE_SIZE,
    LENGTH,
    NORM,
    NUMBERS,
    PICK,
    POSITIVE,
    RADIUS,
    json_option,
    on_cluster,
    prepare,
    prepare_to_join,
)
from search.cli.output import alone

IMAGES = "Images, drawn evenly over the classes."
KEPT = "What was trained and attacked is kept: the same command goes on."


@click.command()
@click.argument("model", shell_complete=models)
@click.option(
    "--weights",
    type=click.Path(),
    metavar="FILE",
    help="Weights of a MODEL that is a network's name or module:function.",
)
@click.option("--data", metavar="DATA", help="A run, a data set's name, module:function, or an image folder.")
@IMAGE_SIZE
@ATTACK
@click.option(
    "--pixel-mean", type=NUMBERS, help="Of each channel, as --weights were trained.  [default: of the training images]"
)
@click.option("--pixel-std", type=NUMBERS, help="The same for the standard deviation.")
@click.option("--norm", type=click.Choice(["linf", "l2"]), help=f"{NORM}  [default: the run's, or linf]")
@click.option("--epsilon", type=LENGTH, help=f"{RADIUS}  [default: the run's]")
@click.option(
    "--split", type=click.Choice(["validation", "test"]),
    help="Images to attack.  [default: validation of a run, test of other data]",
)  # fmt: skip
@click.option("--examples", type=click.IntRange(min=1), help=f"{IMAGES}  [default: all]")
@click.option(
    "--transfer-from", "source", metavar="RUN:ID", shell_complete=models,
    help="Try this network's adversarial examples too.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is drawn.")
@json_option("what broke each image")
@FORCE
def evaluate(attack: Any, seed: int, as_json: bool, **given: Any) -> None:
    """Attack MODEL as hard as can be, and say how robust it is and whether that can be trusted.

    MODEL is RUN:ID, a finished trial of a run by its name, the beginning of its id, or as knee, parity or max-robust; a
    folder that `temper export --bundle` wrote; module:function or another network's name, with --weights and --data;
    or an ONNX file with --data, attacked without gradients.
    """
    prepare(None)
    from search.evaluating.evaluate import evaluate as attacked
    from search.evaluating.subjects import Wanted, find
    from search.evaluating.words import as_json as in_json
    from search.evaluating.words import table
    from search.monitoring.progress import Terminal

    def ignored(text: str, done: int, total: int) -> None:
        """Say nothing of how far it is, since programs read what is printed."""

    terminal = Terminal(sys.stderr)
    with alone(as_json):
        subject = find(Wanted(**given), lambda text: click.echo(text, err=True))
        try:
            found = attacked(subject, attack, seed, ignored if as_json else terminal.doing)
        finally:
            terminal.status("")
    click.echo(in_json(subject, found) if as_json else "\n".join(table(subject, found)))


@click.command()
@click.argument("run", shell_complete=runs)
@click.option(
    "--pick", "picks", multiple=True, metavar="WHAT", shell_complete=picks,
    help=f"{PICK}  [default: parity, knee]",
)  # fmt: skip
@click.option(
    "--against", multiple=True, metavar="NAME", shell_complete=trials,
    help="What to hold picks against; may be repeated.  [default: the reference]",
)  # fmt: skip
@click.option("--seeds", type=int, default=6, show_default=True, help="Fresh seeds, the same for all.")
@click.option("--examples", type=click.IntRange(min=2), help=f"{IMAGES}  [default: all]")
@ATTACK
@click.option(
    "--opponents/--no-opponents", default=True, help="Train fast opponents at the picks' compute too.  [default: yes]"
)
@click.option(
    "--conditions/--no-conditions", default=True,
    help="Measure wider balls, corruptions and transfer too.  [default: yes]",
)  # fmt: skip
@click.option(
    "--max-hours",
    type=POSITIVE,
    metavar="HOURS",
    help="Stop then; the same command goes on later.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be trained and attacked, and do nothing.")
@FORCE
@on_cluster
def confirm(
    run: str,
    attack: Any,
    max_hours: float | None,
    dry_run: bool,
    address: str | None,
    allow_unauthenticated: bool,
    **given: Any,
) -> None:
    """Train what RUN found again with fresh seeds, attack it as hard as can be on the test split, and say who wins.

    What was trained and attacked is kept in RUN: the same command goes on where it was stopped.
    """
    started = time.perf_counter()
    if dry_run:
        prepare(address, allow_unauthenticated=allow_unauthenticated)
    else:
        prepare_to_join(address, allow_unauthenticated=allow_unauthenticated)
    from analysis.evidence import words
    from analysis.evidence.conditions import conditions_table
    from analysis.evidence.confirmation import read_confirmations
    from analysis.run.trials import read_run
    from cluster.connection.session import Target
    from search.confirm import confirm as confirming
    from search.failures import storage_watched
    from search.monitoring.progress import Terminal
    from search.record.derived_files import derive
    from search.record.lease import acquire
    from trainables.storage import Folder

    folder, terminal = Folder(run), Terminal()
    wanted = confirming.Wanted(attack=attack, **given)
    prepared = confirming.prepare(folder, wanted, lambda text: click.echo(text, err=True))
    if dry_run:
        click.echo("\n".join(confirming.dry_run(prepared)))
        return
    numbers: list[int] = []
    over = None
    with storage_watched(folder, verb="confirm"), acquire(folder, say=click.echo, purpose="confirm") as lease:
        try:
            confirming.confirm(
                prepared,
                target=Target(address, allow_unauthenticated),
                terminal=terminal,
                started=started,
                check=confirming.deadline(max_hours, lease.check),
                planned=numbers.append,
            )
        except confirming.TimeIsOver as problem:
            over = f"{problem}. {KEPT}"
        except KeyboardInterrupt:
            click.echo(f"\n{KEPT}", err=True)
            raise
        derived = derive(read_run(folder))
    for one in (one for one in read_confirmations(derived) if one.number in numbers):
        lines = ["", *words.table(one), "", *words.sentences(one), *words.unreliable(one), ""]
        lines += [*conditions_table(one), "", words.progress(one)]
        kept, report = folder.child("confirm", str(one.number)), folder.child("report.html")
        click.echo("\n".join([*lines, f"Kept in {kept}, and in {report}"]))
    if over is not None:
        click.echo(over)
