"""docs/python.md says what is handed on, as its docstrings say it now."""

import pytest

from tests.support.python_reference import CALLED, PAGE, page


def test_the_page_is_as_the_docstrings_are() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.support.python_reference"


@pytest.mark.parametrize("package", CALLED)
def test_all_that_a_package_hands_on_is_there(package: str) -> None:
    handed_on = __import__(package).__all__
    assert set(CALLED[package]) == set(handed_on)
