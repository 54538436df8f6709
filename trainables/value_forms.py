"""Says how values are written: numbers with nouns, and what was given in another form; imports no torch."""

import re
from collections.abc import Sequence
from reprlib import Repr
from typing import Any

from pydantic import BaseModel

SHORT = Repr()  # shortens values in messages, since a user may give a value of any size
SHORT.maxstring = SHORT.maxother = 200
SHORT.maxdict = SHORT.maxlist = SHORT.maxtuple = 8


def number_of(given: Any) -> Any:
    """Returns a fraction of whole numbers, as in 8/255, as a number, and anything else as it was given."""
    fraction = re.fullmatch(r"\s*(\d+)\s*/\s*([1-9]\d*)\s*", given) if isinstance(given, str) else None
    return int(fraction[1]) / int(fraction[2]) if fraction else given


def counted(number: float, noun: str, form: str = "", plural: str = "") -> str:
    """Returns a number with its noun, in the plural unless the number is written as 1.

    Args:
        number: the number.
        noun: the noun in the singular.
        form: how the number is written, as in a format string.
        plural: the noun in the plural where that does not end in an s alone.
    """
    written = format(number, form)
    return f"{written} {noun if written.strip() == '1' else plural or noun + 's'}"


def radius_words(epsilon: float, digits: int) -> str:
    """Returns a radius as the field writes it: 8/255 where it is so many steps of a byte, but 0.2, which is short.

    Args:
        epsilon: the radius, for pixels in [0, 1].
        digits: significant digits of any other; a radius that they tell exactly is no fraction.
    """
    rounded, steps = f"{epsilon:.{digits}g}", round(255 * epsilon)
    return f"{steps}/255" if epsilon == steps / 255 and float(rounded) != epsilon else rounded


def how_to_write(got: Any, groups: Sequence[type[BaseModel]], *, group_expected: bool) -> str:
    """Returns the end of a message on a value that does not fit: how it may have been meant; empty if that is unknown.

    Args:
        got: the value.
        groups: what its key may hold that has keys of its own.
        group_expected: whether only such a group is right there.
    """
    if number_of(got) != got:
        return f"; {got} is {number_of(got):.5g}"
    if isinstance(got, str) and any("kind" in group.model_fields for group in groups):
        return f", such as {{kind: {_bare(got)}}}"
    if not group_expected or len(groups) != 1:
        return ""
    (fields,) = (list(group.model_fields) for group in groups)
    ends = got if isinstance(got, list) and len(got) == 2 else [got, got]
    if {"low", "high"} <= {*fields} and all(isinstance(end, int | float) for end in ends):
        return f", such as {{low: {ends[0]}, high: {ends[1]}}}"
    if isinstance(got, str) and fields[:1] in (["name"], ["path"]):
        return f", such as {{{fields[0]}: {_bare(got)}}}"
    return f": {', '.join(fields)}"


def _bare(text: str) -> str:
    return SHORT.repr(text)[1:-1]
