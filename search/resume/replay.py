"""Tells listeners what happened in a search before it was interrupted, in the order in which they were told it then."""

from collections.abc import Iterable, Sequence

from search.events import Listener
from search.resume.history import RememberedTrial
from trainables.collector import paused


def replay(past: Sequence[RememberedTrial], listeners: Iterable[Listener]) -> None:
    """Tell listeners of all past trials, except those listeners that are `live_only`.

    Each proposal is told after the endings that the sampler knew when it was asked, and all of its epochs are told
    right after it. For runs that did not record when the sampler was asked, all proposals are told before all endings.
    Of epochs only those listeners are told that heed any, and some of the last alone (`last_epoch_only`): a run of ten
    thousand trials has a quarter of a million.

    Args:
        past: the trials of the run.
        listeners: the listeners; each event is told to them in this order.
    """
    hearing = [one for one in listeners if not one.live_only]
    reported = [one for one in hearing if type(one).reported is not Listener.reported]
    of_epochs = [one for one in reported if not one.last_epoch_only]
    endings = sorted((one for one in past if one.outcome is not None), key=lambda one: one.order)
    told = 0
    with paused():
        for one in sorted(past, key=lambda one: one.proposal.number):
            before = 0 if one.proposal.asked is None else one.proposal.asked.endings
            while told < len(endings) and endings[told].order < before:
                _end(endings[told], hearing)
                told += 1
            _run(one, hearing, of_epochs, reported)
        for one in endings[told:]:
            _end(one, hearing)


def _run(
    one: RememberedTrial, listeners: Sequence[Listener], of_epochs: Sequence[Listener], of_last: Sequence[Listener]
) -> None:
    """Tell that a trial was proposed, tell its epochs, and its last one to more listeners."""
    for listener in listeners:
        listener.proposed(one.proposal)
    for row in one.history[:-1]:
        for listener in of_epochs:
            listener.reported(one.proposal, row)
    for row in one.history[-1:]:
        for listener in of_last:
            listener.reported(one.proposal, row, None if one.outcome is None else one.outcome.ending)


def _end(one: RememberedTrial, listeners: Sequence[Listener]) -> None:
    assert one.outcome is not None
    for listener in listeners:
        listener.ended(one.proposal, one.outcome)
