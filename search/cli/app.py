"""Defines the `temper` command. It holds no logic of its own; heavy imports wait until a command needs them."""

import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import click

from cluster.connection.interrupts import INTERRUPTS, Interrupted
from search.cli.cluster import doctor, fetch, submit
from search.cli.completion import completion
from search.cli.evidence import confirm, evaluate
from search.cli.output import OUTPUTS
from search.cli.recordings import record, simulate
from search.cli.results import compare, export, prune, report, reproduce, status, stop
from search.cli.search import INTERRUPTED, init, resume, search, studies, validate
from trainables.errors import TemperError
from trainables.user_modules import go_to_work

DEBUG = "--debug"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="temper-search")
@click.option(DEBUG, is_flag=True, help="Show the whole stack of an error; it may stand anywhere in the command.")
def temper(debug: bool) -> None:
    """Find compressed networks that are as robust as full adversarial training, for less compute.

    Exit codes: 0 done, 1 unexpected error, 2 bad input, 3 no trial succeeded;
    130, 143, 129 after Ctrl-C, SIGTERM, SIGHUP.
    """


for command in (
    init,
    search,
    resume,
    status,
    validate,
    studies,
    export,
    evaluate,
    confirm,
    compare,
    prune,
    stop,
    reproduce,
    report,
    submit,
    fetch,
    doctor,
    record,
    simulate,
    completion,
):
    temper.add_command(command)


def main() -> NoReturn:
    """Run the command line, and exit with the code that belongs to the error, if there was one."""
    go_to_work()
    INTERRUPTS.listen()
    OUTPUTS.make_tolerant()
    arguments = [one for one in sys.argv[1:] if one != DEBUG]
    code = _guard(temper.main, debug=DEBUG in sys.argv)(args=arguments, standalone_mode=False) or 0
    unprinted = OUTPUTS.failure()
    if unprinted is not None and not code:
        click.echo(f"standard output cannot be written ({unprinted.strerror})", err=True)
        code = 1
    sys.exit(code)


def _guard(command: Callable[..., Any], *, debug: bool) -> Callable[..., Any]:
    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except TemperError as error:
            if debug:
                traceback.print_exc()
            click.echo(str(error), err=True)
            return error.exit_code
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except (KeyboardInterrupt, click.Abort) as interrupt:
            click.echo("Interrupted.", err=True)
            return interrupt.code if isinstance(interrupt, Interrupted) else INTERRUPTED

    return guarded
