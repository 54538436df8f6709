"""Defines the commands that make evidence of a network's robustness: `temper evaluate`."""

from typing import Any

import click

from search.cli.options import FORCE, prepare


@click.command()
@click.argument("model")
@click.option("--weights", metavar="FILE", help="Weights of a MODEL that is a network's name or module:function.")
@click.option("--data", metavar="DATA", help="A run, a data set's name, module:function, or an image folder.")
@click.option("--image-size", type=click.IntRange(min=1), help="Height and width of an image folder's images.")
@click.option(
    "--attack", type=click.Choice(["quick", "standard", "full"]), default="standard", show_default=True,
    help="How hard to attack.",
)  # fmt: skip
@click.option("--norm", type=click.Choice(["linf", "l2"]), help="Of the threat model.  [default: the run's, or linf]")
@click.option("--epsilon", type=float, help="Of the threat model, for pixels in [0, 1].  [default: the run's]")
@click.option(
    "--split", type=click.Choice(["validation", "test"]),
    help="Images to attack.  [default: validation of a run, test of other data]",
)  # fmt: skip
@click.option("--examples", type=click.IntRange(min=1), help="Images, drawn evenly over the classes.  [default: all]")
@click.option("--transfer-from", "source", metavar="RUN:ID", help="Try this network's adversarial examples too.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is drawn.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with what broke each image.")
@FORCE
def evaluate(attack: Any, seed: int, as_json: bool, **given: Any) -> None:
    """Attack MODEL as hard as can be, and say how robust it is and whether that can be trusted.

    MODEL is RUN:ID, a finished trial of a run by its name or the beginning of its id; module:function or another
    network's name, with --weights and --data; or an ONNX file with --data, attacked without gradients.
    """
    prepare(None)
    from search.evaluating.evaluate import evaluate as attacked
    from search.evaluating.subjects import Wanted, find
    from search.evaluating.words import as_json as in_json
    from search.evaluating.words import table

    subject = find(Wanted(**given), lambda text: click.echo(text, err=True))
    found = attacked(subject, attack, seed)
    click.echo(in_json(subject, found) if as_json else "\n".join(table(subject, found)))
