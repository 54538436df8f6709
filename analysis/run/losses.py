"""Reads why a search left a trial unfinished: its process or its node was lost, and its retries were used up.

Each time is a file of its own, trials/<id>/lost/<n>.json, because the trial has no outcome: a resumed search runs it.
"""

from trainables.storage import Folder

LOST = "lost"


def loss_numbers(trial: Folder) -> list[int]:
    """Return the numbers of a trial's losses, from 1.

    Args:
        trial: the trial's folder.
    """
    names = (name.removesuffix(".json") for name in trial.child(LOST).names())
    return sorted(int(name) for name in names if name.isdigit())


def last_loss(trial: Folder) -> str | None:
    """Return what was lost the last time that a trial was left unfinished, in words; None if it never was."""
    for number in reversed(loss_numbers(trial)):
        try:
            return str(trial.child(LOST).read_json(f"{number}.json")["reason"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # torn
    return None
