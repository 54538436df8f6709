"""Defines what a check tells without refusing the network."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """Something that a check found, with which the search can run.

    Attributes:
        kind: `warning`, if the results may mislead or something will not work later; `note`, if it is only good to
            know.
        text: what was found and, in a warning, what to do.
    """

    kind: Literal["warning", "note"]
    text: str


def warning(text: str) -> Finding:
    """Returns a finding that the user should act on."""
    return Finding("warning", text)


def note(text: str) -> Finding:
    """Returns a finding that is only good to know."""
    return Finding("note", text)
