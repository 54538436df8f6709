"""That no decision waits for a search for garbage."""

import gc

from search.events import Listener, Proposal
from search.study.loading import load
from tests.support.searcher import searcher


def test_garbage_is_looked_for_between_decisions_and_not_while_one_is_taken() -> None:
    looks: list[bool] = []

    class Announced(Listener):
        def proposed(self, proposal: Proposal) -> None:
            looks.append(gc.isenabled())

    assert gc.isenabled()
    searcher(load("digits"), Announced()).suggest("t0")
    assert looks == [False]
    assert gc.isenabled()
