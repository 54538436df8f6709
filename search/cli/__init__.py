"""Command line: the `temper` command, which holds no logic of its own.

- `app`: the command itself, and how errors become exit codes
- `studies`, `search`, `results`, `evidence`, `cluster`: its subcommands
- `completion`: what the shell offers
- `output`: makes printing never end a command
- `options`: options that several of them share
"""

from search.cli.app import main

__all__ = ["main"]
