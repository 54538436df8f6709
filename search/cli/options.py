"""Defines the options that several commands share, and prepares the environment before Ray is imported."""

import math
from collections.abc import Callable
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A range of numbers without NaN and infinity, which are written as numbers too and pass any bound."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Raises click.BadParameter if it is none, or not in the range."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Length(FiniteRange):
    """A length above 0 for pixels in [0, 1], which may come as a fraction such as 8/255."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Raises click.BadParameter if it is none above 0."""
        from trainables.value_forms import number_of

        return super().convert(number_of(value), param, ctx)


FROM_ZERO, POSITIVE, LENGTH = FiniteRange(min=0), FiniteRange(min=0, min_open=True), Length()


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers between commas, such as 0.485,0.456,0.406."""

    name = "numbers"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what stands for the numbers in the help."""
        return "N,N,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Return the numbers. Raises click.BadParameter if some are none."""
        return tuple(FiniteRange().convert(one, param, ctx) for one in str(value).split(","))


NUMBERS = Numbers()
SETTING = click.option(
    "--set", "settings", multiple=True, metavar="path.to.key=value", help="Change a key of the study."
)


STORAGE = click.option(
    "--storage", default="runs", show_default=True, metavar="FOLDER",
    help="Folder or URI (s3://…, gs://…) that holds runs.",
)  # fmt: skip
OR_RESUME = click.option(
    "--or-resume", is_flag=True, help="Go on with the run of that --name if there is one: for jobs that retry."
)
IMAGE_SIZE = click.option(
    "--image-size", type=click.IntRange(min=1), help="Height and width of an image folder's images."
)
ATTACK = click.option(
    "--attack", type=click.Choice(["quick", "standard", "full"]), default="standard", show_default=True,
    help="How hard to attack.",
)  # fmt: skip
UNAUTHENTICATED = click.option(
    "--allow-unauthenticated", is_flag=True, help="Join a cluster that asks nobody for a token."
)
RADIUS = "Radius of the attack, such as 8/255, for pixels in [0, 1]."
NORM = "Norm of the attack."
PICK = "knee, parity, max-robust, all, a baseline's name, or the beginning of a trial's id; may be repeated."


def json_option(also: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the option to a command that prints data for programs; `also` says what people are not shown."""
    told = f"Print JSON for programs{also and ', with '}{also}."
    return click.option("--json", "as_json", is_flag=True, help=told)


def cluster_address(does: str = "run on") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the option to a command that says on which cluster it does something."""
    told = f"Ray cluster to {does} (auto, host:port).  [default: this machine alone]"
    return click.option("--address", metavar="ADDRESS", help=told)


NO_TRY = click.option("--no-try", is_flag=True, help="Do not try the network on a few images before anything runs.")

FORCE = click.option("--force", is_flag=True, help="Go on even if data or the user's own modules have changed.")


def on_cluster(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command that say on which cluster the search runs."""
    return cluster_address()(UNAUTHENTICATED(command))


def prepare(address: str | None, *, allow_unauthenticated: bool = False) -> None:
    """Set the environment variables that Ray reads when it is imported; call this before anything imports Ray."""
    from cluster.connection.session import prepare_environment

    prepare_environment(address, allow_unauthenticated=allow_unauthenticated)


def prepare_to_join(address: str | None, *, allow_unauthenticated: bool, searches: bool = True) -> None:
    """Do as `prepare`, and refuse a cluster that cannot be joined before anything is computed for it."""
    prepare(address, allow_unauthenticated=allow_unauthenticated)
    from cluster.connection.reachable import require_cluster

    require_cluster(address, allow_unauthenticated=allow_unauthenticated, searches=searches)
