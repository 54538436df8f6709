"""Finds the user's modules that a study names, so that they can be shipped to other machines."""

from pathlib import Path

from search.study.study import Study
from trainables.user_code import lies_here, references, top_level, user_function


def user_modules(study: Study) -> dict[str, Path | bytes]:
    """Return the user's modules that a study names and that lie in the working directory: name to file or package.

    Raises:
        InvalidInput: a module that the study names cannot be imported.
    """
    found: dict[str, Path | bytes] = {}
    for key, reference in references(study).items():
        user_function(reference, key)
        place = top_level(reference)
        if place is not None and lies_here(place):
            found[place.name] = place
    return found
