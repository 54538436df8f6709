"""Defines `temper completion`, and what the shell offers for runs, studies and trials once it is set up."""

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class, split_arg_string

from search.study.loading import shipped

SHELLS = ("bash", "zsh", "fish")
WORDS = ("knee", "parity", "max-robust", "all")  # of `--pick`; `analysis.export.selection` has more to import


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what lets SHELL complete commands, options, runs and trials.

    For bash, ~/.bashrc has: eval "$(temper completion bash)"
    """
    root = ctx.find_root()
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(root.command, {}, "temper", "_TEMPER_COMPLETE").source())


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the run directories below the path that is typed so far, or else any folder."""
    place = Path(incomplete if incomplete.endswith("/") else Path(incomplete).parent)
    places = [place, place / "runs"] if place == Path() else [place]
    found = [path.parent for one in places for path in sorted(one.glob("*/run.json"))]
    fitting = [str(one) for one in found if str(one).startswith(incomplete)]
    return [CompletionItem(one) for one in fitting] or [CompletionItem(incomplete, type="dir")]


def studies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the shipped studies, and files."""
    fitting = [name for name in shipped() if name.startswith(incomplete)]
    return [CompletionItem(one) for one in fitting] or [CompletionItem(incomplete, type="file")]


def picks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the words of `--pick`, and the finished trials of the run that stands before it, baselines by name."""
    return [CompletionItem(one) for one in (*WORDS, *_finished()) if one.startswith(incomplete)]


def _finished() -> list[str]:
    """Return names or ids of the finished trials of the run that is typed already; none where there is none.

    Click passes on no argument that stands before an option without a value, so the words are asked of the shell.
    """
    typed = split_arg_string(os.environ.get("COMP_WORDS", ""))
    run = next((one for one in typed if os.path.isfile(Path(one) / "run.json")), None)
    return [] if run is None else _names(run)


def _names(place: str) -> list[str]:
    from analysis.run.trials import read_run
    from trainables.errors import TemperError
    from trainables.execution.ending import State
    from trainables.storage import Folder

    try:
        run = read_run(Folder(place))
    except TemperError:
        return []
    return [trial.name or trial.id for trial in run.trials if trial.state is State.COMPLETE]
