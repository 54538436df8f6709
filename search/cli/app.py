"""Defines the `temper` command. It holds no logic of its own; heavy imports wait until a command needs them."""

import sys
import traceback
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NoReturn

import click
from pydantic import ValidationError

from cluster.connection.interrupts import INTERRUPTS, Interrupted
from search.cli.cluster import doctor, fetch, submit
from search.cli.completion import completion
from search.cli.evidence import confirm, evaluate
from search.cli.output import OUTPUTS
from search.cli.results import compare, export, prune, record, report, reproduce, simulate, status
from search.cli.search import INTERRUPTED, resume, search, stop
from search.cli.studies import init, studies, validate
from trainables.config import refusal
from trainables.errors import TemperError
from trainables.user_modules import go_to_work

DEBUG = "--debug"


class Verbs(click.Group):
    """The commands in the order in which people need them, each with its first sentence and with examples."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, by section."""
        for section, verbs in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(str(verb.name), verb.get_short_help_str(limit=200)) for verb in verbs])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="temper-search")
@click.option(DEBUG, is_flag=True, help="Show the whole stack of an error; it may stand anywhere in the command.")
def temper(debug: bool) -> None:
    """Find compressed networks that are as robust as full adversarial training, for less compute.

    Exit codes: 0 done, 1 unexpected error, 2 bad input, 3 no trial succeeded;
    130, 143, 129 after Ctrl-C, SIGTERM, SIGHUP.
    """


SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "Search": (init, validate, search, status, stop, resume),
    "Understand": (report, compare, evaluate, confirm),
    "Ship": (export, reproduce, prune),
    "On a cluster": (doctor, submit, fetch),
    "More": (studies, simulate, record, completion),
}
EXAMPLES = {
    "init": ["temper init mine.yaml --model mine:network --data photos --hours 8"],
    "validate": ["temper validate mine.yaml --try"],
    "search": ["temper search digits", "temper search mine.yaml --set budget.trials=40 --name first --dry-run"],
    "status": ["temper status runs/first", "temper status runs/first --watch"],
    "stop": ["temper stop runs/first --wait"],
    "resume": ["temper resume runs/first", "temper resume runs/first --budget trials=+20"],
    "report": ["temper report runs/first"],
    "compare": ["temper compare runs/first runs/second --html both.html"],
    "evaluate": ["temper evaluate runs/first:pgd_at --attack quick"],
    "confirm": ["temper confirm runs/first --seeds 6 --dry-run"],
    "export": ["temper export runs/first --pick knee", "temper export runs/first --pick parity --bundle model"],
    "reproduce": ["temper reproduce recipe.yaml"],
    "prune": ["temper prune runs/first --dry-run"],
    "doctor": ["temper doctor mine.yaml --address 10.0.0.1:6379 --price 2.5"],
    "submit": ["temper submit mine.yaml --address http://10.0.0.1:8265 --storage s3://bucket/runs --follow"],
    "fetch": ["temper fetch first --address http://10.0.0.1:8265"],
    "studies": ["temper studies"],
    "simulate": ["temper simulate digits --workers 8 --set budget.trials=60"],
    "record": ["temper record runs/first --output mine.parquet"],
    "completion": ['eval "$(temper completion bash)"'],
}

for _command in (one for verbs in SECTIONS.values() for one in verbs):
    _command.epilog = "\b\nExamples:\n" + "\n".join(f"  {example}" for example in EXAMPLES[str(_command.name)])
    temper.add_command(_command)


def main() -> NoReturn:
    """Run the command line, and exit with the code that belongs to the error, if there was one."""
    go_to_work()
    INTERRUPTS.listen()
    OUTPUTS.make_tolerant()
    code = run(sys.argv[1:])
    unprinted = OUTPUTS.failure()
    if unprinted is not None and not code:
        click.echo(f"standard output cannot be written ({unprinted.strerror})", err=True)
        code = 1
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command in this process, and return its exit code.

    Args:
        arguments: what was typed after the command's name.
    """
    given = [one for one in arguments if one != DEBUG]
    return int(_guard(temper.main, debug=DEBUG in arguments)(args=given, standalone_mode=False) or 0)


def _guard(command: Callable[..., Any], *, debug: bool) -> Callable[..., Any]:
    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (TemperError, ValidationError) as error:
            if debug:
                traceback.print_exc()
            told = refusal(error) if isinstance(error, ValidationError) else error
            click.echo(str(told), err=True)
            return told.exit_code
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except (KeyboardInterrupt, click.Abort) as interrupt:
            click.echo("Interrupted.", err=True)
            signalled = next((one for one in (interrupt, interrupt.__cause__) if isinstance(one, Interrupted)), None)
            return INTERRUPTED if signalled is None else signalled.code  # click puts its Abort in place of the signal's

        except Exception as error:  # a fault of ours, or of what was not foreseen: a stack is for those who ask for it
            if debug:
                traceback.print_exc()
            reason = (str(error).strip() or "no reason given").splitlines()[0]
            hint = "" if debug else "; --debug shows where it comes from"
            click.echo(f"unexpected {type(error).__name__}: {reason}{hint}", err=True)
            return 1

    return guarded
