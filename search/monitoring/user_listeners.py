"""Tells listeners of the user's own of a search, such as an experiment tracker, and lets none of them end it."""

from collections.abc import Callable
from typing import Any, ClassVar

from search.events import Listener, Outcome, Proposal, Row
from search.study.study import Study
from trainables.execution.ending import Ending
from trainables.storage import Folder
from trainables.user_code import user_function
from trainables.user_errors import failure, reported


class UserListener(Listener):
    """Passes events on to an object of the user's, which has those methods of a listener that it needs.

    It hears what happens while this driver works: what a search did before a resume, it was told then. A trial that
    goes on from before is told as proposed once more, so that an object which makes something of each knows it. When it
    raises an error, that is said once, and it is told nothing more: a tracker that is away must not cost a search.
    """

    live_only: ClassVar[bool] = True

    def __init__(self, where: str, theirs: object, say: Callable[[str], object]) -> None:
        """Create it.

        Args:
            where: the study's key that names it, and its function, for messages.
            theirs: the user's object.
            say: prints a line.
        """
        self._where, self._theirs, self._say = where, theirs, say
        self._failed = False
        self._known: set[str] = set()  # ids of the recipes that it was told are proposed

    def proposed(self, proposal: Proposal) -> None:
        self._known.add(proposal.recipe.id)
        self._tell("proposed", proposal)

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        self._introduce(proposal)
        self._tell("reported", proposal, dict(row), ending)

    def left_unfinished(self, proposal: Proposal, reason: str) -> None:
        self._introduce(proposal)
        self._tell("left_unfinished", proposal, reason)

    def closed(self, reason: str) -> None:
        self._tell("closed", reason)

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        self._introduce(proposal)
        self._tell("ended", proposal, outcome)

    def finish(self) -> None:
        """Tell it that this driver is done, whether the search has ended or was interrupted."""
        self._tell("finish")

    def _introduce(self, proposal: Proposal) -> None:
        if proposal.recipe.id not in self._known:
            self.proposed(proposal)

    def _tell(self, event: str, *what: Any) -> None:
        method = getattr(self._theirs, event, None)
        if method is None or self._failed:
            return
        try:
            method(*what)
        except Exception as error:
            self._failed = True
            problem = failure(f"{self._where}: {event} failed", error, "it is told nothing more, the search goes on")
            self._say(str(problem))


def user_listeners(study: Study, folder: Folder, say: Callable[[str], object]) -> list[UserListener]:
    """Make the listeners that a study names; each function is called with the run's folder and the study.

    Args:
        study: the study.
        folder: the run directory.
        say: prints a line.

    Raises:
        InvalidInput: one of them cannot be made.
    """
    made = []
    for number, name in enumerate(study.listeners):
        key = f"listeners.{number}"
        function = user_function(name, key)
        with reported(f"{key}: {name}", ": cannot be made"):
            made.append(UserListener(f"{key}: {name}", function(str(folder), study.model_dump(mode="json")), say))
    return made
