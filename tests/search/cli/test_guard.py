"""What reaches the command's guard is told in words, and ends the command with a code."""

import signal

import click
import pytest

from cluster.connection.interrupts import Interrupted
from search.cli.app import _guard
from trainables.models.config import Network


def test_a_configuration_that_does_not_fit_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert _guard(lambda: Network(name="resnet50"), debug=False)() == 2
    told = capsys.readouterr().err
    assert told.startswith("name: got 'resnet50', expected small, eight_layer, resnet18, wide_resnet")
    assert len(told.splitlines()) == 1


def test_what_nobody_foresaw_is_one_line_and_a_stack_only_for_who_asks(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise FileNotFoundError(2, "No such file or directory", "nowhere/page.html")

    assert _guard(broken, debug=False)() == 1
    told = capsys.readouterr().err
    assert told.startswith(
        "unexpected FileNotFoundError: [Errno 2] No such file or directory: 'nowhere/page.html'; --debug"
    )
    assert len(told.splitlines()) == 1
    assert _guard(broken, debug=True)() == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (None, 130)])
def test_a_signal_has_its_own_code_also_where_click_puts_an_error_in_its_place(
    number: signal.Signals | None, code: int
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt if number is None else Interrupted(number)

    assert _guard(interrupted, debug=False)() == code
    assert _guard(click.Command("confirm", callback=interrupted), debug=False)([], standalone_mode=False) == code
