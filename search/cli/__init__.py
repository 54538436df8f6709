"""Command line: the `temper` command, which holds no logic of its own.

- `app`: the command itself, and how errors become exit codes
- `studies`, `search`, `results`, `evidence`, `cluster`: its subcommands
- `completion`: what the shell offers
- `output`: makes printing never end a command
- `options`: options that several of them share
"""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. Ctrl-C while it is imported, for half a second, ends it as later on, but without a word."""
    try:
        from search.cli.app import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()
