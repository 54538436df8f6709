"""The garbage collector rests inside, and goes on afterwards as it was before."""

import gc

import pytest

from trainables.collector import paused


def test_it_rests_inside_and_goes_on_after_an_error_too() -> None:
    assert gc.isenabled()
    with paused():
        with paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), paused():
        raise KeyError
    assert gc.isenabled()


def test_what_was_paused_before_stays_so() -> None:
    gc.disable()
    try:
        with paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
