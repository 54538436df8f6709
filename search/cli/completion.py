"""Defines `temper completion`, and what the shell offers for runs, studies and trials once it is set up."""

import os
from pathlib import Path

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from search.study.loading import shipped

SHELLS = ("bash", "zsh", "fish")
ONE = ("knee", "parity", "max-robust")  # each means one trial; `analysis.export.selection` has more to import
WORDS = (*ONE, "all")  # of `--pick`


@add_completion_class
class Bash(BashComplete):
    """Completes words with a colon too, at which bash divides them: `runs/first:pgd_at` arrives as three words."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is typed, and that one, put together again."""
        typed = split_arg_string(os.environ["COMP_WORDS"])[: int(os.environ["COMP_CWORD"]) + 1]
        words: list[str] = []
        glued = False
        for word in typed:
            if words and (glued or word == ":"):
                words[-1] += word
            else:
                words.append(word)
            glued = word == ":"
        whole = len(typed) > int(os.environ["COMP_CWORD"])  # else a new word begins, of which nothing is typed
        return (words[1:-1], words[-1]) if whole else (words[1:], "")

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return what bash puts in place of what stands behind the last colon that is typed."""
        found = super().get_completions(args, incomplete)
        before = len(incomplete.rpartition(":")[0]) + 1 if ":" in incomplete else 0
        return [CompletionItem(one.value[before:], one.type) for one in found]


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


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer run directories, and of the run that is typed, or the only one that fits, what may stand after its colon.

    That is a word that means one trial, or a finished trial.
    """
    place, colon, _ = incomplete.rpartition(":")
    found = [CompletionItem(place)] if colon else runs(ctx, param, incomplete)
    if len(found) != 1 or found[0].type != "plain":
        return found
    place = found[0].value
    named = [f"{place}:{name}" for name in (*ONE, *_names(place))] if _is_run(place) else []  # else a module:function
    return [CompletionItem(one) for one in named if one.startswith(incomplete)]


def recordings(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the shipped recordings, and files."""
    from search.simulation.recording import shipped as recorded

    fitting = [name for name in recorded() if name.startswith(incomplete)]
    return [CompletionItem(one) for one in fitting] or [CompletionItem(incomplete, type="file")]


def studies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the shipped studies, and files."""
    fitting = [name for name in shipped() if name.startswith(incomplete)]
    return [CompletionItem(one) for one in fitting] or [CompletionItem(incomplete, type="file")]


def picks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the words of `--pick`, and the finished trials of the run that stands before it, baselines by name."""
    return [CompletionItem(one) for one in (*WORDS, *_finished()) if one.startswith(incomplete)]


def trials(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the finished trials of the run that stands before, baselines by name."""
    return [CompletionItem(one) for one in _finished() if one.startswith(incomplete)]


def _finished() -> list[str]:
    """Return names or ids of the finished trials of the run that is typed already; none where there is none.

    Click passes on no argument that stands before an option without a value, so the words are asked of the shell.
    """
    typed = split_arg_string(os.environ.get("COMP_WORDS", ""))
    run = next(filter(_is_run, typed), None)
    return [] if run is None else _names(run)


def _is_run(place: str) -> bool:
    """Return whether a run lies there, on this machine: the shell does not wait for an object store."""
    return os.path.isfile(Path(place) / "run.json")


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
