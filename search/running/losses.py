"""Tells when trials lose their processes one after the other, so that a search does not go on on a broken machine."""

MOST_IN_A_ROW = 3


class Losses:
    """Counts the trials that were lost for good, one begun after the loss of the other, without an epoch in between.

    Trials that ran at once count as one, since they may have been on one node.
    """

    def __init__(self) -> None:
        self._in_a_row = 0
        self._before: dict[str, int] = {}  # what the count was when a trial began, by Tune's trial id; else 0

    def begin(self, trial_id: str) -> None:
        """Note that a trial begins."""
        self._before[trial_id] = self._in_a_row

    def progress(self) -> None:
        """Note that some trial has finished an epoch, or ended by itself."""
        self._in_a_row = 0
        self._before.clear()

    def lose(self, trial_id: str) -> None:
        """Note that a trial's process or node was lost, and that it is not tried again in this session."""
        self._in_a_row = max(self._in_a_row, 1 + self._before.pop(trial_id, 0))

    def why_hopeless(self) -> str | None:
        """Return why nothing more should be run, in words; None while there is hope."""
        if self._in_a_row < MOST_IN_A_ROW:
            return None
        return f"{self._in_a_row} trials in a row lost their processes, and none finished an epoch in between"
