"""What reaches the command's guard is told in words, and ends the command with a code."""

import pytest

from search.cli.app import _guard
from trainables.models.config import Network


def test_a_configuration_that_does_not_fit_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert _guard(lambda: Network(name="resnet50"), debug=False)() == 2
    told = capsys.readouterr().err
    assert told.startswith("name: got 'resnet50', expected small, eight_layer, resnet18, wide_resnet")
    assert len(told.splitlines()) == 1
