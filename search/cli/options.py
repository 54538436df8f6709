"""Options that several commands share, and what precedes all that imports Ray."""

from collections.abc import Callable
from typing import Any

import click

SETTING = click.option(
    "--set", "settings", multiple=True, metavar="path.to.key=value", help="Change a key of the study."
)


def on_cluster(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say where a search runs."""
    address = click.option(
        "--address", help="Ray cluster to run on (auto, host:port, ray://host:port).  [default: this machine alone]"
    )
    unauthenticated = click.option(
        "--allow-unauthenticated", is_flag=True, help="Join a cluster that asks nobody for a token."
    )
    return address(unauthenticated(command))


def prepare(address: str | None) -> None:
    """Set up the environment before Ray is imported."""
    from cluster.connection.session import prepare_environment

    prepare_environment(address)
